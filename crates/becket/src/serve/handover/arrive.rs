//! The new process: how it comes to its sockets, and to its turn.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use becket_ingress::server;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::wire::{Message, PROTOCOL, Wire};
use super::{Door, Doors, Meeting, Place, STOPPING_MAX, Use, ended};
use crate::config::{self, Config};
use crate::serve::transforms::Transforms;
use crate::serve::watch::{Signals, told_to_stop};
use crate::serve::{self, ServeError, dashboard, listen, tls};

/// How long the other process may take to answer; beyond that it hangs.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// Whether a running gateway is to be relieved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Takeover {
    /// There should be none.
    #[default]
    No,
    /// If there is one.
    IfRunning,
    /// The one that has started this process, which is met in that folder.
    From(PathBuf),
}

/// The process that is relieved, if there is one.
pub(in crate::serve) struct Relieved(Option<Wire>);

/// Comes to the sockets: by the process that runs, from systemd, or by opening them. When this
/// answers, the store may be opened.
///
/// # Errors
/// If something that is needed cannot be had. A process that runs has been told, and goes on.
pub(in crate::serve) async fn arrive(
    config: &Config,
    folder: &Path,
    takeover: &Takeover,
    shares_store: bool,
    signals: &mut Signals,
) -> Result<(Arc<Doors>, Relieved), ServeError> {
    let meet_in = match takeover {
        Takeover::From(folder) => folder,
        Takeover::No | Takeover::IfRunning => folder,
    };
    let running = connect(meet_in).await;
    let mut wire = match (running, takeover) {
        // Where the database is shared, several nodes may have the same folder by default.
        (Some(_), Takeover::No) if !shares_store => {
            return Err(ServeError::Running { folder: folder.display().to_string() });
        }
        (None, Takeover::From(_)) => {
            return Err(ServeError::system(
                "taking over",
                &"the gateway that runs cannot be reached",
            ));
        }
        (None, _) | (Some(_), Takeover::No) => {
            let doors = open_doors(config, listen::activated()?, Vec::new())?;
            let doors = Doors { doors, meeting: meet(folder) };
            return Ok((Arc::new(doors), Relieved(None)));
        }
        (Some(wire), _) => wire,
    };
    match take_over(config, meet_in, shares_store, &mut wire, signals).await {
        Ok(doors) => Ok((Arc::new(doors), Relieved(Some(wire)))),
        Err(error) => {
            tell_failure(&mut wire, &error.to_string()).await;
            Err(error)
        }
    }
}

/// Tells the process that has started this one why it does not get further.
pub(in crate::serve) async fn fail_early(takeover: &Takeover, why: &str) {
    let Takeover::From(folder) = takeover else { return };
    if let Some(mut wire) = connect(folder).await {
        tell_failure(&mut wire, why).await;
        // It closes the connection once it has understood; an end of this process that is seen before
        // that would be all the other one knows.
        let _ = timeout(ANSWER_PATIENCE, wire.hear()).await;
    }
}

async fn tell_failure(wire: &mut Wire, why: &str) {
    let told = wire.say(&Message::Failed { why: why.to_owned() }).await;
    if let Err(error) = told {
        tracing::warn!(%error, "the other process could not be told");
    }
}

/// The process that is met in a folder, if there is one.
pub(crate) async fn connect(folder: &Path) -> Option<Wire> {
    let place = Place::new(folder).ok()?;
    UnixStream::connect(place.control()).await.ok().map(Wire::new)
}

async fn take_over(
    config: &Config,
    folder: &Path,
    shares_store: bool,
    wire: &mut Wire,
    signals: &mut Signals,
) -> Result<Doors, ServeError> {
    let broken = |error: io::Error| ServeError::system("taking over", &error);
    let hello = Message::Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        shares_store,
    };
    wire.say(&hello).await.map_err(broken)?;
    let answer = timeout(ANSWER_PATIENCE, wire.hear()).await;
    let answer = answer.map_err(|_| broken(io::ErrorKind::TimedOut.into()))?.map_err(broken)?;
    let (other, words) = match answer {
        Message::Have { version, pid, doors, .. } => {
            tracing::info!(pid, version, "taking over from the process that runs");
            (pid, doors)
        }
        Message::Refused { why } => return Err(ServeError::system("taking over", &why)),
        other => {
            return Err(ServeError::system("taking over", &format!("{other:?} was not expected")));
        }
    };
    let count = words.iter().map(|door| door.sockets).sum::<usize>() + 2;
    let mut sockets = wire.hear_sockets(count).await.map_err(broken)?.into_iter();
    let mut handed = Vec::with_capacity(words.len());
    for door in words {
        let sockets = sockets.by_ref().take(door.sockets).map(TcpListener::from).collect();
        let (purpose, configured, activated) = (door.purpose, door.configured, door.activated);
        handed.push(Door { purpose, configured, activated, sockets });
    }
    let (Some(control), Some(forward)) = (sockets.next(), sockets.next()) else {
        return Err(broken(io::ErrorKind::InvalidData.into()));
    };
    let (control, forward) = (UnixListener::from(control), UnixListener::from(forward));
    let place = Place::new(folder).map_err(broken)?;
    let doors = open_doors(config, listen::activated()?, handed)?;
    rehearse(config).await?;
    wire.say(&Message::Ready).await.map_err(broken)?;
    match wire.hear().await {
        Ok(Message::Yours) => {}
        Ok(Message::Refused { why }) => return Err(ServeError::system("taking over", &why)),
        // It has ended, and with it its hold on the store; had it given up, it would have said so.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            tracing::warn!(
                "the process that ran was stopped before its turn was over; waiting for its end"
            );
            tokio::select! {
                () = ended(other, STOPPING_MAX) => {}
                () = told_to_stop(signals) => return Err(ServeError::Stopped),
            }
        }
        Ok(other) => {
            return Err(ServeError::system("taking over", &format!("{other:?} was not expected")));
        }
        Err(error) => return Err(broken(error)),
    }
    Ok(Doors { doors, meeting: Some(Meeting { control, forward, place }) })
}

/// Finds out what can be found out without the store, so that a mistake costs nobody anything.
async fn rehearse(config: &Config) -> Result<(), ServeError> {
    if let Some(files) = &config.server.tls {
        tls::from_files(&files.cert_file, &files.key_file)?;
    }
    drop(serve::make_egress(config)?);
    drop(dashboard::Pages::of(config)?);
    let transforms = Transforms::new();
    if let Some(problem) = config::check_programs(config, transforms.pool()).await.first() {
        return Err(ServeError::Transformation { detail: problem.message.clone() });
    }
    Ok(())
}

/// What a configuration listens on: from systemd, from the process that runs, or opened now.
fn open_doors(
    config: &Config,
    activated: Vec<TcpListener>,
    mut handed: Vec<Door>,
) -> Result<Vec<Door>, ServeError> {
    let server = &config.server;
    let threads = server.threads.map(usize::from);
    let mut activated = activated.into_iter();
    let mut doors = Vec::new();
    let mut open = |purpose: Use, configured: SocketAddr, threads: Option<usize>| {
        let from_systemd = if purpose == Use::Challenge { None } else { activated.next() };
        let door = match from_systemd {
            Some(socket) => Door { purpose, configured, activated: true, sockets: vec![socket] },
            None => match take_handed(&mut handed, purpose, configured) {
                Some(door) => door,
                None => {
                    let sockets = server::bind(configured, threads)?;
                    Door { purpose, configured, activated: false, sockets }
                }
            },
        };
        doors.push(door);
        Ok::<_, ServeError>(())
    };
    open(Use::Listen, server.listen, threads)?;
    if let Some(admin) = server.admin_listen {
        open(Use::Admin, admin, threads)?;
    }
    if let (Some(acme), None) = (&server.acme, &server.tls) {
        open(Use::Challenge, acme.challenge_listen, Some(1))?;
    }
    Ok(doors)
}

/// The handed-over sockets for a purpose, unless the configuration has another address for it by now.
fn take_handed(handed: &mut Vec<Door>, purpose: Use, configured: SocketAddr) -> Option<Door> {
    let fits = |door: &Door| {
        let address = || door.sockets.first().and_then(|socket| socket.local_addr().ok());
        door.purpose == purpose
            && (door.activated || door.configured == configured || address() == Some(configured))
    };
    let at = handed.iter().position(fits)?;
    Some(Door { configured, ..handed.swap_remove(at) })
}

/// Opens the place where the next process will meet this one. Without it the gateway runs all the
/// same, only not for ever.
fn meet(folder: &Path) -> Option<Meeting> {
    // Made here as the store would make it: it will hold people's data.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    match made.and_then(|()| Meeting::open(folder)) {
        Ok(meeting) => Some(meeting),
        Err(error) => {
            tracing::warn!(
                folder = %folder.display(), %error,
                "there is no place to meet the next process, so a restart will refuse connections"
            );
            None
        }
    }
}

impl Relieved {
    /// Tells the process that is relieved that this one answers now, and waits until it lets go.
    pub(in crate::serve) async fn serving(&mut self) {
        let Some(mut wire) = self.0.take() else { return };
        if wire.say(&Message::Serving).await.is_ok() {
            // That it has let go, or is gone: nothing hangs on it any more.
            let _ = timeout(ANSWER_PATIENCE, wire.hear()).await;
        }
    }

    /// Tells the process that was to be relieved that it has to go on.
    pub(in crate::serve) async fn failed(&mut self, why: &ServeError) {
        if let Some(mut wire) = self.0.take() {
            tell_failure(&mut wire, &why.to_string()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(purpose: Use, configured: &str, activated: bool) -> Door {
        let sockets = vec![TcpListener::bind("127.0.0.1:0").unwrap()];
        Door { purpose, configured: configured.parse().unwrap(), activated, sockets }
    }

    #[test]
    fn sockets_are_taken_by_what_they_are_for_and_where_they_are() {
        let listen = door(Use::Listen, "127.0.0.1:0", false);
        let bound = listen.sockets[0].local_addr().unwrap();
        let mut handed = vec![listen, door(Use::Admin, "0.0.0.0:9", true)];
        let other: SocketAddr = "127.0.0.1:9".parse().unwrap();
        assert!(take_handed(&mut handed, Use::Listen, other).is_none(), "another address");
        assert!(take_handed(&mut handed, Use::Challenge, bound).is_none());
        let taken = take_handed(&mut handed, Use::Listen, bound).expect("the address it has");
        handed.push(taken);
        let taken = take_handed(&mut handed, Use::Admin, other).expect("systemd's address counts");
        assert!(taken.activated);
        assert_eq!(handed.len(), 1);
    }
}

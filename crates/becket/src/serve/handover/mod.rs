//! Restarting without refusing anybody: a process hands its open sockets to the one that follows it.
//!
//! Both processes hold the very same sockets, so a connection that arrives at any moment waits in a
//! queue that stays. They talk over `control.sock` in the gateway's folder; connections that the old
//! process still holds are answered by the new one through `forward.sock` beside it.
//!
//! How it goes, on a store that one process at a time may have open:
//! 1. The new process reads its configuration, asks for the sockets, opens what else it needs, and
//!    says that it is ready. Until then nothing has changed; whatever fails is told and is all.
//! 2. The old one finishes the attempts in flight, while it goes on receiving.
//! 3. It stops accepting, finishes what it is storing, and closes the store. Requests wait from here.
//! 4. The new one opens the store and serves. If it cannot, the old one opens the store again.
//! 5. The old one stays until its connections have ended: each ends with its next answer, or when it
//!    has rested for so long that it would have been closed anyway.
//!
//! On a store that several processes may have open, 4 comes before 2 and nobody waits.
//!
//! Invariants: at every moment one of the two answers, and there is always one that will serve the
//! queues; only processes of the same user, or root, are talked to.
//!
//! Where next: `arrive` for the new process, `control` and `leave` for the old one, `wire` for what
//! they say, and `becket_ingress::server` for what becomes of requests.

pub(crate) mod arrive;
pub(super) mod control;
pub(super) mod leave;
pub(crate) mod wire;

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use becket_ingress::server::Server;
use serde::{Deserialize, Serialize};

use crate::config::Loaded;

/// Where processes of a gateway talk to each other, in its folder.
const CONTROL: &str = "control.sock";
/// Where requests are passed on.
const FORWARD: &str = "forward.sock";
/// The longest path that an address of a Unix socket holds, with its end.
const UNIX_PATH_MAX: usize = 100;

/// What a listening socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Use {
    /// Receiving, and management if that is not apart.
    Listen,
    /// Management.
    Admin,
    /// Questions of a certificate authority.
    Challenge,
}

/// The sockets of one listener.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) purpose: Use,
    /// The address in the configuration, which may leave the port open.
    pub(super) configured: SocketAddr,
    /// Whether systemd has opened it; then its address is that of the unit.
    pub(super) activated: bool,
    pub(super) sockets: Vec<TcpListener>,
}

/// Everything that a process needs to be reached, and that the next one gets.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) doors: Vec<Door>,
    pub(super) meeting: Option<Meeting>,
}

/// Where two processes of a gateway meet.
#[derive(Debug)]
pub(super) struct Meeting {
    pub(super) control: UnixListener,
    pub(super) forward: UnixListener,
    pub(super) place: Place,
}

impl Doors {
    /// Copies of the sockets for a purpose; none if there is no such listener.
    pub(super) fn copies(&self, purpose: Use) -> io::Result<Vec<TcpListener>> {
        let found = self.doors.iter().find(|door| door.purpose == purpose);
        let sockets = found.map(|door| door.sockets.as_slice()).unwrap_or_default();
        sockets.iter().map(TcpListener::try_clone).collect()
    }

    /// A copy of the socket for requests that are passed on.
    pub(super) fn forwarded(&self) -> io::Result<Option<UnixListener>> {
        self.meeting.as_ref().map(|meeting| meeting.forward.try_clone()).transpose()
    }

    pub(super) fn is_activated(&self) -> bool {
        self.doors.iter().any(|door| door.activated)
    }
}

/// A folder in which sockets lie, however long its path is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    folder: PathBuf,
    /// Keeps the folder open while its sockets are reached by way of it.
    _open: Option<Arc<File>>,
}

impl Place {
    /// # Errors
    /// If the folder cannot be opened.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        if folder.as_os_str().len() + FORWARD.len() < UNIX_PATH_MAX {
            return Ok(Self { folder: folder.to_path_buf(), _open: None });
        }
        let open = File::open(folder)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        Ok(Self { folder: short, _open: Some(Arc::new(open)) })
    }

    pub(super) fn control(&self) -> PathBuf {
        self.folder.join(CONTROL)
    }

    pub(super) fn forward(&self) -> PathBuf {
        self.folder.join(FORWARD)
    }
}

impl Meeting {
    /// Opens both sockets; what a process that has ended left there is removed.
    ///
    /// # Errors
    /// If a socket cannot be made there, or another process answers.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let place = Place::new(folder)?;
        let control = open_unix(&place.control())?;
        let forward = open_unix(&place.forward())?;
        Ok(Self { control, forward, place })
    }
}

fn open_unix(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// How long a process that could not start may take to end.
const FAILING_MAX: Duration = Duration::from_secs(10);
/// How long one that was told to stop may take: it finishes what is in flight, for as long as it was
/// configured to, and who waits has nothing to do meanwhile.
const STOPPING_MAX: Duration = Duration::from_secs(10 * 60);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Waits until a process has let go of everything, the store's lock too. That its end of a
/// conversation is closed does not say so: what it had open is closed one after the other.
async fn ended(pid: u32, longest: Duration) {
    let until = tokio::time::Instant::now() + longest;
    while is_alive(pid) && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether any thread of a process is left. The first one may have ended before the others, and what
/// is open belongs to all.
fn is_alive(pid: u32) -> bool {
    let Ok(words) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The state follows the name, which stands in brackets and may hold anything.
    let state = words.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    threads > 1 || !matches!(state, Some('Z' | 'X'))
}

/// How a process came to its end, or not.
pub(super) enum Left {
    /// It was told to stop and has.
    Stopped,
    /// Another process serves; some connections are left.
    Lingering(Remaining),
    /// Another process was to serve and could not: this one has to go on.
    Back(Box<Back>),
}

/// What is left of a gateway that has to be wired anew.
pub(super) struct Back {
    /// As it was configured.
    pub(super) loaded: Loaded,
    pub(super) doors: Arc<Doors>,
    /// Connections that wait for whoever serves next.
    pub(super) remaining: Remaining,
}

/// Connections that are left when another process serves.
pub(super) struct Remaining {
    server: Server,
    /// Where their requests are passed on, which has to stay open as long as they do.
    _place: Option<Place>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_made_anew_after_a_crash_but_never_taken_from_the_living() {
        let folder = tempfile::tempdir().unwrap();
        let first = Meeting::open(folder.path()).unwrap();
        let error = Meeting::open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(folder.path().join(CONTROL).exists(), "as after a crash");
        let again = Meeting::open(folder.path()).unwrap();
        let mode = std::fs::metadata(folder.path().join(FORWARD)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(again);
    }

    #[tokio::test]
    async fn an_end_is_waited_for() {
        let mut child = std::process::Command::new("sleep").arg("0.2").spawn().unwrap();
        assert!(is_alive(std::process::id()) && is_alive(child.id()));
        ended(child.id(), FAILING_MAX).await;
        assert!(child.try_wait().unwrap().is_some(), "what is left is for its parent to see");
    }

    #[test]
    fn a_long_path_is_no_obstacle() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("a".repeat(120)).join("b".repeat(120));
        std::fs::create_dir_all(&folder).unwrap();
        let meeting = Meeting::open(&folder).unwrap();
        assert!(folder.join(CONTROL).exists());
        let place = Place::new(&folder).unwrap();
        assert!(UnixStream::connect(place.control()).is_ok());
        drop(meeting);
    }
}

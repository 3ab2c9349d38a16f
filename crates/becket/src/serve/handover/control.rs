//! The running process: who asks it to make room, and what it answers.
//!
//! Everything that happens comes to one queue, which is looked at beside the signals; whatever takes
//! time runs in a task of its own, so that the gateway goes on until the next process is ready.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Doors;
use super::wire::{DoorWords, Message, PROTOCOL, Wire};

/// How long whoever connects may take to say what it wants.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// How long a new process may take until it is ready.
const READY_PATIENCE: Duration = Duration::from_secs(60);
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// What may wait to be looked at.
const HAPPENED_MAX: usize = 16;

/// How the running process starts the one that follows it.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Again {
    program: PathBuf,
    arguments: Vec<std::ffi::OsString>,
}

impl Again {
    /// As this process was started; to be asked before the file may have been exchanged.
    pub(in crate::serve) fn as_now() -> std::io::Result<Self> {
        let mut arguments = std::env::args_os();
        let named = arguments.next().map(PathBuf::from).unwrap_or_default();
        // The name it was called by may be a link, which leads to the new program after an upgrade.
        let program = match named.components().count() > 1 {
            true => std::path::absolute(named)?,
            false => std::env::current_exe()?,
        };
        let mut kept: Vec<std::ffi::OsString> = Vec::new();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some(RESTART_OF) => drop(arguments.next()),
                Some(TAKEOVER) => {}
                _ => kept.push(argument),
            }
        }
        Ok(Self { program, arguments: kept })
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(RESTART_OF).arg(folder);
        // What systemd handed to this process comes by way of this process.
        command.env_remove("LISTEN_FDS").env_remove("LISTEN_PID").env_remove("LISTEN_FDNAMES");
        command
    }
}

const RESTART_OF: &str = "--restart-of";
const TAKEOVER: &str = "--takeover";

/// A new process that is ready to serve.
pub(in crate::serve) struct Conversation {
    pub(super) wire: Wire,
    pub(super) pid: u32,
    /// Whether it serves already, because the store can be shared.
    pub(super) serving: bool,
    /// Who asked for it and waits for an answer.
    pub(super) asker: Option<Wire>,
    /// Who is told when the new process serves: what happened until then is in the log.
    pub(super) begun: Instant,
}

/// What has happened.
pub(in crate::serve) enum Happened {
    /// Somebody wants this process to be replaced.
    Restart(Wire),
    /// A process wants to take over.
    Hello(Wire, Caller),
    /// It is ready.
    Ready(Box<Conversation>),
    /// It cannot.
    Failed(Failure),
    /// A process that was started here has ended.
    Ended(u32, std::io::Result<ExitStatus>),
    /// A process that was started here has not said anything.
    Overdue(u32),
}

/// Why a process cannot take over.
pub(in crate::serve) struct Failure {
    /// The process, as far as the system knows it.
    pid: Option<u32>,
    why: String,
    /// Kept until this has been dealt with: the process ends when it is closed, and its end must not be
    /// seen before its reason.
    _wire: Option<Wire>,
}

/// Who wants to take over.
pub(in crate::serve) struct Caller {
    pid: u32,
    shares_store: bool,
}

/// A process that was started to take over.
struct Started {
    pid: u32,
    asker: Option<Wire>,
    begun: Instant,
}

/// What the running process knows of others.
pub(in crate::serve) struct Control {
    doors: Arc<Doors>,
    folder: PathBuf,
    again: Again,
    shares_store: bool,
    happened: mpsc::Receiver<Happened>,
    sender: mpsc::Sender<Happened>,
    /// The process that is being talked to because it wants to take over.
    talking: Option<u32>,
    started: Option<Started>,
    listening: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

impl Control {
    /// Listens for others from now on.
    pub(in crate::serve) fn start(
        doors: Arc<Doors>,
        folder: PathBuf,
        again: Again,
        shares_store: bool,
    ) -> Self {
        let (sender, happened) = mpsc::channel(HAPPENED_MAX);
        let listening = doors.meeting.as_ref().and_then(|meeting| {
            let opened = meeting.control.try_clone().and_then(|socket| {
                socket.set_nonblocking(true)?;
                UnixListener::from_std(socket)
            });
            match opened {
                Ok(listener) => Some(tokio::spawn(listen(listener, sender.clone()))),
                Err(error) => {
                    tracing::error!(%error, "a restart cannot be asked for");
                    None
                }
            }
        });
        let (talking, started) = (None, None);
        Self { doors, folder, again, shares_store, happened, sender, talking, started, listening }
    }

    /// The next thing that happens.
    pub(in crate::serve) async fn next(&mut self) -> Happened {
        match self.happened.recv().await {
            Some(happened) => happened,
            // This value holds a sender, so that there always may come something.
            None => std::future::pending().await,
        }
    }

    /// Does what follows from it. Answers with the process that is ready to serve.
    pub(in crate::serve) fn take(&mut self, happened: Happened) -> Option<Conversation> {
        match happened {
            Happened::Restart(wire) => self.restart(Some(wire)),
            Happened::Hello(wire, caller) => self.greet(wire, caller),
            Happened::Ready(mut conversation) => {
                if let Some(started) = self.started.take_if(|it| it.pid == conversation.pid) {
                    conversation.asker = started.asker;
                    conversation.begun = started.begun;
                }
                return Some(*conversation);
            }
            Happened::Failed(Failure { pid, why, _wire }) => {
                if pid.is_none() || self.talking == pid {
                    self.talking = None;
                }
                self.give_up(pid, &why);
            }
            Happened::Ended(pid, status) => {
                // One that is being talked with has said why, or the conversation sees its end.
                let silent = self.talking != Some(pid);
                if silent && self.started.as_ref().is_some_and(|started| started.pid == pid) {
                    let how = status.map_or_else(|error| error.to_string(), |it| it.to_string());
                    let why = format!("the new process ended before it was ready ({how})");
                    self.give_up(Some(pid), &why);
                }
            }
            Happened::Overdue(pid) => {
                let waits = self.started.as_ref().is_some_and(|started| started.pid == pid);
                if waits && self.talking.is_none() {
                    end_process(pid);
                    let why = "the new process did not get ready in time and was ended";
                    self.give_up(Some(pid), why);
                }
            }
        }
        None
    }

    /// Starts the process that follows this one, unless that is being done.
    pub(in crate::serve) fn restart(&mut self, asker: Option<Wire>) {
        if self.talking.is_some() || self.started.is_some() {
            tracing::warn!("a restart is already under way");
            answer(asker, "a restart is already under way".to_owned());
            return;
        }
        if self.doors.meeting.is_none() {
            let why = "this gateway has no place to meet the next process; its log says why";
            tracing::error!("restart.failed: {why}; this process goes on");
            answer(asker, why.to_owned());
            return;
        }
        let begun = Instant::now();
        match self.again.command(&self.folder).spawn() {
            Ok(mut child) => {
                let pid = child.id().unwrap_or_default();
                tracing::info!(pid, program = %self.again.program.display(), "restarting: the new process is being started");
                self.started = Some(Started { pid, asker, begun });
                let sender = self.sender.clone();
                tokio::spawn(async move {
                    let ended = match timeout(READY_PATIENCE, child.wait()).await {
                        Ok(ended) => ended,
                        Err(_) => {
                            // Nobody listens any more once it has taken over.
                            let _ = sender.send(Happened::Overdue(pid)).await;
                            child.wait().await
                        }
                    };
                    let _ = sender.send(Happened::Ended(pid, ended)).await;
                });
            }
            Err(error) => {
                let program = self.again.program.display();
                let why = format!("{program} could not be started: {error}");
                tracing::error!("restart.failed: {why}; this process goes on");
                answer(asker, why);
            }
        }
    }

    fn greet(&mut self, mut wire: Wire, caller: Caller) {
        if self.talking.is_some() {
            tokio::spawn(async move {
                let why = "another process is taking over just now".to_owned();
                // It may have gone, which is what it is to do.
                let _ = wire.say(&Message::Refused { why }).await;
            });
            return;
        }
        self.talking = Some(caller.pid);
        let (doors, sender) = (Arc::clone(&self.doors), self.sender.clone());
        let shares_store = self.shares_store && caller.shares_store;
        tokio::spawn(async move {
            let begun = Instant::now();
            let happened = match offer(&mut wire, &doors, shares_store).await {
                Ok(()) => Happened::Ready(Box::new(Conversation {
                    wire,
                    pid: caller.pid,
                    serving: shares_store,
                    asker: None,
                    begun,
                })),
                Err(why) => {
                    // It may be gone, which then is why.
                    let _ = wire.say(&Message::Refused { why: why.clone() }).await;
                    Happened::Failed(Failure { pid: Some(caller.pid), why, _wire: Some(wire) })
                }
            };
            // The queue's other end lives as long as the gateway serves.
            let _ = sender.send(happened).await;
        });
    }

    /// Tells whoever asked for this process, if it is the one that was started here.
    fn give_up(&mut self, pid: Option<u32>, why: &str) {
        tracing::error!("restart.failed: {why}; this process goes on");
        let started = self.started.take_if(|started| pid.is_none_or(|pid| pid == started.pid));
        answer(started.and_then(|started| started.asker), why.to_owned());
    }
}

/// Tells whoever asked for a restart why there was none.
pub(super) fn answer(asker: Option<Wire>, why: String) {
    if let Some(mut wire) = asker {
        tokio::spawn(async move {
            // It may not have waited.
            let _ = wire.say(&Message::Failed { why }).await;
        });
    }
}

fn end_process(pid: u32) {
    let known = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = known
        && let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::TERM)
    {
        tracing::warn!(%error, "the new process could not be ended");
    }
}

async fn listen(listener: UnixListener, sender: mpsc::Sender<Happened>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Some(happened) = first_words(Wire::new(stream)).await {
                        // Nobody listens any more when the gateway stops.
                        let _ = sender.send(happened).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot hear who asks for a restart; trying again");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn first_words(mut wire: Wire) -> Option<Happened> {
    if !wire.is_trusted() {
        tracing::warn!("another user asked for this gateway's sockets and was not heard");
        return None;
    }
    // Whoever only looks whether somebody is there says nothing.
    let said = timeout(HELLO_PATIENCE, wire.hear()).await.ok()?.ok()?;
    match said {
        Message::Restart => Some(Happened::Restart(wire)),
        Message::Failed { why } => {
            let pid = wire.pid();
            Some(Happened::Failed(Failure { pid, why, _wire: Some(wire) }))
        }
        Message::Hello { protocol: PROTOCOL, pid, shares_store, .. } => {
            Some(Happened::Hello(wire, Caller { pid, shares_store }))
        }
        Message::Hello { version, .. } => {
            let why = format!(
                "version {} cannot hand over to version {version}; stop this process and start the other",
                env!("CARGO_PKG_VERSION")
            );
            tracing::error!("{why}");
            let _ = wire.say(&Message::Refused { why }).await;
            None
        }
        _ => None,
    }
}

/// Hands the sockets over and waits until the other process is ready, or serves if it can already.
async fn offer(wire: &mut Wire, doors: &Doors, shares_store: bool) -> Result<(), String> {
    let gone = |error: std::io::Error| format!("the new process went away ({error})");
    let Some(meeting) = &doors.meeting else { return Err("there is nothing to hand over".into()) };
    let words = doors.doors.iter().map(|door| DoorWords {
        purpose: door.purpose,
        configured: door.configured,
        activated: door.activated,
        sockets: door.sockets.len(),
    });
    let have = Message::Have {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        shares_store,
        doors: words.collect(),
    };
    wire.say(&have).await.map_err(gone)?;
    let mut sockets: Vec<_> =
        doors.doors.iter().flat_map(|door| &door.sockets).map(std::os::fd::AsFd::as_fd).collect();
    sockets.extend([meeting.control.as_fd(), meeting.forward.as_fd()]);
    wire.say_sockets(&sockets).await.map_err(gone)?;
    let late = |_| "the new process was not ready in time".to_owned();
    timeout(READY_PATIENCE, expect(wire, &Message::Ready)).await.map_err(late)??;
    if shares_store {
        wire.say(&Message::Yours).await.map_err(gone)?;
        // It may have to bring the tables up to date, which takes as long as it takes.
        expect(wire, &Message::Serving).await?;
    }
    Ok(())
}

async fn expect(wire: &mut Wire, wanted: &Message) -> Result<(), String> {
    match wire.hear().await {
        Ok(said) if said == *wanted => Ok(()),
        Ok(Message::Failed { why }) => Err(why),
        Ok(other) => Err(format!("the new process said {other:?}")),
        Err(error) => Err(format!("the new process ended before it was ready ({error})")),
    }
}

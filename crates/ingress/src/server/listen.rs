//! Opening listeners, and the accept loop of one thread.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::connection::{self, Shared};
use super::flow::Flow;
use super::{Bind, Listener, Phase, Serves, forward};
use crate::error::ServeError;
use crate::limit::Crowded;
use crate::report::ConnectionEvent;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// After an error that accepting again would only repeat (no file descriptors), how long to rest.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// What a connection gets that cannot be taken.
const SHED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

/// One thread's share of a listener.
pub(super) enum Opened {
    /// Senders connect to it.
    Senders { listener: StdListener, serves: Serves, tls: Option<Arc<ArcSwap<ServerConfig>>> },
    /// Another process passes on requests through it.
    PassedOn(StdUnixListener),
}

/// A listener with a share for each thread, or more.
pub(super) struct OpenedAll {
    pub address: SocketAddr,
    pub shares: Vec<Opened>,
}

/// Opens a listener for each thread.
pub(super) fn open(
    listener: Listener,
    threads: usize,
    share: bool,
) -> Result<OpenedAll, ServeError> {
    let Listener { bind, serves, tls } = listener;
    let (address, sockets) = match bind {
        Bind::Address(address) => {
            bind_all(address, threads, share).map_err(|error| refused(address, &error))?
        }
        Bind::Open(sockets) => clone_all(&sockets, threads).map_err(ServeError::Inherited)?,
    };
    let share = |listener| Opened::Senders { listener, serves, tls: tls.clone() };
    Ok(OpenedAll { address, shares: sockets.into_iter().map(share).collect() })
}

/// A share for each thread of the socket for requests that are passed on.
pub(super) fn passed_on(
    socket: &StdUnixListener,
    threads: usize,
) -> Result<Vec<Opened>, ServeError> {
    socket.set_nonblocking(true).map_err(ServeError::Inherited)?;
    let clone = |_| socket.try_clone().map(Opened::PassedOn).map_err(ServeError::Inherited);
    (0..threads).map(clone).collect()
}

pub(super) fn refused(address: SocketAddr, error: &io::Error) -> ServeError {
    ServeError::Bind { address, problem: in_words(address, error) }
}

pub(super) fn bind_all(
    address: SocketAddr,
    threads: usize,
    share: bool,
) -> io::Result<(SocketAddr, Vec<StdListener>)> {
    if !share && address.port() != 0 {
        // Sharing the port among our threads would also let a second gateway join in unnoticed; a
        // listener that does not share finds out.
        drop(bind_one(address, false)?);
    }
    let first = bind_one(address, true)?;
    let address = first.local_addr()?;
    let mut all = vec![first];
    for _ in 1..threads {
        all.push(bind_one(address, true)?);
    }
    Ok((address, all))
}

fn bind_one(address: SocketAddr, share: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Every socket at least once, and every thread at least one.
fn clone_all(
    sockets: &[StdListener],
    threads: usize,
) -> io::Result<(SocketAddr, Vec<StdListener>)> {
    let first = sockets.first().ok_or(io::ErrorKind::InvalidInput)?;
    let address = first.local_addr()?;
    for socket in sockets {
        socket.set_nonblocking(true)?;
    }
    let count = sockets.len().max(threads);
    let all = sockets.iter().cycle().take(count).map(StdListener::try_clone);
    Ok((address, all.collect::<io::Result<_>>()?))
}

fn in_words(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program already listens there ({error}); stop it, or choose another port"
        ),
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            format!("ports below 1024 need a privilege ({error}); use a higher port or a proxy")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine does not have the address ({error})")
        }
        _ => error.to_string(),
    }
}

/// Runs one thread's listeners until stopped or handed over, then waits for what is in flight.
pub(super) async fn run(
    listeners: Vec<Opened>,
    shared: &Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
    grace: Duration,
) {
    // Every accept loop and connection holds a sender; when all are gone, nothing is in flight.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    for opened in listeners {
        let (shared, phase, alive) = (Arc::clone(shared), phase.clone(), alive.clone());
        match opened {
            Opened::Senders { listener, serves, tls } => {
                tokio::spawn(accept_loop(listener, serves, tls, shared, phase, alive));
            }
            Opened::PassedOn(listener) => {
                tokio::spawn(passed_on_loop(listener, shared, phase, alive));
            }
        }
    }
    drop(alive);
    super::left(&mut phase, Phase::Handed).await;
    tokio::select! {
        _ = all_gone.recv() => {}
        () = super::left(&mut phase, Phase::Stopped) => {}
    }
    let deadline = Instant::now() + grace;
    let _ = timeout_at(deadline, all_gone.recv()).await;
    while shared.ingress.unfinished_count() > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(5)).await;
    }
}

async fn accept_loop(
    listener: StdListener,
    serves: Serves,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    shared: Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
    alive: mpsc::Sender<()>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a listener could not be used; its address is not served");
            return;
        }
    };
    let leaving = phase.clone();
    let take = |stream: TcpStream, peer: SocketAddr| {
        let tls = tls.as_ref().map(|tls| tls.load_full());
        take(stream, peer, serves, tls, &shared, &leaving, &alive);
    };
    loop {
        tokio::select! {
            biased;
            // Looked at first: a queue that never empties must not keep this process from leaving.
            () = super::left(&mut phase, Phase::Handed) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => take(stream, peer),
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                    sleep(ACCEPT_REST).await;
                }
            },
        }
    }
    if *phase.borrow() == Phase::Handed {
        return;
    }
    // Those that already wait have been told by the system that they are connected.
    let waiting = listener.into_std();
    each_waiting(waiting, StdListener::accept, |(stream, peer)| {
        stream.set_nonblocking(true)?;
        take(TcpStream::from_std(stream)?, peer);
        Ok(())
    });
}

/// Takes every connection that waits at a listener which does not block.
fn each_waiting<L, C>(
    listener: io::Result<L>,
    accept: impl Fn(&L) -> io::Result<C>,
    mut take: impl FnMut(C) -> io::Result<()>,
) {
    let taken = listener.and_then(|listener| {
        // No more than can have waited: others may still be coming.
        for _ in 0..BACKLOG {
            match accept(&listener) {
                Ok(connection) => take(connection)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_of_connection(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    if let Err(error) = taken {
        tracing::warn!(%error, "connections that waited at the end could not all be taken");
    }
}

/// Takes requests that another process passes on.
async fn passed_on_loop(
    listener: StdUnixListener,
    shared: Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
    alive: mpsc::Sender<()>,
) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "requests that are passed on cannot be taken");
            return;
        }
    };
    let _taking = shared.flow.take();
    let leaving = phase.clone();
    let take = |stream: UnixStream| {
        if !forward::is_trusted(&stream) {
            tracing::warn!("another user wanted to pass on requests and was not heard");
            return;
        }
        let (shared, phase, alive) = (Arc::clone(&shared), leaving.clone(), alive.clone());
        let arrived = Flow::arrive(&shared.tally);
        tokio::spawn(async move {
            let _alive = alive;
            connection::serve_passed_on(stream, shared, phase, arrived).await;
        });
    };
    loop {
        tokio::select! {
            biased;
            () = super::left(&mut phase, Phase::Handed) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => take(stream),
                Err(error) => {
                    tracing::warn!(%error, "cannot take what is passed on; trying again");
                    sleep(ACCEPT_REST).await;
                }
            },
        }
    }
    if *phase.borrow() == Phase::Handed {
        return;
    }
    let waiting = listener.into_std();
    each_waiting(waiting, StdUnixListener::accept, |(stream, _)| {
        stream.set_nonblocking(true)?;
        take(UnixStream::from_std(stream)?);
        Ok(())
    });
}

/// Errors that concern the one connection that was to be accepted.
fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn take(
    mut stream: TcpStream,
    peer: SocketAddr,
    serves: Serves,
    tls: Option<Arc<ServerConfig>>,
    shared: &Arc<Shared>,
    phase: &watch::Receiver<Phase>,
    alive: &mpsc::Sender<()>,
) {
    let slot = match shared.ingress.connections.enter(peer.ip()) {
        Ok(slot) => slot,
        Err(crowded) => {
            shared.ingress.observer.connection(match crowded {
                Crowded::All => ConnectionEvent::Shed,
                Crowded::Address => ConnectionEvent::AddressCrowded,
            });
            if tls.is_none() {
                // Nothing waits for this: what the socket does not take at once is not sent.
                let _ = stream.try_write(SHED);
            }
            return;
        }
    };
    let (shared, phase, alive) = (Arc::clone(shared), phase.clone(), alive.clone());
    tokio::spawn(async move {
        let _alive = alive;
        let _slot = slot;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it was served");
            let _ = stream.shutdown().await;
            return;
        }
        connection::serve(stream, peer, serves, tls, shared, phase).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_a_port_and_another_process_is_noticed() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (address, all) = bind_all(any, 3, false).unwrap();
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|one| one.local_addr().unwrap() == address));
        let error = bind_all(address, 1, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(in_words(address, &error).contains("another program"));
        assert!(bind_all(address, 1, true).is_ok(), "wanted when one process takes over");
        drop(all);
    }

    #[test]
    fn all_that_wait_are_taken_and_nothing_is_waited_for() {
        let listener = bind_one("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting: Vec<_> =
            (0..300).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let mut taken = 0;
        each_waiting(Ok(listener), StdListener::accept, |_| {
            taken += 1;
            Ok(())
        });
        assert_eq!(taken, waiting.len());
    }
}

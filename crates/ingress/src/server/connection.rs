//! One connection's life: TLS, requests one after the other, and a clean end.

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::flow::{Flow, Kind, Stay, Tally};
use super::forward::{self, From};
use super::strict::{self, Malformed};
use super::timed_io::TimedIo;
use super::{Fallback, IDENTITY_PATH, Phase, READY_PATH, Serves};
use crate::address::client_address;
use crate::answer::{self, Reply, ReplyBody, Turn};
use crate::body::TimedBody;
use crate::receive::{Ingress, Peer};
use crate::report::{ConnectionEvent, Outcome, Telling};

/// The most bytes of a request line with its headers, and of the buffer for reading bodies.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long a connection that has sent nothing yet may still send its first request when the gateway
/// is asked to stop: its sender was told that it is connected, and its bytes may be on their way.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// What all connections of a thread share.
pub(super) struct Shared {
    pub ingress: Arc<Ingress>,
    pub fallback: Arc<dyn Fallback>,
    pub flow: Arc<Flow>,
    /// This thread's part of the counts.
    pub tally: Arc<Tally>,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    serves: Serves,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
) {
    let observer = Arc::clone(&shared.ingress.observer);
    observer.connection(ConnectionEvent::Opened);
    let from = Some(From { peer: Peer { address, tls: tls.is_some() }, serves });
    match tls {
        None => serve_http(stream, from, None, shared, phase).await,
        Some(config) => {
            let patience = Duration::from_millis(shared.ingress.limits.header_timeout_ms);
            match timeout(patience, TlsAcceptor::from(config).accept(stream)).await {
                Ok(Ok(stream)) => serve_http(stream, from, None, shared, phase).await,
                Ok(Err(_)) | Err(_) => observer.connection(ConnectionEvent::TlsFailed),
            }
        }
    }
    observer.connection(ConnectionEvent::Closed);
}

/// Serves a connection by which another process passes on a request, which has been counted.
pub(super) async fn serve_passed_on(
    stream: UnixStream,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    arrived: Stay,
) {
    serve_http(stream, None, Some(arrived), shared, phase).await;
}

/// Serves a connection; without `from`, each request says from whom it is. What is counted already
/// counts until the first request does, or none came.
async fn serve_http<S>(
    stream: S,
    from: Option<From>,
    arrived: Option<Stay>,
    shared: Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let turns = Arc::new(AtomicU32::new(0));
    let begun = Arc::clone(&turns);
    let io = TimedIo::new(stream, Arc::clone(&turns), &shared.ingress.limits);
    let observer = Arc::clone(&shared.ingress.observer);
    let arrived = Cell::new(arrived);
    let service = service_fn(move |request| {
        let (shared, turn) = (Arc::clone(&shared), Turn::begin(&turns));
        let arrived = arrived.take();
        async move {
            let mut reply = shared.answer_or_pass_on(request, from, arrived).await?;
            reply.body_mut().hold(turn);
            Ok::<_, Infallible>(reply)
        }
    });
    // The header timer of the connection is in `TimedIo`.
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .half_close(false)
        .serve_connection(TokioIo::new(io), service);
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = super::left(&mut phase, Phase::Stopped) => {
            // hyper closes a connection at once if nothing has been read from it.
            let first = async {
                while begun.load(Ordering::Relaxed) == 0 {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! {
                biased;
                ended = &mut connection => ended,
                _ = timeout(FIRST_REQUEST_GRACE, first) => {
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                    (&mut connection).await
                }
            }
        }
    };
    if let Err(error) = ended {
        observer.connection(if is_timeout(&error) {
            ConnectionEvent::TimedOut
        } else {
            ConnectionEvent::Broken
        });
    }
    connection.into_parts().io.into_inner().linger().await;
}

fn is_timeout(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    error.is_timeout() || source.is_some_and(|source| source.kind() == std::io::ErrorKind::TimedOut)
}

fn is_webhook(path: &str) -> bool {
    (path == "/in" || path.starts_with("/in/")) && path != IDENTITY_PATH
}

impl Shared {
    async fn answer_or_pass_on(
        &self,
        mut request: Request<Incoming>,
        from: Option<From>,
        arrived: Option<Stay>,
    ) -> Result<Reply, Infallible> {
        let (from, kind) = match from {
            None => match From::taken_from(&mut request) {
                Some(from) => (from, Kind::Forwarded),
                None => return forward::not_understood(),
            },
            Some(from) if is_webhook(request.uri().path()) => (from, Kind::Receiving),
            Some(from) => (from, Kind::Managing),
        };
        let entered = self.flow.enter(&self.tally, kind);
        // Counted as a request from now on.
        drop(arrived);
        let to = match entered {
            Ok(stay) => {
                let mut reply = self.answer(request, from.peer, from.serves).await;
                reply.body_mut().count(stay);
                if self.flow.is_parting() {
                    answer::close(&mut reply);
                }
                return Ok(reply);
            }
            Err(to) => to,
        };
        let (head, body) = request.into_parts();
        if let Err(malformed) = strict::check(&head) {
            return Ok(self.refuse(&head, malformed, from.peer));
        }
        let occupied = || self.flow.occupy(&self.tally);
        Ok(forward::forward(to, &self.ingress, head, body, from, occupied).await)
    }

    async fn answer(&self, request: Request<Incoming>, peer: Peer, serves: Serves) -> Reply {
        let path = request.uri().path();
        let webhook = is_webhook(path);
        // Asked for at the public address, also where that serves nothing but webhooks.
        let serves = match path {
            IDENTITY_PATH | READY_PATH => Serves::Fallback,
            _ => serves,
        };
        let (head, body) = request.into_parts();
        if let Err(malformed) = strict::check(&head) {
            return self.refuse(&head, malformed, peer);
        }
        let last = strict::ends_connection(&head);
        let mut reply = match serves {
            Serves::Everything | Serves::Webhooks if webhook => {
                self.ingress.receive_webhook(&head, body, peer).await
            }
            Serves::Webhooks => {
                answer::problem(StatusCode::NOT_FOUND, "There is nothing at this address.", None)
            }
            Serves::Everything | Serves::Fallback => {
                let body = TimedBody::new(body, &self.ingress.limits);
                let request = Request::from_parts(head, body);
                self.fallback.handle(request, peer).await.map(ReplyBody::stream)
            }
        };
        if last {
            answer::close(&mut reply);
        }
        reply
    }

    fn refuse(&self, head: &http::request::Parts, malformed: Malformed, peer: Peer) -> Reply {
        let trusted = &self.ingress.limits.trusted_proxies;
        let remote = client_address(peer.address.ip(), &head.headers, trusted);
        let mut telling = Telling::new(&*self.ingress.observer, remote);
        telling.outcome = Outcome::Malformed;
        telling.code = Some(malformed.code);
        telling.status = malformed.status.as_u16();
        let mut reply = answer::problem(malformed.status, malformed.detail, None);
        answer::close(&mut reply);
        reply
    }
}

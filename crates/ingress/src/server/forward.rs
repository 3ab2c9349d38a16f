//! Passing a request on to the process that answers from now on, over a Unix socket.
//!
//! Who the sender is travels in a header of its own, which is believed only on connections of that
//! socket: it lies in the gateway's folder, and only processes of the same user (or root) are
//! listened to.
//!
//! A body is read here first, up to a limit, so that a slow sender does not make the other process
//! wait; only what is larger is passed on while it arrives, and counts here as long as this process may
//! be the one that takes it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, EXPECT, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::{Serves, Stay};
use crate::address::client_address;
use crate::answer::{self, Reply, ReplyBody};
use crate::body::{BodyError, TimedBody};
use crate::receive::{Ingress, Peer};
use crate::report::{Outcome, Telling};

/// Says from whom a request is that another process passes on.
const FROM: HeaderName = HeaderName::from_static("becket-passed-on-from");
/// So much of a body is read before the request is passed on.
const FIRST_BYTES: usize = 1024 * 1024;
/// How long somebody is looked for who takes the request: the next process may still be starting.
const CONNECT_PATIENCE: Duration = Duration::from_secs(25);
const CONNECT_AGAIN: Duration = Duration::from_millis(5);
/// How long the answer may take; calls of the API may wait for news.
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);

/// From whom a request is, and what its listener answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct From {
    pub peer: Peer,
    pub serves: Serves,
}

impl From {
    fn to_text(self) -> String {
        let Self { peer, serves } = self;
        let serves = match serves {
            Serves::Everything => "everything",
            Serves::Webhooks => "webhooks",
            Serves::Fallback => "fallback",
        };
        format!("{} {} {serves}", peer.address, if peer.tls { "tls" } else { "plain" })
    }

    fn of_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let address: SocketAddr = words.next()?.parse().ok()?;
        let tls = words.next()? == "tls";
        let serves = match words.next()? {
            "everything" => Serves::Everything,
            "webhooks" => Serves::Webhooks,
            "fallback" => Serves::Fallback,
            _ => return None,
        };
        Some(Self { peer: Peer { address, tls }, serves })
    }

    /// Takes what the other process says out of a request; `None` if it says nothing that is understood.
    pub(super) fn taken_from<B>(request: &mut Request<B>) -> Option<Self> {
        let value = request.headers_mut().remove(FROM)?;
        Self::of_text(value.to_str().ok()?)
    }
}

/// Passes a request on and brings the answer back, which is the last one of its connection. What
/// `occupied` gives is held while a request is answered of which some is still to come.
pub(super) async fn forward(
    to: &Path,
    ingress: &Ingress,
    mut head: Parts,
    body: Incoming,
    from: From,
    occupied: impl FnOnce() -> Option<Stay>,
) -> Reply {
    let mut body = TimedBody::new(body, &ingress.limits);
    let mut share = ingress.body_share();
    let mut first = BytesMut::new();
    let mut rest = true;
    while rest && first.len() < FIRST_BYTES {
        match body.frame().await {
            None => rest = false,
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if !share.grow(data.len() as u64) {
                    return not_now();
                }
                first.extend_from_slice(&data);
            }
            Some(Err(error)) => return unread(ingress, &head, from, &error),
        }
    }
    head.headers.remove(EXPECT);
    head.headers.remove(FROM);
    if let Ok(value) = HeaderValue::try_from(from.to_text()) {
        head.headers.insert(FROM, value);
    }
    let _occupied = if rest { occupied() } else { None };
    let carried = Carried { first: first.freeze(), rest: rest.then_some(body) };
    match timeout(ANSWER_PATIENCE, ask(to, Request::from_parts(head, carried))).await {
        Ok(Ok(response)) => {
            let (mut head, body) = response.into_parts();
            // These belong to the connection between the two processes.
            head.headers.remove(CONNECTION);
            head.headers.remove(TRANSFER_ENCODING);
            let body = body.map_err(Into::into).boxed_unsync();
            let mut reply = Response::from_parts(head, ReplyBody::stream(body));
            answer::close(&mut reply);
            reply
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "a request could not be passed on to the next process");
            not_now()
        }
        Err(_) => {
            tracing::warn!("the next process did not answer a request that was passed on");
            not_now()
        }
    }
}

async fn ask(to: &Path, request: Request<Carried>) -> io::Result<Response<Incoming>> {
    let stream = connect(to).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        // Whoever reads the answer learns of an error there.
        let _ = connection.await;
    });
    sender.send_request(request).await.map_err(io::Error::other)
}

/// Nobody may be listening for a moment, and many may want to connect at once.
async fn connect(to: &Path) -> io::Result<UnixStream> {
    let until = Instant::now() + CONNECT_PATIENCE;
    loop {
        match UnixStream::connect(to).await {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => sleep(CONNECT_AGAIN).await,
        }
    }
}

fn not_now() -> Reply {
    let detail = "The gateway is being restarted; send this again.";
    let mut reply = answer::problem(StatusCode::SERVICE_UNAVAILABLE, detail, Some(1));
    answer::close(&mut reply);
    reply
}

/// The sender was too slow or went away before there was anything to pass on.
fn unread(ingress: &Ingress, head: &Parts, from: From, error: &BodyError) -> Reply {
    let trusted = &ingress.limits.trusted_proxies;
    let remote = client_address(from.peer.address.ip(), &head.headers, trusted);
    let mut telling = Telling::new(&*ingress.observer, remote);
    let (outcome, status) = match error {
        BodyError::Idle(_) | BodyError::Deadline => {
            (Outcome::TimedOut, StatusCode::REQUEST_TIMEOUT)
        }
        BodyError::Transport(_) => (Outcome::Disconnected, StatusCode::BAD_REQUEST),
    };
    (telling.outcome, telling.status) = (outcome, status.as_u16());
    let mut reply = answer::problem(status, "The body did not arrive.", None);
    answer::close(&mut reply);
    reply
}

/// Whether a connection of the socket comes from a process that may speak for senders.
pub(super) fn is_trusted(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

/// A body of which the beginning, or all, has been read.
struct Carried {
    first: Bytes,
    rest: Option<TimedBody<Incoming>>,
}

impl Body for Carried {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            None => SizeHint::with_exact(self.first.len() as u64),
            Some(_) => SizeHint::default(),
        }
    }
}

/// The answer to a connection of the socket that does not say from whom its request is.
pub(super) fn not_understood() -> Result<Reply, Infallible> {
    let detail = "This socket is for another process of the same gateway.";
    let mut reply = answer::problem(StatusCode::BAD_REQUEST, detail, None);
    answer::close(&mut reply);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sent_it_survives_the_way() {
        for (address, tls, serves) in [
            ("192.0.2.1:4711", true, Serves::Everything),
            ("[2001:db8::1]:80", false, Serves::Webhooks),
            ("127.0.0.1:1", false, Serves::Fallback),
        ] {
            let from = From { peer: Peer { address: address.parse().unwrap(), tls }, serves };
            let mut request = Request::new(());
            request.headers_mut().insert(FROM, from.to_text().parse().unwrap());
            assert_eq!(From::taken_from(&mut request), Some(from));
            assert!(request.headers().is_empty());
            assert_eq!(From::taken_from(&mut request), None);
        }
        assert_eq!(From::of_text("nobody tls everything"), None);
        assert_eq!(From::of_text("192.0.2.1:1 tls anything"), None);
    }
}

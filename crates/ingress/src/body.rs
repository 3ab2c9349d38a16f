//! Reading a body with bounds in size and time.
//!
//! Invariants: a timer is made only when the body is not at hand at once, which is rare; a body that
//! arrives in one piece is never copied here; no more is buffered than has arrived, whatever length
//! was announced.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limit::{BodyShare, ServerLimits};

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Nothing came for too long.
    #[error("the body made no progress for {0:?}")]
    Idle(Duration),
    /// The whole took too long.
    #[error("the body was not complete in time")]
    Deadline,
    /// The sender broke off, or the body is not framed as it should be.
    #[error("the body could not be read: {0}")]
    Transport(#[source] Box<dyn Error + Send + Sync>),
}

impl BodyError {
    /// Whether the bytes were wrong, and not the sender gone.
    fn is_framing(&self) -> bool {
        let Self::Transport(error) = self else { return false };
        let mut source: Option<&(dyn Error + 'static)> = Some(error.as_ref());
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
                );
            }
            source = error.source();
        }
        false
    }
}

/// A body that ends with an error when its sender is too slow.
pub struct TimedBody<B> {
    body: B,
    idle: Duration,
    deadline: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<B> TimedBody<B> {
    /// Gives the body the idle and total time of the limits, from now on.
    #[must_use]
    pub fn new(body: B, limits: &ServerLimits) -> Self {
        Self {
            body,
            idle: Duration::from_millis(limits.body_idle_timeout_ms),
            deadline: Instant::now() + Duration::from_millis(limits.request_timeout_ms),
            sleep: None,
        }
    }
}

impl<B> Body for TimedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.sleep = None;
            return Poll::Ready(
                frame.map(|frame| frame.map_err(|error| BodyError::Transport(error.into()))),
            );
        }
        let (idle, deadline) = (this.idle, this.deadline);
        let sleep = this
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline.min(Instant::now() + idle))));
        if sleep.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        let late = sleep.deadline() >= deadline;
        Poll::Ready(Some(Err(if late { BodyError::Deadline } else { BodyError::Idle(idle) })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a request's body is not at hand.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is larger than allowed; what had arrived of it.
    TooLarge(Bytes),
    /// Too much is being received altogether.
    Overloaded,
    /// The sender was too slow.
    TimedOut,
    /// The sender broke off.
    Disconnected,
    /// It is not framed as it should be.
    Malformed,
}

impl From<BodyError> for Unread {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Idle(_) | BodyError::Deadline => Self::TimedOut,
            BodyError::Transport(_) if error.is_framing() => Self::Malformed,
            BodyError::Transport(_) => Self::Disconnected,
        }
    }
}

/// Reads the whole body, at most `limit_bytes`; an announced length is judged before anything is read.
pub(crate) async fn read_whole<B>(
    mut body: TimedBody<B>,
    limit_bytes: u64,
    share: &mut BodyShare<'_>,
) -> Result<Bytes, Unread>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if body.size_hint().lower() > limit_bytes {
        return Err(Unread::TooLarge(Bytes::new()));
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut length = 0_u64;
    while let Some(frame) = body.frame().await {
        // Trailers are no part of what senders sign; they are passed over.
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len() as u64;
        let fits = length <= limit_bytes;
        if fits && !share.grow(data.len() as u64) {
            return Err(Unread::Overloaded);
        }
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
        if !fits {
            return Err(Unread::TooLarge(if rest.is_empty() { first } else { rest.freeze() }));
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::limit::BodyBudget;

    /// Gives its pieces, each after its pause.
    struct Pieces {
        pieces: VecDeque<(u64, &'static [u8])>,
        pause: Option<Pin<Box<Sleep>>>,
    }

    impl Pieces {
        fn new(pieces: &[(u64, &'static [u8])]) -> Self {
            Self { pieces: pieces.iter().copied().collect(), pause: None }
        }
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            let Some((pause_ms, _)) = self.pieces.front().copied() else {
                return Poll::Ready(None);
            };
            if pause_ms > 0 {
                let at = Instant::now() + Duration::from_millis(pause_ms);
                let pause = self.pause.get_or_insert_with(|| Box::pin(sleep_until(at)));
                if pause.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.pause = None;
            }
            let piece = self.pieces.pop_front().map(|(_, bytes)| Bytes::from_static(bytes));
            Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
        }
    }

    async fn read(pieces: &[(u64, &'static [u8])], limit_bytes: u64) -> Result<Bytes, Unread> {
        let limits = ServerLimits {
            body_idle_timeout_ms: 100,
            request_timeout_ms: 300,
            ..ServerLimits::default()
        };
        let budget = BodyBudget::new(10);
        let body = TimedBody::new(Pieces::new(pieces), &limits);
        read_whole(body, limit_bytes, &mut budget.share()).await
    }

    #[tokio::test(start_paused = true)]
    async fn reads_within_bounds_of_size_and_time() {
        assert_eq!(read(&[], 5).await.unwrap(), "");
        assert_eq!(read(&[(0, b"abc")], 5).await.unwrap(), "abc");
        assert_eq!(read(&[(0, b"a"), (90, b"b"), (90, b"c")], 5).await.unwrap(), "abc");
        let too_large = read(&[(0, b"abc"), (0, b"def")], 5).await;
        assert!(matches!(too_large, Err(Unread::TooLarge(bytes)) if bytes == "abcdef"));
        let idle = read(&[(0, b"a"), (110, b"b")], 5).await;
        assert!(matches!(idle, Err(Unread::TimedOut)));
        let drip: Vec<_> = (0..5).map(|_| (90, &b"x"[..])).collect();
        assert!(matches!(read(&drip, 5).await, Err(Unread::TimedOut)));
        let full = read(&[(0, b"abcdef"), (0, b"ghijkl")], 20).await;
        assert!(matches!(full, Err(Unread::Overloaded)));
    }
}

//! A connection's bytes with timers: for the headers, for resting between requests, and for answers
//! that are not taken.
//!
//! The HTTP implementation has one timer for headers that also runs while a connection rests, so that
//! a sender's pooled connections would be closed after ten seconds. Here the two are apart: whether
//! a request is being answered is told by [`crate::answer::Turn`].
//!
//! Invariants: at most one timer per direction; it is set for the first deadline and then moved
//! only when it fires, so that a busy connection costs no timer calls.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::limit::ServerLimits;

/// How much of what a sender still sends is thrown away before the connection is closed, so that it
/// gets to read its answer instead of a reset.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// A stream with timers.
pub(super) struct TimedIo<S> {
    stream: S,
    turns: Arc<AtomicU32>,
    /// The turn for which `waiting_since` and `started_at` hold.
    turn: u32,
    waiting_since: Instant,
    /// When the first byte of the headers came.
    started_at: Option<Instant>,
    header_timeout: Duration,
    keep_alive_timeout: Duration,
    write_timeout: Duration,
    read_timer: Timer,
    write_timer: Timer,
    write_since: Option<Instant>,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TimedIo<S> {
    pub fn new(stream: S, turns: Arc<AtomicU32>, limits: &ServerLimits) -> Self {
        Self {
            stream,
            turn: turns.load(Ordering::Relaxed),
            turns,
            waiting_since: Instant::now(),
            started_at: None,
            header_timeout: Duration::from_millis(limits.header_timeout_ms),
            keep_alive_timeout: Duration::from_millis(limits.keep_alive_timeout_ms),
            write_timeout: Duration::from_millis(limits.write_timeout_ms),
            read_timer: Timer::default(),
            write_timer: Timer::default(),
            write_since: None,
            ended: false,
        }
    }

    /// Ends the connection: says that nothing more will be sent, and reads on for a moment, so that
    /// the last answer is not lost to a reset.
    pub async fn linger(mut self) {
        if self.ended {
            return;
        }
        let ending = async {
            self.stream.shutdown().await?;
            let mut scratch = [0; 4096];
            let mut left = LINGER_BYTES;
            while left > 0 {
                match self.stream.read(&mut scratch).await? {
                    0 => break,
                    length => left = left.saturating_sub(length),
                }
            }
            Ok::<_, io::Error>(())
        };
        // Whether the sender was still there does not matter any more.
        let _ = timeout(LINGER, ending).await;
    }

    /// Notices that a request has begun or ended since the last look; `true` while one is answered.
    fn busy(&mut self) -> bool {
        let turn = self.turns.load(Ordering::Relaxed);
        if turn != self.turn {
            self.turn = turn;
            self.waiting_since = Instant::now();
            self.started_at = None;
        }
        turn % 2 == 1
    }

    fn read_deadline(&self) -> Instant {
        match self.started_at {
            Some(started_at) => started_at + self.header_timeout,
            // The first request has to come as fast as its headers.
            None if self.turn == 0 => self.waiting_since + self.header_timeout,
            None => self.waiting_since + self.keep_alive_timeout,
        }
    }

    fn written(
        &mut self,
        progress: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if progress.is_ready() {
            self.write_since = None;
            return progress;
        }
        let since = *self.write_since.get_or_insert_with(Instant::now);
        ready!(self.write_timer.poll(since + self.write_timeout, context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TimedIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let busy = this.busy();
        if let Poll::Ready(result) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            let came = buffer.filled().len() > before;
            this.ended |= !came;
            if came && !busy && this.started_at.is_none() {
                this.started_at = Some(Instant::now());
            }
            // A sender may drip its headers fast enough never to leave us waiting.
            if came && !busy && this.turn_is_late() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            return Poll::Ready(result);
        }
        if busy {
            return Poll::Pending;
        }
        let deadline = this.read_deadline();
        ready!(this.read_timer.poll(deadline, context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S> TimedIo<S> {
    fn turn_is_late(&self) -> bool {
        self.started_at.is_some_and(|started_at| started_at.elapsed() > self.header_timeout)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedIo<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.stream).poll_write(context, buffer);
        this.written(progress, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = Pin::new(&mut this.stream).poll_write_vectored(context, buffers);
        this.written(progress, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// A timer that is moved only when it fires too early.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready when the deadline has passed.
    fn poll(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() >= deadline {
                self.0 = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;
    use crate::answer::Turn;

    fn limits() -> ServerLimits {
        ServerLimits {
            header_timeout_ms: 100,
            keep_alive_timeout_ms: 1_000,
            write_timeout_ms: 300,
            ..ServerLimits::default()
        }
    }

    fn pair() -> (TimedIo<DuplexStream>, DuplexStream, Arc<AtomicU32>) {
        let (near, far) = duplex(16);
        let turns = Arc::new(AtomicU32::new(0));
        (TimedIo::new(near, Arc::clone(&turns), &limits()), far, turns)
    }

    async fn waits(io: &mut TimedIo<DuplexStream>) -> u128 {
        let begun = Instant::now();
        let mut byte = [0];
        let error = io.read_exact(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        begun.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_has_the_time_of_the_headers() {
        let (mut io, _far, _turns) = pair();
        assert_eq!(waits(&mut io).await, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_does_not_prolong_the_headers() {
        let (mut io, mut far, _turns) = pair();
        let drip = tokio::spawn(async move {
            while far.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        });
        let begun = Instant::now();
        let mut bytes = [0; 100];
        assert!(io.read_exact(&mut bytes).await.is_err());
        assert!(begun.elapsed() <= Duration::from_millis(130), "{:?}", begun.elapsed());
        drop(io);
        drip.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_pooled_connection_may_rest_longer_and_a_busy_one_for_ever() {
        let (mut io, mut far, turns) = pair();
        far.write_all(b"x").await.unwrap();
        let mut byte = [0];
        io.read_exact(&mut byte).await.unwrap();
        let turn = Turn::begin(&turns);
        let busy = timeout(Duration::from_secs(3_600), io.read_exact(&mut byte)).await;
        assert!(busy.is_err(), "reading while busy only looks for the end");
        drop(turn);
        assert_eq!(waits(&mut io).await, 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken() {
        let (mut io, _far, _turns) = pair();
        let begun = Instant::now();
        let error = io.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_millis(), 300);
    }
}

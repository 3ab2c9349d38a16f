//! The bytes under one HTTP connection: plain TCP or TLS, with a meter on what comes in.
//!
//! The meter bounds everything that arrives before a response head is complete (so also an endless
//! run of informational responses, which the HTTP layer would skip one by one), remembers when the
//! first byte came, and tells whether any came: only then is a repeat on a fresh connection ruled out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

/// Largest response head, as the HTTP layer buffers it.
pub(crate) const MAX_HEAD_BYTES: usize = 64 * 1024;
/// All bytes before the final response head is complete: informational responses, the head itself,
/// and what one read may take beyond it.
const MAX_BYTES_BEFORE_HEAD: u64 = 3 * MAX_HEAD_BYTES as u64;

/// Plain or encrypted.
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What has come in since the current request was handed over. One request at a time uses it.
pub(crate) struct Meter {
    origin: Instant,
    received_bytes: AtomicU64,
    first_byte_at_us: AtomicU64,
    awaiting_head: AtomicBool,
    overflowed: AtomicBool,
}

impl Meter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            origin: Instant::now(),
            received_bytes: AtomicU64::new(0),
            first_byte_at_us: AtomicU64::new(0),
            awaiting_head: AtomicBool::new(true),
            overflowed: AtomicBool::new(false),
        })
    }

    /// A new request begins.
    pub(crate) fn restart(&self) {
        self.received_bytes.store(0, Relaxed);
        self.awaiting_head.store(true, Relaxed);
    }

    /// The response head is complete: from here the body limit holds.
    pub(crate) fn head_complete(&self) {
        self.awaiting_head.store(false, Relaxed);
    }

    /// Whether any byte came back since the request began.
    pub(crate) fn received_any(&self) -> bool {
        self.received_bytes.load(Relaxed) > 0
    }

    /// Whether the bytes before the head were more than is read.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed.load(Relaxed)
    }

    /// Microseconds from `start` to the first byte, once there is one.
    pub(crate) fn first_byte_us(&self, start: Instant) -> u64 {
        let offset_us = elapsed_us(self.origin, start);
        self.first_byte_at_us.load(Relaxed).saturating_sub(offset_us)
    }

    fn record(&self, bytes: u64) -> io::Result<()> {
        let before = self.received_bytes.fetch_add(bytes, Relaxed);
        if before == 0 {
            let now_us = elapsed_us(self.origin, Instant::now());
            self.first_byte_at_us.store(now_us, Relaxed);
        }
        if self.awaiting_head.load(Relaxed) && before + bytes > MAX_BYTES_BEFORE_HEAD {
            self.overflowed.store(true, Relaxed);
            return Err(io::Error::other("too many bytes before a response head"));
        }
        Ok(())
    }
}

/// Whole microseconds between two moments, 0 if they are out of order.
pub(crate) fn elapsed_us(from: Instant, to: Instant) -> u64 {
    let micros = to.saturating_duration_since(from).as_micros();
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// A transport whose incoming bytes are metered.
pub(crate) struct MeteredStream {
    transport: Transport,
    meter: Arc<Meter>,
}

impl MeteredStream {
    pub(crate) fn new(transport: Transport, meter: Arc<Meter>) -> Self {
        Self { transport, meter }
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let received = buf.filled().len() - before;
        if received > 0 {
            self.meter.record(received as u64)?;
        }
        polled
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

//! What the AMQP library needs of tokio, with our own connections in place of its own.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::{Task, TaskImpl};
use async_trait::async_trait;
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream as Ticks;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::compat::Compat;

use crate::dial::Stream;

/// The endpoint's runtime, for a library that calls it from a thread of its own.
#[derive(Debug, Clone)]
pub(super) struct OwnRuntime(Handle);

impl OwnRuntime {
    /// The runtime that runs the caller.
    pub(super) fn current() -> Self {
        Self(Handle::current())
    }
}

impl RuntimeKit for OwnRuntime {}

/// A task of tokio.
pub(super) struct OwnTask<T>(JoinHandle<T>);

#[async_trait]
impl<T: Send + 'static> TaskImpl for OwnTask<T> {
    async fn cancel(&mut self) -> Option<T> {
        self.0.abort();
        (&mut self.0).await.ok()
    }
}

impl<T: Send + 'static> Future for OwnTask<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.0).poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(output)) => Poll::Ready(output),
            Poll::Ready(Err(error)) if error.is_panic() => {
                std::panic::resume_unwind(error.into_panic())
            }
            // The runtime is going away, and whoever waits with it.
            Poll::Ready(Err(_)) => Poll::Pending,
        }
    }
}

impl Executor for OwnRuntime {
    type Task<T: Send + 'static> = OwnTask<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<OwnTask<T>> {
        OwnTask(self.0.spawn(future)).into()
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<OwnTask<T>> {
        OwnTask(self.0.spawn_blocking(work)).into()
    }
}

impl Reactor for OwnRuntime {
    type TcpStream = Compat<Stream>;
    type Sleep = tokio::time::Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Compat<Stream>, _>(dialled_here())
    }

    fn sleep(&self, wait: Duration) -> tokio::time::Sleep {
        let _inside = self.0.enter();
        tokio::time::sleep(wait)
    }

    fn interval(&self, period: Duration) -> impl Ticks<Item = Instant> + Send + 'static {
        let _inside = self.0.enter();
        let ticks = tokio::time::interval(period);
        futures_util::stream::unfold(ticks, |mut ticks| async move {
            let tick = ticks.tick().await;
            Some((tick.into_std(), ticks))
        })
    }

    fn tcp_connect_addr(
        &self,
        _address: SocketAddr,
    ) -> impl Future<Output = io::Result<Compat<Stream>>> + Send + 'static {
        std::future::ready(Err(dialled_here()))
    }
}

/// The library is given its connection and makes none.
fn dialled_here() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "connections are made by the gateway")
}

//! Stands between a store and the database, and can lose the answer to what was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct State {
    armed: AtomicBool,
    cuts: AtomicU64,
}

pub(crate) struct Proxy {
    /// The database's URL through the proxy.
    pub(crate) url: String,
    state: Arc<State>,
}

impl Proxy {
    /// Stands before the database with this URL, which names its host and port as `@host:port/`.
    pub(crate) async fn start(url: &str) -> Self {
        let (before, rest) = url.split_once('@').expect("the URL names a user");
        let (server, after) = rest.split_once('/').expect("the URL names a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(State::default());
        let (shared, server) = (Arc::clone(&state), server.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("the database listens");
                tokio::spawn(pass(client, server, Arc::clone(&shared)));
            }
        });
        Self { url: format!("{before}@127.0.0.1:{port}/{after}"), state }
    }

    /// The next answer of the database is lost, and its connection with it.
    pub(crate) fn swallow_answers(&self) {
        self.state.armed.store(true, Ordering::Release);
    }

    /// How many answers were lost.
    pub(crate) fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::Acquire)
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, state: Arc<State>) {
    let (mut asked, mut told) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => match count {
                Ok(count) if count > 0 && server.write_all(&asked[..count]).await.is_ok() => {}
                _ => return,
            },
            count = server.read(&mut told) => match count {
                Ok(count) if count > 0 => {
                    // The database answers once it has committed.
                    if state.armed.swap(false, Ordering::AcqRel) {
                        state.cuts.fetch_add(1, Ordering::AcqRel);
                        return;
                    }
                    if client.write_all(&told[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

//! The bare server: what remains of a gateway when nothing is stored.
//!
//! Hyper on a runtime per core, each with its own listener on the shared port; it reads the body,
//! verifies the same signature and answers 200. What the gateway reaches is told as a part of this.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ring::hmac;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::error::{Result, doing};
use crate::github;

const BACKLOG: i32 = 4_096;

/// Serves until the process is ended.
pub fn serve(address: SocketAddr) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut running = Vec::new();
    for _ in 0..threads {
        let listener = listen(address).map_err(doing(format!("listening on {address}")))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(doing("starting a runtime"))?;
        running.push(std::thread::spawn(move || runtime.block_on(accept(listener))));
    }
    for thread in running {
        let ended = thread.join().unwrap_or_else(|_| Err(std::io::Error::other("a panic")));
        ended.map_err(doing("accepting connections"))?;
    }
    Ok(())
}

fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn accept(listener: std::net::TcpListener) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let key = github::key();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let key = key.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let key = key.clone();
                async move { Ok::<_, Infallible>(answer(&key, request).await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}

async fn answer(key: &hmac::Key, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let signature = request.headers().get(github::SIGNATURE).cloned();
    let status = match request.into_body().collect().await {
        Err(_) => StatusCode::BAD_REQUEST,
        Ok(body) => {
            let body = body.to_bytes();
            let signature = signature
                .as_ref()
                .and_then(|value| value.as_bytes().strip_prefix(b"sha256="))
                .and_then(|digits| hex::decode(digits).ok());
            let genuine = signature.is_some_and(|tag| hmac::verify(key, &body, &tag).is_ok());
            if genuine { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
        }
    };
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

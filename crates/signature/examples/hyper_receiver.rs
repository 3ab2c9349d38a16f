//! Receiving GitHub's webhooks with plain hyper: `cargo run -p becket-signature --example hyper_receiver`.
//!
//! Read the whole body, ask for a handshake's answer, verify: that is all there is to it. The secret is read from
//! `GITHUB_WEBHOOK_SECRET`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use becket_signature::{Catalogue, Credentials, RequestView, Verdict, Verifier, VerifierOptions};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

const BODY_LIMIT_BYTES: usize = 25 * 1024 * 1024;

async fn received(verifier: &Verifier, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT_BYTES).collect().await else {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or incomplete\n");
    };
    let body = body.to_bytes();
    let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let url = format!("https://{host}{}", parts.uri);
    let view = RequestView {
        method: parts.method.as_str(),
        url: &url,
        headers: &parts.headers,
        body: &body,
    };
    let now_s = now_s();
    if let Some(challenge) = verifier.handshake(&view, now_s) {
        let mut response = Response::builder().status(challenge.status);
        for (name, value) in challenge.headers {
            response = response.header(name, value);
        }
        return response
            .body(Full::from(challenge.body))
            .unwrap_or_else(|_| answer(StatusCode::INTERNAL_SERVER_ERROR, "no answer\n"));
    }
    match verifier.verify(&view, now_s) {
        Verdict::Genuine(_) => {
            let kind = verifier.facts(&view).event_type.unwrap_or_else(|| "an event".to_owned());
            answer(StatusCode::ACCEPTED, &format!("{kind}, {} bytes\n", body.len()))
        }
        Verdict::Refused(refusal) => {
            // The reason is for our log; the sender gets one answer for all of them.
            eprintln!("refused: {refusal}");
            let status = StatusCode::from_u16(verifier.entry().failure_status());
            answer(
                status.unwrap_or(StatusCode::UNAUTHORIZED),
                "the request could not be verified\n",
            )
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a service is where the clock is read")]
fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn answer(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text.to_owned()));
    *response.status_mut() = status;
    response
}

/// Serves until the listener fails.
pub async fn serve(listener: TcpListener, verifier: Arc<Verifier>) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let verifier = Arc::clone(&verifier);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let verifier = &verifier;
                async move { Ok::<_, Infallible>(received(verifier, request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("a connection failed: {error}");
            }
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = std::env::var("GITHUB_WEBHOOK_SECRET")?;
    let entry = Catalogue::builtin().get("github").ok_or("github is in the catalogue")?;
    let credentials = Credentials::from_secrets([secret]);
    let verifier = Verifier::new(entry, &credentials, &VerifierOptions::default())?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, Arc::new(verifier)).await?;
    Ok(())
}

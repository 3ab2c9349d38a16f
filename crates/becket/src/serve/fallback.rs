//! Everything that is not a webhook: the API, the dashboard, health, metrics, and the demo's echo.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use becket_api::{Arrival, ClientAddress};
use becket_ingress::server::{Fallback, FallbackFuture, IDENTITY_PATH, READY_PATH};
use becket_ingress::{BoxedBody, Peer, TimedBody, client_address};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use tower_service::Service as _;

use super::gateway::Gateway;
use super::telemetry::Telemetry;

/// The path of the built-in endpoint that answers with what it got.
pub(super) const ECHO_PATH: &str = "/demo/echo";
const ECHO_BYTES_MAX: usize = 64 * 1024;

pub(super) struct Management {
    pub(super) router: Router,
    pub(super) gateway: Arc<Gateway>,
    pub(super) telemetry: Arc<Telemetry>,
    /// Whether the API and the pages are served here, and not by other nodes alone.
    pub(super) serves_api: bool,
    /// Whether the built-in echo answers.
    pub(super) echo: bool,
    /// Proves which gateway this is.
    pub(super) identity: super::identity::Identity,
    /// Where certificate authorities ask their questions, if they do.
    pub(super) challenges: super::acme::Challenges,
}

impl Fallback for Management {
    fn handle(&self, request: Request<TimedBody<Incoming>>, peer: Peer) -> FallbackFuture<'_> {
        Box::pin(async move {
            let path = request.uri().path();
            let reading = matches!(*request.method(), Method::GET | Method::HEAD);
            match path {
                "/healthz" if reading => text(StatusCode::OK, "ok\n"),
                READY_PATH if reading => self.ready(),
                "/metrics" if reading => self.metrics().await,
                IDENTITY_PATH if reading => self.identity.answer(request.uri().query()),
                ECHO_PATH if self.echo && request.method() == Method::POST => echo(request).await,
                _ if reading && path.starts_with(super::acme::CHALLENGE_PATH) => {
                    self.challenges.answer(path)
                }
                _ if !self.serves_api => elsewhere(),
                _ if reading => {
                    match super::dashboard::page(&self.gateway, path, request.headers()).await {
                        Some(page) => page,
                        None => self.api(request, peer).await,
                    }
                }
                _ => self.api(request, peer).await,
            }
        })
    }
}

impl Management {
    fn ready(&self) -> Response<BoxedBody> {
        if self.gateway.leaving.load(Ordering::Relaxed) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
        }
        match self.gateway.store.health() {
            Ok(()) => text(StatusCode::OK, "ready\n"),
            Err(error) => {
                let mut response =
                    text(StatusCode::SERVICE_UNAVAILABLE, format!("{}: {error}\n", error.code()));
                let seconds = header::HeaderValue::from(error.retry_after_s());
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
                response
            }
        }
    }

    async fn metrics(&self) -> Response<BoxedBody> {
        let sampled = &self.telemetry.sampled;
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        if let Ok(stats) = self.gateway.store.stats().await {
            sampled.events.set(signed(stats.events));
            sampled.pending.set(signed(stats.pending));
            sampled.store_bytes.set(signed(stats.bytes));
            sampled.segments.set(signed(stats.segments));
            sampled.quarantined.set(signed(stats.quarantined));
        }
        if let Some(node) = &self.gateway.node {
            self.telemetry.store.sample(node);
        }
        let engine = self.gateway.engine.snapshot();
        sampled.in_flight.set(signed(engine.in_flight as u64));
        sampled.queued.set(signed(engine.queued as u64));
        sampled.breakers_open.set(signed(engine.breakers_open as u64));
        let healthy = self.gateway.store.health().is_ok();
        sampled.healthy.set(f64::from(u8::from(healthy)));
        sampled.clock_s.inner().store(self.gateway.clock.now_ms() / 1_000, Ordering::Relaxed);
        match self.telemetry.encode() {
            Ok(encoded) => {
                let mut response = text(StatusCode::OK, encoded);
                let kind = header::HeaderValue::from_static(
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                );
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    /// Where a request came from and how, as far as trusted proxies say.
    fn arrival(&self, headers: &HeaderMap, peer: Peer) -> (ClientAddress, Arrival) {
        let current = self.gateway.current.load();
        let trusted = &current.loaded.config.server.trusted_proxies;
        let by = peer.address.ip().to_canonical();
        let client = client_address(by, headers, trusted);
        let is_trusted = trusted.iter().any(|network| network.contains(&by));
        let says_https = headers
            .get("x-forwarded-proto")
            .is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
        // Somebody else's proxy on this machine is not somebody on this machine.
        let proxied = ["forwarded", "x-forwarded-for", "x-forwarded-proto", "via"]
            .iter()
            .any(|name| headers.contains_key(*name));
        let arrival = Arrival {
            encrypted: peer.tls || (is_trusted && says_https),
            local: client.is_loopback() && (is_trusted || !proxied),
        };
        (ClientAddress(client), arrival)
    }

    async fn api(&self, request: Request<TimedBody<Incoming>>, peer: Peer) -> Response<BoxedBody> {
        let mut request = request.map(Body::new);
        let (client, arrival) = self.arrival(request.headers(), peer);
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(arrival);
        let mut router = self.router.clone();
        match router.call(request).await {
            Ok(response) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
            Err(never) => match never {},
        }
    }
}

/// What a node answers that is asked for what others do.
fn elsewhere() -> Response<BoxedBody> {
    let told = "this node serves neither API nor dashboard: ask one that has the role `api`\n";
    text(StatusCode::NOT_FOUND, told)
}

/// Answers with the body that came, so that a first delivery can be seen to arrive.
async fn echo(request: Request<TimedBody<Incoming>>) -> Response<BoxedBody> {
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    match Limited::new(request.into_body(), ECHO_BYTES_MAX).collect().await {
        Ok(body) => {
            let mut response = text(StatusCode::OK, body.to_bytes());
            if let Some(kind) = kind {
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
            }
            response
        }
        Err(error) => text(StatusCode::PAYLOAD_TOO_LARGE, format!("{error}\n")),
    }
}

pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<BoxedBody> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    let sniff = header::HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, sniff);
    response
}

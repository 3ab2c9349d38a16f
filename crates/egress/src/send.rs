//! One request, from the pool or a fresh connection to an outcome.
//!
//! Invariants: the total timeout wraps everything; whatever was learned before it struck is kept.
//! A request is repeated at most once, and only if it went over a reused connection on which not one
//! byte came back: the server closed it while it was idle. An at-least-once POST may repeat.

mod probe;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

use crate::client_tls::{self, ClientTls};
use crate::connect;
use crate::headers;
use crate::outcome::{AttemptError, AttemptOutcome, RetryAfter};
use crate::policy::{AddressPolicy, MAX_HOPS, Target, TargetRefused};
use crate::pool::{LiveConnection, Pool};
use crate::resolve::{Resolve, SystemResolver};
use crate::stream::{MAX_HEAD_BYTES, Meter, MeteredStream, elapsed_us};

pub use probe::Probe;

/// How an [`Egress`] behaves. `Default` has the documented values.
#[derive(Clone)]
pub struct EgressConfig {
    /// Time to resolve, connect and finish the TLS handshake.
    pub connect_timeout_ms: u64,
    /// How many bytes of a response body are kept; the connection is dropped at more.
    pub response_limit_bytes: usize,
    /// How long an unused connection is kept.
    pub idle_timeout_ms: u64,
    /// How many unused connections are kept per endpoint.
    pub max_idle_per_endpoint: usize,
    /// How many unused connections are kept in all.
    pub max_idle_total: usize,
    /// The `User-Agent` of requests that bring none.
    pub user_agent: String,
    /// Certificate authorities trusted besides the bundled and the system's own.
    pub extra_root_certs: Vec<CertificateDer<'static>>,
    /// Who answers for names. One per runtime.
    pub resolver: Arc<dyn Resolve>,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            response_limit_bytes: 16 * 1024,
            idle_timeout_ms: 30_000,
            max_idle_per_endpoint: 10,
            max_idle_total: 256,
            user_agent: concat!("becket/", env!("CARGO_PKG_VERSION")).to_owned(),
            extra_root_certs: Vec::new(),
            resolver: Arc::new(SystemResolver::new()),
        }
    }
}

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The user agent has characters that no header may have.
    #[error("the user agent {0:?} cannot be sent in a header; use visible ASCII characters")]
    UserAgent(String),
    /// One of the extra certificate authorities is not a certificate.
    #[error("an extra root certificate cannot be used: {0}; check the file it came from")]
    RootCertificate(#[source] rustls::Error),
}

impl EgressError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UserAgent(_) => "egress_user_agent",
            Self::RootCertificate(_) => "egress_root_certificate",
        }
    }
}

/// One request to be sent. `Debug` leaves out header values and the body.
#[derive(Clone)]
pub struct OutboundRequest {
    /// The endpoint: connections are kept and reused per key.
    pub pool_key: u64,
    /// The method of [`Egress::send`].
    pub method: Method,
    /// Where it goes.
    pub target: Arc<Target>,
    /// What that may lead to.
    pub policy: Arc<AddressPolicy>,
    /// All headers but `Host` and the framing, which are set here (and replaced, if present).
    pub headers: HeaderMap,
    /// The body, sent as it is with its `Content-Length`.
    pub body: Bytes,
    /// Time for everything.
    pub timeout_ms: u64,
    /// Time to resolve, connect and finish the TLS handshake, if not the configured one.
    pub connect_timeout_ms: Option<u64>,
}

impl fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundRequest")
            .field("pool_key", &self.pool_key)
            .field("target", &self.target)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}

/// The way out: a cloneable handle on a resolver, a TLS configuration and a pool. One per runtime
/// that delivers, so that a pooled connection is used where its socket is registered.
#[derive(Clone)]
pub struct Egress {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Arc<Pool>,
    tls: ClientTls,
    resolver: Arc<dyn Resolve>,
    user_agent: HeaderValue,
    connect_timeout: Duration,
    response_limit_bytes: usize,
}

impl Egress {
    /// Checks the configuration. Loads nothing and opens nothing.
    pub fn new(config: EgressConfig) -> Result<Self, EgressError> {
        let user_agent = HeaderValue::from_str(&config.user_agent)
            .map_err(|_| EgressError::UserAgent(config.user_agent.clone()))?;
        let tls = ClientTls::new(config.extra_root_certs).map_err(EgressError::RootCertificate)?;
        let pool = Pool::new(
            Duration::from_millis(config.idle_timeout_ms),
            config.max_idle_per_endpoint,
            config.max_idle_total,
        );
        let inner = Inner {
            pool: Arc::new(pool),
            tls,
            resolver: config.resolver,
            user_agent,
            connect_timeout: Duration::from_millis(config.connect_timeout_ms),
            response_limit_bytes: config.response_limit_bytes,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Sends the request. Never fails: whatever happened is in the outcome.
    pub async fn send(&self, request: OutboundRequest) -> AttemptOutcome {
        self.send_as(request.method.clone(), request).await
    }

    /// GETs the target, through the same checks: for keys and certificates.
    pub async fn fetch(&self, request: OutboundRequest) -> AttemptOutcome {
        self.send_as(Method::GET, request).await
    }

    /// Closes the endpoint's unused connections: it was deleted, paused or given another URL.
    pub fn close_endpoint(&self, pool_key: u64) {
        self.inner.pool.close(pool_key);
    }

    /// How many connections are kept unused, over all endpoints.
    pub fn idle_total(&self) -> usize {
        self.inner.pool.idle_total()
    }

    async fn send_as(&self, method: Method, mut request: OutboundRequest) -> AttemptOutcome {
        let started = Instant::now();
        if let Err(error) = self.inner.prepare(&mut request) {
            return AttemptOutcome::failed(error);
        }
        let mut attempt = Attempt {
            egress: &self.inner,
            method,
            connect_deadline: started
                + request
                    .connect_timeout_ms
                    .map_or(self.inner.connect_timeout, Duration::from_millis),
            outcome: AttemptOutcome::default(),
            body: Vec::new(),
            repeatable: false,
        };
        let deadline = started + Duration::from_millis(request.timeout_ms);
        let finished = timeout_at(deadline, attempt.run(request)).await;
        let Attempt { mut outcome, body, .. } = attempt;
        outcome.error = match finished {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(AttemptError::Timeout),
        };
        outcome.body = body.into();
        outcome.timings.total_us = elapsed_us(started, Instant::now());
        outcome
    }
}

impl Inner {
    /// Everything that can be refused before anything is resolved.
    fn prepare(&self, request: &mut OutboundRequest) -> Result<(), AttemptError> {
        request.policy.check_target(&request.target).map_err(|refused| {
            tracing::info!(reason = refused.code(), "endpoint's target is not allowed");
            AttemptError::from(refused)
        })?;
        let headers = &mut request.headers;
        if headers::hop_count(headers) > MAX_HOPS {
            return Err(AttemptError::LoopDetected);
        }
        for name in &FRAMING {
            headers.remove(name);
        }
        headers.insert(header::HOST, request.target.host_header().clone());
        headers.entry(header::USER_AGENT).or_insert_with(|| self.user_agent.clone());
        Ok(())
    }
}

/// Headers that frame the message or steer the connection: ours alone to set.
const FRAMING: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
];

impl From<TargetRefused> for AttemptError {
    fn from(refused: TargetRefused) -> Self {
        match refused {
            TargetRefused::PortNotAllowed
            | TargetRefused::InternalName
            | TargetRefused::AddressNotAllowed => Self::AddressRefused,
            TargetRefused::OwnHost => Self::LoopDetected,
            _ => Self::UrlRefused,
        }
    }
}

/// What is known so far; survives the timeout that ends `run`.
struct Attempt<'a> {
    egress: &'a Inner,
    method: Method,
    connect_deadline: Instant,
    outcome: AttemptOutcome,
    body: Vec<u8>,
    /// The failed exchange did not reach the server, or was not answered by one byte.
    repeatable: bool,
}

impl Attempt<'_> {
    async fn run(&mut self, request: OutboundRequest) -> Result<(), AttemptError> {
        let key = request.pool_key;
        if let Some(mut connection) = self.egress.pool.take(key, &request.target).await {
            // The policy may have become stricter since the connection was opened.
            if request.policy.check_address(connection.remote.ip()).is_allowed() {
                let again = request.headers.clone();
                self.outcome.timings.reused = true;
                let message = self.message(&request.target, request.headers, request.body.clone());
                match self.exchange(&mut connection, message).await {
                    Err(_) if self.repeatable => {
                        self.outcome.timings.reused = false;
                        let request = OutboundRequest { headers: again, ..request };
                        return self.run_fresh(request).await;
                    }
                    Err(error) => return Err(error),
                    Ok(()) => {
                        self.keep(key, connection).await;
                        return Ok(());
                    }
                }
            }
        }
        self.run_fresh(request).await
    }

    async fn run_fresh(&mut self, request: OutboundRequest) -> Result<(), AttemptError> {
        let egress = self.egress;
        let dialled = connect::dial(
            egress.resolver.as_ref(),
            &egress.tls,
            &request.target,
            &request.policy,
            self.connect_deadline,
            &mut self.outcome.timings,
        )
        .await?;
        let meter = Meter::new();
        let stream = MeteredStream::new(dialled.transport, Arc::clone(&meter));
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .max_header_size(MAX_HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| AttemptError::ConnectFailed)?;
        let mut connection = LiveConnection {
            sender,
            driver: Some(driver),
            driver_error: None,
            meter,
            target: Arc::clone(&request.target),
            remote: dialled.remote,
        };
        let message = self.message(&request.target, request.headers, request.body);
        self.exchange(&mut connection, message).await?;
        self.keep(request.pool_key, connection).await;
        Ok(())
    }

    fn message(&self, target: &Target, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let body_len = body.len();
        let mut message = Request::new(Full::new(body));
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = Uri::from(target.path_and_query().clone());
        *message.headers_mut() = headers;
        if self.method == Method::POST {
            // The HTTP layer leaves it out for an empty body, and some servers then refuse.
            let length = HeaderValue::from(body_len);
            message.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
        message
    }

    /// Sends one message and reads its response into the outcome.
    async fn exchange(
        &mut self,
        connection: &mut LiveConnection,
        message: Request<Full<Bytes>>,
    ) -> Result<(), AttemptError> {
        self.outcome.remote_address = Some(connection.remote);
        connection.meter.restart();
        let sent = Instant::now();
        let response = receive_head(connection, message).await;
        if connection.meter.received_any() {
            self.outcome.timings.first_byte_us = connection.meter.first_byte_us(sent);
        }
        let response = match response {
            Ok(response) => response,
            Err(failed) => {
                let silent = !connection.meter.received_any();
                self.repeatable =
                    failed.unsent || (silent && failed.error == AttemptError::ClosedEarly);
                return Err(failed.error);
            }
        };
        connection.meter.head_complete();
        let (head, body) = response.into_parts();
        if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
            // Nothing was asked to be switched, and what follows is no HTTP.
            return Err(AttemptError::MalformedResponse);
        }
        self.outcome.status = Some(head.status.as_u16());
        self.outcome.retry_after = head
            .headers
            .get(header::RETRY_AFTER)
            .and_then(|value| RetryAfter::parse(value.as_bytes()));
        self.outcome.headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        self.receive_body(connection, body).await
    }

    async fn receive_body(
        &mut self,
        connection: &mut LiveConnection,
        mut body: Incoming,
    ) -> Result<(), AttemptError> {
        let limit_bytes = self.egress.response_limit_bytes;
        while !body.is_end_stream() {
            let frame = poll_fn(|cx| {
                connection.drive(cx);
                Pin::new(&mut body).poll_frame(cx)
            })
            .await;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|_| AttemptError::BodyReadFailed)?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let room = limit_bytes - self.body.len();
            self.body.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                self.outcome.body_truncated = true;
                // Reading on to save a connection would let the endpoint decide how much is read.
                connection.driver = None;
                break;
            }
        }
        Ok(())
    }

    async fn keep(&self, key: u64, mut connection: LiveConnection) {
        if connection.is_usable().await {
            self.egress.pool.put(key, connection);
        }
    }
}

/// Why no head arrived.
struct NoHead {
    error: AttemptError,
    /// Nothing of the message was written.
    unsent: bool,
}

/// Hands the message to the connection and drives it until the response's head is there.
async fn receive_head(
    connection: &mut LiveConnection,
    message: Request<Full<Bytes>>,
) -> Result<http::Response<Incoming>, NoHead> {
    let mut response = pin!(connection.sender.try_send_request(message));
    poll_fn(|cx| {
        connection.drive(cx);
        match response.as_mut().poll(cx) {
            Poll::Ready(Ok(head)) => Poll::Ready(Ok(head)),
            Poll::Ready(Err(mut failed)) => Poll::Ready(Err(NoHead {
                unsent: failed.take_message().is_some(),
                error: classify(failed.error(), connection),
            })),
            // The driver is gone and told nobody: nothing will come any more.
            Poll::Pending if connection.driver.is_none() => {
                Poll::Ready(Err(NoHead { error: AttemptError::ClosedEarly, unsent: false }))
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The connection's own error says more than the request's, when it has one.
fn classify(error: &hyper::Error, connection: &LiveConnection) -> AttemptError {
    let error = connection.driver_error.as_ref().unwrap_or(error);
    let meter = &connection.meter;
    if meter.overflowed() || error.is_parse_too_large() {
        return AttemptError::HeaderTooLarge;
    }
    if error.is_parse() {
        return AttemptError::MalformedResponse;
    }
    if error.is_user() {
        return AttemptError::RequestInvalid;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return client_tls::classify_io(io).unwrap_or(AttemptError::ClosedEarly);
        }
        source = cause.source();
    }
    // The server spoke before it was asked, or went on after its answer.
    if meter.received_any() && !error.is_incomplete_message() {
        return AttemptError::MalformedResponse;
    }
    AttemptError::ClosedEarly
}

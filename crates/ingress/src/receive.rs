//! One request to a source, from its head to its answer: the first four hops of an event.
//!
//! The order of checks: source, headers, method, address, size, handshake, verification, the source's
//! rate, event type, payload rules, dedupe key, store. Refusals are counted per address *after*
//! verification: verifying costs a twentieth of a request, and a limit before it would let one forger
//! behind a shared proxy shut out the genuine sender.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use becket_model::{Clock, Disposition, EventId, Verification};
use becket_signature::{Refusal, RequestView, Verdict};
use becket_store::{Accepted, EventAccept, QuarantineWrite, Scope, Store};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body::Body;

use crate::address::{client_address, contains};
use crate::answer::{self, Reply};
use crate::body::{TimedBody, Unread, read_whole};
use crate::denial::{self, Denial};
use crate::limit::{AddressRates, BodyBudget, BodyShare, Connections, ServerLimits, SourceRates};
use crate::outside::{Nowhere, Outside};
use crate::prepare::{How, prepare, targets_of};
use crate::prove::Proven;
use crate::record::{RecordFacts, pack, path_and_query};
use crate::report::{Observer, Outcome, Telling};
use crate::source::{SourceRuntime, SourceTable, Unusable};
use becket_store::accept::{Finishing, Handoff, plan_and_accept};

/// Keeping a refused request is best effort; its sender is not made to wait for it longer than this.
const QUARANTINE_WAIT: Duration = Duration::from_millis(500);

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address; that of the proxy, if there is one.
    pub address: SocketAddr,
    /// Whether the connection is encrypted here.
    pub tls: bool,
}

/// What became of a request, beyond its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// In a word.
    pub outcome: Outcome,
    /// Why it was not accepted, as in [`crate::RequestReport::code`].
    pub code: Option<&'static str>,
    /// The event that it made or repeated.
    pub event: Option<EventId>,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: false }
    }
}

/// Receives requests for sources. Shared by all listeners.
pub struct Ingress {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sources: Arc<ArcSwap<SourceTable>>,
    pub(crate) handoff: Arc<dyn Handoff>,
    pub(crate) outside: Arc<dyn Outside>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: ServerLimits,
    pub(crate) connections: Arc<Connections>,
    refusals: AddressRates,
    source_rates: SourceRates,
    bodies: BodyBudget,
    receives: bool,
    pub(crate) unfinished: Arc<AtomicUsize>,
}

/// What is found under the name in a path.
enum Found {
    Source(Arc<SourceRuntime>),
    Unusable(Unusable),
    Nothing,
}

/// A request that has been read.
pub(crate) struct Received<'r> {
    pub(crate) source: &'r Arc<SourceRuntime>,
    pub(crate) head: &'r Parts,
    pub(crate) url: String,
    pub(crate) remote: IpAddr,
    pub(crate) body: Bytes,
}

impl Received<'_> {
    pub(crate) fn view(&self) -> RequestView<'_> {
        RequestView {
            method: self.head.method.as_str(),
            url: &self.url,
            headers: &self.head.headers,
            body: &self.body,
        }
    }
}

impl Ingress {
    /// Puts the receiving side together. `sources` may be swapped at any time.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        sources: Arc<ArcSwap<SourceTable>>,
        handoff: Arc<dyn Handoff>,
        observer: Arc<dyn Observer>,
        clock: Arc<dyn Clock>,
        limits: ServerLimits,
    ) -> Self {
        let refusals = AddressRates::new(
            limits.unverified_rate,
            limits.unverified_burst,
            limits.unverified_addresses_max,
        );
        Self {
            store,
            sources,
            handoff,
            outside: Arc::new(Nowhere),
            observer,
            clock,
            connections: Arc::new(Connections::new(&limits)),
            refusals,
            source_rates: SourceRates::default(),
            bodies: BodyBudget::new(limits.inflight_body_bytes_max),
            receives: true,
            unfinished: Arc::new(AtomicUsize::new(0)),
            limits,
        }
    }

    /// Connects it to the outside; without that, whoever needs keys or a visit has to come again.
    #[must_use]
    pub fn with_outside(self, outside: Arc<dyn Outside>) -> Self {
        Self { outside, ..self }
    }

    /// Says whether requests from outside are taken here; otherwise senders are told to come again,
    /// to one of several nodes that does.
    #[must_use]
    pub fn receiving(self, receives: bool) -> Self {
        Self { receives, ..self }
    }

    /// One request's part of the bytes that may be held in memory.
    pub(crate) const fn body_share(&self) -> BodyShare<'_> {
        self.bodies.share()
    }

    /// How many connections are open.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.count()
    }

    /// How many commits are carried on for senders that have gone away.
    #[must_use]
    pub fn unfinished_count(&self) -> usize {
        self.unfinished.load(Ordering::Acquire)
    }

    /// Receives one webhook: a request whose path is `/in/<name>` or below it. Reads the body, and
    /// answers 2xx only when the event is durable. The observer is told exactly once, also if the
    /// returned future is dropped.
    pub async fn receive_webhook<B>(&self, head: &Parts, body: B, peer: impl Into<Peer>) -> Reply
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if self.receives {
            return self.receive_and_tell(head, body, peer).await.0;
        }
        let peer = peer.into();
        let remote = client_address(peer.address.ip(), &head.headers, &self.limits.trusted_proxies);
        let mut telling = Telling::new(&*self.observer, remote);
        let reply = self.deny(&mut telling, denial::not_receiving(), None).await;
        telling.status = reply.status().as_u16();
        reply
    }

    /// The same, and tells the caller what the sender is not told. For the operator's own requests.
    pub async fn receive_and_tell<B>(
        &self,
        head: &Parts,
        body: B,
        peer: impl Into<Peer>,
    ) -> (Reply, Told)
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let peer = peer.into();
        let trusted = &self.limits.trusted_proxies;
        let remote = client_address(peer.address.ip(), &head.headers, trusted);
        let found = self.lookup(head.uri.path());
        let mut telling = Telling::new(&*self.observer, remote);
        let reply = match &found {
            Found::Nothing => self.deny(&mut telling, denial::unknown(), None).await,
            Found::Unusable(Unusable::Perhaps) => {
                // Most of these names nobody has: whoever tries many is limited as before.
                self.deny(&mut telling, denial::unusable().unproven(), None).await
            }
            Found::Unusable(Unusable::Known(source)) => {
                telling.source = Some(&source.uid);
                telling.scope = Some(Scope::of(source.owner, source.key));
                self.deny(&mut telling, denial::unusable(), None).await
            }
            Found::Source(source) => {
                telling.source = Some(&source.uid);
                telling.scope = Some(Scope::of(source.owner, source.key));
                let url = public_url(source, head, peer);
                let mut received = Received { source, head, url, remote, body: Bytes::new() };
                match self.judge(&mut telling, &mut received, body).await {
                    Ok(reply) => reply,
                    Err(denial) => self.deny(&mut telling, *denial, Some(&received)).await,
                }
            }
        };
        telling.status = reply.status().as_u16();
        let told = Told { outcome: telling.outcome, code: telling.code, event: telling.event };
        (reply, told)
    }

    fn lookup(&self, path: &str) -> Found {
        let Some(name) = source_name(path) else { return Found::Nothing };
        let sources = self.sources.load();
        match sources.get(name) {
            Some(source) => Found::Source(Arc::clone(source)),
            None => sources.unusable(name).map_or(Found::Nothing, Found::Unusable),
        }
    }

    async fn judge<B>(
        &self,
        telling: &mut Telling<'_>,
        received: &mut Received<'_>,
        body: B,
    ) -> Result<Reply, Box<Denial>>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let source = received.source;
        admit(received)?;
        let mut share = self.bodies.share();
        let body = TimedBody::new(body, &self.limits);
        match read_whole(body, source.rules.body_limit_bytes, &mut share).await {
            Ok(body) => received.body = body,
            Err(unread) => {
                if let Unread::TooLarge(part) = &unread {
                    received.body = part.clone();
                    telling.bytes = part.len() as u64;
                }
                return Err(Box::new(denial::unread(&unread)));
            }
        }
        telling.bytes = received.body.len() as u64;

        let now_ms = self.clock.now_ms();
        let now_s = now_ms.div_euclid(1_000);
        let observed = source.rules.verification == Verification::Observe;
        let verdict = match self.prove(telling, received, now_s).await {
            Ok(Proven::Answered(reply)) => return Ok(reply),
            Ok(Proven::Judged(verdict)) => verdict,
            // Who only observes does not send anybody away for a key that is not at hand.
            Err(denial) if observed && denial.outcome == Outcome::KeyUnavailable => {
                Verdict::Refused(Refusal::KeyUnavailable)
            }
            Err(denial) => return Err(denial),
        };
        telling.refusal = match verdict {
            Verdict::Genuine(_) => None,
            Verdict::Refused(refusal) => Some(refusal),
        };
        match verdict {
            Verdict::Refused(refusal) if source.rules.verification == Verification::Enforce => {
                let status = StatusCode::from_u16(source.entry.failure_status())
                    .unwrap_or(StatusCode::UNAUTHORIZED);
                let detail = "The request could not be verified.";
                let denial = Denial::new(Outcome::Refused, status, refusal.code(), detail);
                return Err(Box::new(denial.unproven().kept()));
            }
            Verdict::Genuine(_) | Verdict::Refused(_) => {}
        }
        if let Some(rate) = source.rules.rate
            && let Err(wait_ms) = self.source_rates.take(source.key, rate, now_ms)
        {
            return Err(Box::new(denial::too_many("source_rate", wait_ms)));
        }
        self.accept(telling, received, verdict, now_ms).await
    }

    /// From a judged request to the answer that names its event.
    async fn accept(
        &self,
        telling: &mut Telling<'_>,
        received: &Received<'_>,
        verdict: Verdict,
        now_ms: i64,
    ) -> Result<Reply, Box<Denial>> {
        let how = How { verdict: &verdict, released: None };
        let prepared = prepare(received, how, now_ms, &mut telling.event_type)?;
        telling.code = prepared.broken;
        self.commit(telling, received, prepared.accept).await
    }

    async fn commit(
        &self,
        telling: &mut Telling<'_>,
        received: &Received<'_>,
        accept: EventAccept,
    ) -> Result<Reply, Box<Denial>> {
        let source = received.source;
        let disposition = accept.disposition;
        let targets = targets_of(source, disposition);
        let scope = Scope::of(source.owner, source.key);
        let (store, handoff) = (Arc::clone(&self.store), Arc::clone(&self.handoff));
        let committing = plan_and_accept(store, handoff, scope, accept, &targets);
        let committing = Finishing::new(committing, &self.unfinished);
        let patience = Duration::from_millis(self.limits.commit_timeout_ms);
        let accepted = match tokio::time::timeout(patience, committing).await {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(error)) => return Err(Box::new(denial::store(&error))),
            Err(_) => {
                let code = "store_slow";
                return Err(Box::new(denial::unavailable(Outcome::StoreUnavailable, code, 5)));
            }
        };
        telling.outcome = match (&accepted, disposition) {
            (Accepted::Duplicate { .. }, _) => Outcome::Duplicate,
            (_, Disposition::Accepted) => Outcome::Accepted,
            (_, Disposition::Filtered) => Outcome::Filtered,
            (_, Disposition::Invalid) => Outcome::Invalid,
        };
        let event = accepted.event();
        telling.event = Some(event);
        Ok(match &source.rules.ack {
            Some(ack) => answer::accepted(event, Some(answer::fixed(ack))),
            None => answer::accepted(event, source.verifier.acknowledgement(&received.view())),
        })
    }

    /// Answers a request that is not accepted; keeps it, if that is wanted and its sender has not
    /// been refused too often.
    async fn deny(
        &self,
        telling: &mut Telling<'_>,
        mut denial: Denial,
        received: Option<&Received<'_>>,
    ) -> Reply {
        let now_ms = self.clock.now_ms();
        if denial.unproven
            && let Err(wait_ms) = self.refusals.take(telling.remote, now_ms)
        {
            denial = denial::too_many("address_rate", wait_ms);
        }
        telling.outcome = denial.outcome;
        telling.code = Some(denial.code);
        if denial.kept
            && let Some(received) = received
        {
            self.quarantine(received, &denial, now_ms).await;
        }
        let mut reply = answer::problem(denial.status, &denial.detail, denial.retry_after_s);
        if denial.status == StatusCode::METHOD_NOT_ALLOWED
            && let Some(received) = received
        {
            answer::allow(&mut reply, &received.source.rules.methods);
        }
        reply
    }

    async fn quarantine(&self, received: &Received<'_>, denial: &Denial, now_ms: i64) {
        let facts = RecordFacts {
            remote: received.remote,
            url: &received.url,
            delivery_id: None,
            verdict: None,
            invalid: None,
            cut: denial.code == denial::TOO_LARGE,
        };
        let Ok(record) = pack(received.head, &facts, &received.body) else { return };
        let refused = QuarantineWrite {
            received_at_ms: now_ms,
            code: denial.code.to_owned(),
            reason: denial.detail.clone(),
            status: denial.status.as_u16(),
            record,
        };
        let scope = Scope::of(received.source.owner, received.source.key);
        let putting = self.store.quarantine_put(scope, refused);
        match tokio::time::timeout(QUARANTINE_WAIT, putting).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!(source = %received.source.uid, code = error.code(), "not quarantined");
            }
            Err(_) => {
                tracing::debug!(source = %received.source.uid, code = "store_slow", "not quarantined");
            }
        }
    }
}

/// The name in `/in/<name>` and `/in/<name>/...`; nothing is decoded.
fn source_name(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/in/")?;
    rest.split('/').next()
}

/// What can be judged before the body is read.
fn admit(received: &Received<'_>) -> Result<(), Box<Denial>> {
    let rules = &received.source.rules;
    let headers = &received.head.headers;
    let header_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > rules.header_count_max || header_bytes > rules.header_bytes_max {
        return Err(Box::new(
            Denial::new(
                Outcome::TooLarge,
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers_too_large",
                "The headers are too many or too large.",
            )
            .unproven(),
        ));
    }
    let method = &received.head.method;
    let may_be_handshake = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    if !may_be_handshake && !rules.methods.contains(method) {
        return Err(Box::new(denial::method()));
    }
    if !rules.allow_networks.is_empty() && !contains(&rules.allow_networks, received.remote) {
        return Err(Box::new(
            Denial::new(
                Outcome::AddressRefused,
                StatusCode::FORBIDDEN,
                "address_not_allowed",
                "Requests are not taken from this address.",
            )
            .unproven(),
        ));
    }
    Ok(())
}

/// The URL as the sender knows it: the configured one with what the request adds to it.
pub(crate) fn public_url(source: &SourceRuntime, head: &Parts, peer: Peer) -> String {
    let path = path_and_query(head);
    if let Some(base) = &source.public_url {
        let below = path.strip_prefix("/in/").unwrap_or_default();
        let name_end = below.find(['/', '?']).unwrap_or(below.len());
        let rest = &below[name_end..];
        let mut url = String::with_capacity(base.len() + rest.len());
        url.push_str(base);
        url.push_str(rest);
        return url;
    }
    let host = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let host = head.uri.authority().map(http::uri::Authority::as_str).or(host).unwrap_or_default();
    let scheme = if peer.tls { "https://" } else { "http://" };
    [scheme, host, path].concat()
}

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
use becket_model::endpoint::type_matches;
use becket_model::{Clock, Disposition, EventLabels, EventRecord, PlanTarget};
use becket_signature::{Genuine, RequestView, Verdict};
use becket_store::{Accepted, DedupeKey, DedupeKind, EventAccept, QuarantineWrite, Scope, Store};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body::Body;

use crate::address::{client_address, contains};
use crate::answer::{self, Reply};
use crate::body::{TimedBody, Unread, read_whole};
use crate::dedupe;
use crate::denial::{self, Denial};
use crate::limit::{AddressRates, BodyBudget, Connections, ServerLimits, SourceRates};
use crate::payload::Payload;
use crate::record::{RecordFacts, pack, path_and_query};
use crate::report::{Observer, Outcome, Telling};
use crate::source::{IdPlace, OnInvalid, SourceRuntime, SourceTable};
use becket_store::accept::{Finishing, Handoff, plan_and_accept};

/// How long the engine has a delivery to itself, in milliseconds.
const LEASE_MS: i64 = 300_000;
/// How much of a refused body is kept.
const QUARANTINE_BODY_MAX: usize = 64 * 1024;
/// Keeping a refused request is best effort; its sender is not made to wait for it longer than this.
const QUARANTINE_WAIT: Duration = Duration::from_millis(500);
/// Longer delivery ids and event types are no such things.
const FACT_BYTES_MAX: usize = 1_024;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address; that of the proxy, if there is one.
    pub address: SocketAddr,
    /// Whether the connection is encrypted here.
    pub tls: bool,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: false }
    }
}

/// Receives requests for sources. Shared by all listeners.
pub struct Ingress {
    store: Arc<dyn Store>,
    sources: Arc<ArcSwap<SourceTable>>,
    handoff: Arc<dyn Handoff>,
    pub(crate) observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    pub(crate) limits: ServerLimits,
    pub(crate) connections: Arc<Connections>,
    refusals: AddressRates,
    source_rates: SourceRates,
    bodies: BodyBudget,
    unfinished: Arc<AtomicUsize>,
}

/// A request that has been read.
struct Received<'r> {
    source: &'r Arc<SourceRuntime>,
    head: &'r Parts,
    url: String,
    remote: IpAddr,
    body: Bytes,
}

impl Received<'_> {
    fn view(&self) -> RequestView<'_> {
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
            observer,
            clock,
            connections: Arc::new(Connections::new(&limits)),
            refusals,
            source_rates: SourceRates::default(),
            bodies: BodyBudget::new(limits.inflight_body_bytes_max),
            unfinished: Arc::new(AtomicUsize::new(0)),
            limits,
        }
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
        let peer = peer.into();
        let trusted = &self.limits.trusted_proxies;
        let remote = client_address(peer.address.ip(), &head.headers, trusted);
        let source = self.lookup(head.uri.path());
        let mut telling = Telling::new(&*self.observer, remote);
        let reply = match &source {
            None => {
                let denial = Denial::new(
                    Outcome::NotFound,
                    StatusCode::NOT_FOUND,
                    "unknown_source",
                    "There is nothing at this address.",
                );
                self.deny(&mut telling, denial.unproven(), None).await
            }
            Some(source) => {
                telling.source = Some(&source.uid);
                let url = public_url(source, head, peer);
                let mut received = Received { source, head, url, remote, body: Bytes::new() };
                match self.judge(&mut telling, &mut received, body).await {
                    Ok(reply) => reply,
                    Err(denial) => self.deny(&mut telling, *denial, Some(&received)).await,
                }
            }
        };
        telling.status = reply.status().as_u16();
        reply
    }

    fn lookup(&self, path: &str) -> Option<Arc<SourceRuntime>> {
        let name = source_name(path)?;
        self.sources.load().get(name).cloned()
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
        if let Some(answer) = source.verifier.handshake(&received.view(), now_s) {
            telling.outcome = Outcome::Handshake;
            if let Some(captured) = &answer.captured {
                self.observer.captured(&source.uid, captured);
            }
            return Ok(answer::handshake(answer));
        }
        if !source.rules.methods.contains(&received.head.method) {
            return Err(Box::new(denial::method()));
        }
        let genuine = match source.verifier.verify(&received.view(), now_s) {
            Verdict::Genuine(genuine) => genuine,
            Verdict::Refused(refusal) => {
                let status = StatusCode::from_u16(source.entry.failure_status())
                    .unwrap_or(StatusCode::UNAUTHORIZED);
                let detail = "The request could not be verified.";
                let denial = Denial::new(Outcome::Refused, status, refusal.code(), detail);
                return Err(Box::new(denial.unproven().kept()));
            }
        };
        if let Some(rate) = source.rules.rate
            && let Err(wait_ms) = self.source_rates.take(source.key, rate, now_ms)
        {
            return Err(Box::new(denial::too_many("source_rate", wait_ms)));
        }
        self.accept(telling, received, &genuine, now_ms).await
    }

    /// From a genuine request to the answer that names its event.
    async fn accept(
        &self,
        telling: &mut Telling<'_>,
        received: &Received<'_>,
        genuine: &Genuine,
        now_ms: i64,
    ) -> Result<Reply, Box<Denial>> {
        let source = received.source;
        let rules = &source.rules;
        let mut payload = Payload::new(&received.head.headers, &received.body);
        if payload.is_too_deep(rules) {
            let denial = Denial::new(
                Outcome::TooLarge,
                StatusCode::PAYLOAD_TOO_LARGE,
                "json_too_deep",
                "The JSON is nested too deep.",
            );
            return Err(Box::new(denial.kept()));
        }
        let facts = source.verifier.facts(&received.view());
        let fact = |text: Option<String>| text.filter(|text| text.len() <= FACT_BYTES_MAX);
        telling.event_type = fact(facts.event_type);
        let event_type = telling.event_type.clone();

        let filtered = rules.event_types.as_deref().is_some_and(|kept| {
            !kept.iter().any(|pattern| type_matches(pattern, event_type.as_deref()))
        });
        let violation =
            if filtered { None } else { payload.violation(rules, event_type.as_deref()) };
        if let (Some(violation), OnInvalid::Reject { status }) = (&violation, rules.on_invalid) {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
            let words = &violation.words;
            let denial = Denial::new(Outcome::Invalid, status, violation.code, words).kept();
            return Err(Box::new(denial));
        }
        let delivery_id = match &rules.dedupe.id_at {
            None => fact(facts.delivery_id),
            Some(place) => fact(overridden_id(place, received, &mut payload)),
        };
        let dedupe = dedupe_of(received, delivery_id.as_deref(), event_type.as_deref());
        let record = pack(
            received.head,
            &RecordFacts {
                remote: received.remote,
                url: &received.url,
                delivery_id: delivery_id.as_deref(),
                genuine: Some(genuine),
                invalid: violation.as_ref().map(|violation| violation.words.as_str()),
            },
            &received.body,
        );
        let disposition = match (filtered, &violation) {
            (true, _) => Disposition::Filtered,
            (false, Some(_)) => Disposition::Invalid,
            (false, None) => Disposition::Accepted,
        };
        let accept = EventAccept {
            application: source.key,
            received_at_ms: now_ms,
            event_type,
            dedupe,
            disposition,
            labels: EventLabels::default(),
            record: record.map_err(|_| Box::new(denial::unpackable()))?,
            planned: Vec::new(),
            due_ms: None,
            lease_until_ms: now_ms.saturating_add(LEASE_MS),
        };
        telling.code = violation.map(|violation| violation.code);
        self.commit(telling, source, accept).await
    }

    async fn commit(
        &self,
        telling: &mut Telling<'_>,
        source: &SourceRuntime,
        accept: EventAccept,
    ) -> Result<Reply, Box<Denial>> {
        let disposition = accept.disposition;
        let targets: Vec<PlanTarget<'_>> = match disposition {
            Disposition::Filtered => Vec::new(),
            Disposition::Accepted | Disposition::Invalid => source
                .targets
                .iter()
                .map(|target| PlanTarget {
                    key: target.key,
                    state: target.state,
                    settings: &target.settings,
                })
                .collect(),
        };
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
        let ack = source.rules.ack.as_ref().or_else(|| source.entry.ack());
        Ok(answer::accepted(event, ack))
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
            genuine: None,
            invalid: None,
        };
        let part = &received.body[..received.body.len().min(QUARANTINE_BODY_MAX)];
        let Ok(record): Result<EventRecord, _> = pack(received.head, &facts, part) else { return };
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
fn public_url(source: &SourceRuntime, head: &Parts, peer: Peer) -> String {
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

fn overridden_id(
    place: &IdPlace,
    received: &Received<'_>,
    payload: &mut Payload<'_>,
) -> Option<String> {
    let text = match place {
        IdPlace::Header(name) => received.head.headers.get(name)?.to_str().ok()?.to_owned(),
        IdPlace::Json(path) => match path.find(payload.json()?)? {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => return None,
        },
    };
    (!text.is_empty()).then_some(text)
}

fn dedupe_of(
    received: &Received<'_>,
    delivery_id: Option<&str>,
    event_type: Option<&str>,
) -> Option<(DedupeKey, DedupeKind, u64)> {
    let source = received.source;
    let rules = &source.rules.dedupe;
    if !rules.enabled {
        return None;
    }
    Some(match delivery_id {
        Some(id) => {
            let key = dedupe::delivery_id_key(source.key, id);
            (key, DedupeKind::DeliveryId, rules.id_window_ms)
        }
        None => {
            let method = received.head.method.as_str();
            let path = path_and_query(received.head);
            let key = dedupe::body_key(source.key, method, path, event_type, &received.body);
            (key, DedupeKind::BodyHash, rules.hash_window_ms)
        }
    })
}

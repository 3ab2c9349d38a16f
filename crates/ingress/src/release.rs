//! Letting a refused request out of quarantine: judging it again, and making it the event that it
//! would have been.
//!
//! Invariants: judged with the secrets of now and the clock of its first receipt; it takes the way of
//! what arrives (rules, repeats, plan, one commit), and leaves quarantine in that same commit; one
//! that does not pass stays as it is. No handshake is answered, nobody is rate limited.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use becket_model::{EventId, EventRecord, Released};
use becket_signature::{RequestView, Verdict};
use becket_store::accept::{Finishing, plan_and_release};
use becket_store::{Accepted, Quarantined, Scope};
use bytes::Bytes;
use http::request::Parts;

use crate::prepare::{How, prepare, targets_of};
use crate::receive::{Ingress, Peer, Received, public_url};
use crate::report::ReleaseReport;
use crate::source::SourceRuntime;

/// Who lets a request out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetOut {
    /// Who asks: the name of a token.
    pub by: String,
    /// Why it is let out even if it cannot be verified; without a reason it has to be genuine.
    pub reason: Option<String>,
}

/// What became of a request that was to be let out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetOutcome {
    /// It is an event now.
    Accepted(EventId),
    /// It is the repeat of this event, which came otherwise.
    Repeat(EventId),
    /// It stays in quarantine.
    Stays {
        /// Why: a code of [`becket_signature::Refusal`], of a rule, `body_cut` or `source_gone`.
        code: &'static str,
        /// The same in words.
        words: String,
    },
    /// It is not in quarantine, or no longer.
    Absent,
}

/// A kept request, as it was received.
#[derive(Debug)]
pub struct Kept {
    head: Parts,
    url: String,
    remote: IpAddr,
    body: Bytes,
}

impl Kept {
    /// Reads a record; the URL is the one that the source has now. `None` if it is no request.
    #[must_use]
    pub fn read(source: &SourceRuntime, record: &EventRecord) -> Option<Self> {
        let path = record.fact(EventRecord::PATH)?;
        let method = record.fact(EventRecord::METHOD)?;
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in record.headers() {
            request = request.header(name, value);
        }
        let (head, ()) = request.body(()).ok()?.into_parts();
        let remote = record.fact(EventRecord::REMOTE).and_then(|text| text.parse().ok());
        let remote = remote.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let peer = Peer::from(std::net::SocketAddr::new(remote, 0));
        let url = match (&source.public_url, record.fact(EventRecord::URL)) {
            (None, Some(url)) => url.to_owned(),
            _ => public_url(source, &head, peer),
        };
        Some(Self { head, url, remote, body: record.body() })
    }

    /// What verification looks at.
    #[must_use]
    pub fn view(&self) -> RequestView<'_> {
        RequestView {
            method: self.head.method.as_str(),
            url: &self.url,
            headers: &self.head.headers,
            body: &self.body,
        }
    }
}

impl Ingress {
    /// Lets one refused request out, if it passes. Doing it again changes nothing.
    ///
    /// # Errors
    /// When the store could not do it; then it is still in quarantine.
    pub async fn let_out(
        &self,
        scope: Scope,
        number: i64,
        how: &LetOut,
    ) -> becket_store::Result<LetOutcome> {
        let Some(kept) = self.store.quarantine_get(scope, number).await? else {
            return Ok(LetOutcome::Absent);
        };
        let source = self.sources.load().by_key(kept.row.application).cloned();
        let Some(source) = source else {
            return Ok(stays("source_gone", "Its source is no longer configured."));
        };
        let Some(request) = Kept::read(&source, &kept.record) else {
            return Ok(stays("unpackable", "What is kept of it is no whole request."));
        };
        if kept.record.fact(EventRecord::CUT).is_some() {
            return Ok(stays("body_cut", "Only the beginning of its body was kept."));
        }
        self.let_out_of(scope, &kept, &source, request, how).await
    }

    async fn let_out_of(
        &self,
        scope: Scope,
        kept: &Quarantined,
        source: &Arc<SourceRuntime>,
        request: Kept,
        how: &LetOut,
    ) -> becket_store::Result<LetOutcome> {
        let row = &kept.row;
        let received = Received {
            source,
            head: &request.head,
            url: request.url,
            remote: request.remote,
            body: request.body,
        };
        let first_s = row.received_at_ms.div_euclid(1_000);
        let verdict = match self.judge_again(&received, first_s).await {
            Ok(verdict) => verdict,
            Err(denial) => return Ok(stays(denial.code, &denial.detail)),
        };
        let refusal = match verdict {
            Verdict::Genuine(_) => None,
            Verdict::Refused(refusal) => Some(refusal),
        };
        if let (Some(refusal), None) = (refusal, &how.reason) {
            return Ok(stays(refusal.code(), "It still cannot be verified."));
        }
        let released = Released {
            first_received_at_ms: row.received_at_ms,
            refused_as: row.code.clone(),
            by: how.by.clone(),
            reason: how.reason.clone(),
        };
        let how = How { verdict: &verdict, released: Some(released) };
        let prepared = match prepare(&received, how, self.clock.now_ms(), &mut None) {
            Ok(prepared) => prepared,
            Err(denial) => return Ok(stays(denial.code, &denial.detail)),
        };
        let targets = targets_of(source, prepared.accept.disposition);
        let scope = Scope::of(scope.owner, source.key);
        let event_type = prepared.accept.event_type.clone();
        let (store, handoff) = (Arc::clone(&self.store), Arc::clone(&self.handoff));
        let releasing =
            plan_and_release(store, handoff, scope, row.number, prepared.accept, &targets);
        // Whoever asked may go away; what was begun is finished.
        let Some(accepted) = Finishing::new(releasing, &self.unfinished).await? else {
            return Ok(LetOutcome::Absent);
        };
        let event = accepted.event();
        let repeat = matches!(accepted, Accepted::Duplicate { .. });
        self.observer.released(&ReleaseReport {
            number: row.number,
            source: &source.uid,
            scope,
            event,
            event_type: event_type.as_deref(),
            bytes: received.body.len() as u64,
            repeat,
            refusal,
        });
        Ok(if repeat { LetOutcome::Repeat(event) } else { LetOutcome::Accepted(event) })
    }
}

fn stays(code: &'static str, words: &str) -> LetOutcome {
    LetOutcome::Stays { code, words: words.to_owned() }
}

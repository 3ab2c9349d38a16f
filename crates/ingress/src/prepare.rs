//! From a judged request to the event that it becomes: its type, the source's rules, how a repeat is
//! recognised, and what is kept of it. The same for what arrives and for what is let out of
//! quarantine.

use becket_model::endpoint::type_matches;
use becket_model::{Disposition, EventLabels, PlanTarget, Released};
use becket_signature::Verdict;
use becket_store::{DedupeKey, DedupeKind, EventAccept};
use http::StatusCode;

use crate::dedupe;
use crate::denial::{self, Denial};
use crate::payload::Payload;
use crate::receive::Received;
use crate::record::{RecordFacts, pack, path_and_query};
use crate::report::Outcome;
use crate::source::{IdPlace, OnInvalid, SourceRuntime};

/// How long the engine has a delivery to itself, in milliseconds.
const LEASE_MS: i64 = 300_000;
/// Longer delivery ids and event types are no such things.
const FACT_BYTES_MAX: usize = 1_024;

/// How a request came to be accepted.
pub(crate) struct How<'h> {
    /// What verification found; a refusal is noted on the event.
    pub verdict: &'h Verdict,
    /// There if it comes out of quarantine.
    pub released: Option<Released>,
}

/// An event without its plan.
pub(crate) struct Prepared {
    pub accept: EventAccept,
    /// The payload rule that it breaks, if the source accepts such events.
    pub broken: Option<&'static str>,
}

/// Makes the event. `event_type` is also set if the event is denied.
pub(crate) fn prepare(
    received: &Received<'_>,
    how: How<'_>,
    now_ms: i64,
    event_type: &mut Option<String>,
) -> Result<Prepared, Box<Denial>> {
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
    *event_type = fact(facts.event_type);

    let filtered = rules.event_types.as_deref().is_some_and(|kept| {
        !kept.iter().any(|pattern| type_matches(pattern, event_type.as_deref()))
    });
    let violation = if filtered { None } else { payload.violation(rules, event_type.as_deref()) };
    // Who lets a request out without verification has looked at it: it is marked, not refused.
    let by_hand = how.released.as_ref().is_some_and(|released| released.reason.is_some());
    if let (Some(violation), OnInvalid::Reject { status }, false) =
        (&violation, rules.on_invalid, by_hand)
    {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        let words = &violation.words;
        let denial = Denial::new(Outcome::Invalid, status, violation.code, words).kept();
        return Err(Box::new(denial));
    }
    let delivery_id = match &rules.dedupe.id_at {
        None => fact(facts.delivery_id),
        Some(place) => fact(overridden_id(place, received, &mut payload)),
    };
    let trust = match how.verdict {
        Verdict::Genuine(genuine) if source.entry.proves(genuine) => Trust::Proven,
        Verdict::Genuine(_) => Trust::Anybody,
        Verdict::Refused(_) if how.released.is_some() => Trust::Proven,
        Verdict::Refused(_) => Trust::Observed,
    };
    let dedupe = dedupe_of(received, trust, delivery_id.as_deref(), event_type.as_deref());
    let record = pack(
        received.head,
        &RecordFacts {
            remote: received.remote,
            url: &received.url,
            delivery_id: delivery_id.as_deref(),
            verdict: Some(how.verdict),
            invalid: violation.as_ref().map(|violation| violation.words.as_str()),
            cut: false,
        },
        &received.body,
    );
    let disposition = match (filtered, &violation) {
        (true, _) => Disposition::Filtered,
        (false, Some(_)) => Disposition::Invalid,
        (false, None) => Disposition::Accepted,
    };
    let unverified = match how.verdict {
        Verdict::Genuine(_) => None,
        Verdict::Refused(refusal) => Some(refusal.code().to_owned()),
    };
    let accept = EventAccept {
        application: source.key,
        received_at_ms: now_ms,
        event_type: event_type.clone(),
        dedupe,
        disposition,
        labels: EventLabels { unverified, released: how.released, ..EventLabels::default() },
        record: record.map_err(|_| Box::new(denial::unpackable()))?,
        planned: Vec::new(),
        due_ms: None,
        lease_until_ms: now_ms.saturating_add(LEASE_MS),
    };
    Ok(Prepared { accept, broken: violation.map(|violation| violation.code) })
}

/// Where an event may go.
pub(crate) fn targets_of(source: &SourceRuntime, disposition: Disposition) -> Vec<PlanTarget<'_>> {
    match disposition {
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
    }
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

/// How much is known about who sent a request that becomes an event. What is not proven must not be
/// able to pass for the first of two and keep the sender's own event out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// A secret or a key proves it, or an operator has let it out of quarantine.
    Proven,
    /// The source verifies nothing: whoever knows the URL may have sent it.
    Anybody,
    /// It is only let in because the source refuses nothing.
    Observed,
}

fn dedupe_of(
    received: &Received<'_>,
    trust: Trust,
    delivery_id: Option<&str>,
    event_type: Option<&str>,
) -> Option<(DedupeKey, DedupeKind, u64)> {
    let (key, body) = (received.source.key, &received.body);
    let rules = &received.source.rules.dedupe;
    if !rules.enabled {
        return None;
    }
    let chosen = rules.id_chosen || rules.id_at.is_some();
    let found = match (delivery_id, trust) {
        (Some(id), Trust::Observed) => {
            let id = format!("unverified {id}");
            (dedupe::delivery_id_key(key, &id), DedupeKind::DeliveryId, rules.id_window_ms)
        }
        // Anybody can write an id of somebody else's event: it only counts with the whole body.
        (Some(_), Trust::Anybody) if !chosen && rules.bodies_recur => return None,
        (Some(id), Trust::Anybody) if !chosen => {
            let key = dedupe::body_key(key, "unproven", id, None, body);
            (key, DedupeKind::DeliveryId, rules.id_window_ms)
        }
        (Some(id), _) => {
            (dedupe::delivery_id_key(key, id), DedupeKind::DeliveryId, rules.id_window_ms)
        }
        (None, _) if rules.bodies_recur => return None,
        (None, _) => {
            let method = received.head.method.as_str();
            let path = path_and_query(received.head);
            let unverified = if trust == Trust::Observed { "unverified " } else { "" };
            let method = format!("{unverified}{method}");
            let key = dedupe::body_key(key, &method, path, event_type, body);
            (key, DedupeKind::BodyHash, rules.hash_window_ms)
        }
    };
    Some(found)
}

//! What a store answered, in words that are the same for both stores.

use std::fmt::Debug;

use becket_model::{ApplicationKey, DeliveryKey, EndpointKey, EndpointState, EventId, EventRecord};
use becket_store::{
    Application, AttemptRow, ConfigSnapshot, Document, Endpoint, EventRow, Replayed,
};

use super::side::Side;

impl Side {
    pub(super) fn event(&self, event: EventId) -> String {
        let number = self.numbers.get(&event);
        number.map_or_else(|| format!("unknown {event}"), |number| format!("event {number}"))
    }

    pub(super) fn application(&self, key: ApplicationKey) -> String {
        let place = self.applications.iter().position(|known| known.key == key);
        place.map_or_else(|| format!("unknown {key:?}"), |place| format!("application {place}"))
    }

    pub(super) fn endpoint(&self, key: EndpointKey) -> String {
        let place = self.endpoints.iter().position(|known| known.key == key);
        place.map_or_else(|| format!("unknown {key:?}"), |place| format!("endpoint {place}"))
    }

    pub(super) fn delivery(&self, key: DeliveryKey) -> String {
        let (event, endpoint) = (self.event(key.event), self.endpoint(key.endpoint));
        format!("{event} at {endpoint} round {}", key.generation)
    }

    pub(super) fn tell_replayed(&self, replayed: &[Replayed]) -> String {
        let each = replayed.iter().map(|one| {
            format!("{} {}; ", self.delivery(one.key), if one.fresh { "fresh" } else { "pending" })
        });
        let mut each: Vec<String> = each.collect();
        each.sort_unstable();
        format!("replayed: {}", each.concat())
    }

    pub(super) fn tell_row(&self, row: &EventRow) -> String {
        let mut text = format!(
            "{} {} {} {:?} {:?} {} bytes {:?}\n",
            self.event(row.id),
            self.application(row.application),
            row.received_at_ms,
            row.event_type,
            row.disposition,
            row.size_bytes,
            row.labels,
        );
        // Replays stand after what was planned, among themselves in any order.
        let (mut planned, mut replays): (Vec<_>, Vec<_>) =
            row.deliveries.iter().partition(|one| one.generation == 0);
        if !row
            .deliveries
            .starts_with(&planned.iter().map(|one| (*one).clone()).collect::<Vec<_>>())
        {
            text += "  replays before planned deliveries\n";
        }
        replays.sort_by_key(|one| (one.endpoint, one.generation));
        planned.append(&mut replays);
        for one in planned {
            let (endpoint, round) = (self.endpoint(one.endpoint), one.generation);
            let (state, attempts, due_ms) = (one.state.as_str(), one.attempts, one.due_ms);
            text += &format!("  to {endpoint} round {round}: {state} {attempts} due {due_ms:?}\n");
        }
        text
    }

    pub(super) fn tell_attempt(&self, row: &AttemptRow) -> String {
        format!("  {}: {:?}, then {:?}\n", self.delivery(row.delivery), row.attempt, row.next)
    }

    pub(super) fn tell_config(&self, config: &ConfigSnapshot, now_ms: i64) -> String {
        let applications = config.applications.iter().map(|one| self.tell_application(one));
        let endpoints = config.endpoints.iter().map(|one| self.tell_endpoint(one, now_ms));
        applications.chain(endpoints).collect()
    }

    /// Everything but the key, which is told as its place.
    pub(super) fn tell_application(&self, application: &Application) -> String {
        let place = self.application(application.key);
        format!("{place} {:?}\n", Application { key: ApplicationKey(0), ..application.clone() })
    }

    pub(super) fn tell_endpoint(&self, endpoint: &Endpoint, now_ms: i64) -> String {
        let place = (self.endpoint(endpoint.key), self.application(endpoint.application));
        let mut text = format!("{place:?} {:?} {}", endpoint.uid, endpoint.id);
        text += &format!(" {:?} {:?}", endpoint.origin, endpoint.state);
        if endpoint.state == EndpointState::Removed {
            return text + "\n";
        }
        let since_ms = endpoint.failing_since_ms;
        let (created_ms, updated_ms) = (endpoint.created_at_ms, endpoint.updated_at_ms);
        text += &format!(
            " {:?} failing {since_ms:?} made {created_ms} changed {updated_ms} wait {} {:?}",
            endpoint.state_reason, endpoint.settings.timeout_ms, endpoint.headers
        );
        // Expired secrets may be cleared away at any time.
        let live = |at_ms: Option<i64>| at_ms.is_none_or(|at_ms| at_ms > now_ms);
        for secret in endpoint.secrets.iter().filter(|secret| live(secret.expires_at_ms)) {
            text += &format!(" {:?} until {:?}", secret.envelope, secret.expires_at_ms);
        }
        text + "\n"
    }

    pub(super) fn tell_document(&self, document: &Document) -> String {
        let place = document.name.application.map(|key| self.application(key));
        let (kind, name) = (document.name.kind.as_str(), &document.name.name);
        let (content, revision) = (&document.content, document.revision);
        let (made_ms, changed_ms) = (document.created_at_ms, document.updated_at_ms);
        format!("{kind} {name} {place:?} {revision} {made_ms} {changed_ms} {content:?}\n")
    }
}

/// What is there, or that nothing is.
pub(super) fn tell_found<T: Debug>(found: Option<T>, tell: impl Fn(T) -> String) -> String {
    found.map_or_else(|| "nothing\n".to_owned(), tell)
}

pub(super) fn tell_record(record: &EventRecord) -> String {
    let bytes = record.packed();
    // FNV-1a, so that a difference of megabytes is told in a few letters.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{} bytes {hash:016x}", bytes.len())
}

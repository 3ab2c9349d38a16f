//! How items are compared: an unambiguous run of bytes for each.
//!
//! Every field stands in a fixed order; what can vary in length has its length in front, what can be
//! absent a 0 or 1. Replays, which stores tell in any order, stand in the order of generation and
//! endpoint. So two items are the same exactly if their bytes are, and the SHA-256 over all items of
//! a kind tells whether two stores hold the same.

use becket_model::{
    ApplicationKind, Disposition, EndpointState, FailureReason, NextStep, Origin, Trigger,
};

use super::item::{
    ApplicationItem, AttemptItem, Chunk, DocumentItem, EndpointItem, EventItem, RefusedItem,
    SettingItem,
};

/// What an item comes to, in parts that have names for people.
pub(super) struct Encoded {
    bytes: Vec<u8>,
    /// Where each part ends.
    parts: Vec<(&'static str, usize)>,
}

impl Encoded {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), parts: Vec::new() }
    }

    /// The bytes of the item that was put in last.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the place of what was there.
    pub(super) fn set(&mut self, chunk: &Chunk, at: usize) {
        self.bytes.clear();
        self.parts.clear();
        match chunk {
            Chunk::Applications(list) => list.get(at).map(|one| self.application(one)),
            Chunk::Endpoints(list) => list.get(at).map(|one| self.endpoint(one)),
            Chunk::Documents(list) => list.get(at).map(|one| self.document(one)),
            Chunk::Settings(list) => list.get(at).map(|one| self.setting(one)),
            Chunk::Events(list) => list.get(at).map(|one| self.event(one)),
            Chunk::Refused(list) => list.get(at).map(|one| self.refused(one)),
        };
    }

    /// The first part that is not the same, if any is not.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.bytes == other.bytes {
            return None;
        }
        let mut from = (0, 0);
        for (mine, theirs) in self.parts.iter().zip(&other.parts) {
            if self.bytes.get(from.0..mine.1) != other.bytes.get(from.1..theirs.1) {
                return Some(mine.0);
            }
            from = (mine.1, theirs.1);
        }
        Some("the items")
    }

    fn part(&mut self, name: &'static str) {
        self.parts.push((name, self.bytes.len()));
    }

    fn number(&mut self, number: i64) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    fn count(&mut self, count: usize) {
        self.bytes.extend_from_slice(&(count as u64).to_be_bytes());
    }

    fn bytes_of(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes_of(text.as_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.bytes.push(u8::from(flag));
    }

    fn optional<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    fn application(&mut self, one: &ApplicationItem) {
        self.number(one.key.0.into());
        self.number(one.owner.into());
        self.bytes.push(match one.kind {
            ApplicationKind::Customer => 0,
            ApplicationKind::Source => 1,
            ApplicationKind::Operational => 2,
        });
        self.bytes_of(&one.id);
        self.optional(one.uid.as_deref(), Self::text);
        self.origin(one.origin);
        self.flag(one.removed);
        self.part("its ids and names");
        self.text(&one.settings);
        self.part("its settings");
        self.optional(one.credentials.as_deref(), Self::bytes_of);
        self.part("its sealed credentials");
        self.number(one.created_at_ms);
        self.number(one.updated_at_ms);
        self.part("its times");
    }

    fn origin(&mut self, origin: Origin) {
        self.flag(origin == Origin::Api);
    }

    fn endpoint(&mut self, one: &EndpointItem) {
        self.number(one.key.0.into());
        self.number(one.application.0.into());
        self.optional(one.uid.as_deref(), Self::text);
        self.bytes_of(one.id.as_bytes());
        self.origin(one.origin);
        self.part("its ids and names");
        self.text(&one.settings);
        self.part("its settings");
        self.optional(one.headers.as_deref(), Self::bytes_of);
        self.count(one.secrets.len());
        for secret in &one.secrets {
            self.number(secret.number.into());
            self.bytes_of(&secret.envelope);
            self.optional(secret.expires_at_ms, Self::number);
        }
        self.part("its sealed secrets and headers");
        self.bytes.push(match one.state {
            EndpointState::Enabled => 0,
            EndpointState::Paused => 1,
            EndpointState::Disabled => 2,
            EndpointState::Removed => 3,
        });
        self.text(&one.state_reason);
        self.optional(one.failing_since_ms, Self::number);
        self.part("its state and reason");
        self.number(one.created_at_ms);
        self.number(one.updated_at_ms);
        self.part("its times");
    }

    fn document(&mut self, one: &DocumentItem) {
        self.number(one.number);
        self.number(one.owner.into());
        self.text(&one.kind);
        self.number(one.application.into());
        self.text(&one.name);
        self.part("its names");
        self.text(&one.body);
        self.part("its contents");
        self.optional(one.sealed.as_deref(), Self::bytes_of);
        self.part("its sealed parts");
        self.optional(one.expires_at_ms, Self::number);
        self.bytes.extend_from_slice(&one.revision.to_be_bytes());
        self.number(one.created_at_ms);
        self.number(one.updated_at_ms);
        self.part("its revision and times");
    }

    fn setting(&mut self, one: &SettingItem) {
        self.number(one.owner.into());
        self.text(&one.name);
        self.bytes_of(&one.value);
        self.part("its values");
    }

    fn event(&mut self, one: &EventItem) {
        self.bytes_of(one.id.as_bytes());
        self.number(one.application.0.into());
        self.number(one.received_at_ms);
        self.bytes.push(match one.disposition {
            Disposition::Accepted => 0,
            Disposition::Filtered => 1,
            Disposition::Invalid => 2,
        });
        self.optional(one.dedupe, |this, (key, until_ms)| {
            this.bytes_of(&key);
            this.number(until_ms);
        });
        self.optional(one.payload_until_ms, Self::number);
        self.optional(one.event_type.as_deref(), Self::text);
        self.optional(one.labels.as_deref(), Self::text);
        self.part("its facts and labels");
        self.bytes_of(&one.record);
        self.part("its bytes");
        self.count(one.planned.len());
        for endpoint in &one.planned {
            self.number(endpoint.0.into());
        }
        let mut replays = one.replays.clone();
        replays.sort_unstable();
        self.count(replays.len());
        for replay in replays {
            self.number(replay.endpoint.0.into());
            self.number(replay.generation.into());
        }
        self.part("its planned and replayed deliveries");
        self.count(one.attempts.len());
        for attempt in &one.attempts {
            self.attempt(attempt);
        }
        self.part("its attempts");
        self.count(one.pending.len());
        for pending in &one.pending {
            self.number(pending.endpoint.0.into());
            self.number(pending.generation.into());
            self.number(pending.attempts.into());
            self.number(pending.due_ms);
        }
        self.part("its pending deliveries");
        self.count(one.duplicates.len());
        for received_at_ms in &one.duplicates {
            self.number(*received_at_ms);
        }
        self.part("its repeats");
    }

    fn attempt(&mut self, one: &AttemptItem) {
        self.number(one.endpoint.0.into());
        self.number(one.generation.into());
        self.number(one.number.into());
        self.bytes.push(match one.next {
            NextStep::RetryAt(_) => 0,
            NextStep::Delivered => 1,
            NextStep::Failed(FailureReason::Exhausted) => 2,
            NextStep::Failed(FailureReason::Gone) => 3,
            NextStep::Failed(FailureReason::Expunged) => 4,
            NextStep::Failed(FailureReason::GaveUp) => 5,
        });
        if let NextStep::RetryAt(at_ms) = one.next {
            self.number(at_ms);
        }
        self.bytes_of(&one.tail);
        self.flag(one.trigger == Trigger::Replay);
        self.number(one.started_at_ms);
        self.number(one.duration_ms.into());
        self.optional(one.status, |this, status| this.number(status.into()));
        self.optional(one.error_code.as_deref(), Self::text);
        self.bytes_of(&one.detail);
    }

    fn refused(&mut self, one: &RefusedItem) {
        self.number(one.number);
        self.number(one.application.0.into());
        self.number(one.received_at_ms);
        self.text(&one.code);
        self.text(&one.reason);
        self.number(one.status.into());
        self.part("its facts");
        self.bytes_of(&one.record);
        self.part("its bytes");
    }
}

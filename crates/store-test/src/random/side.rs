//! One of the two stores that are compared: does the operations and tells the answers in words
//! that do not depend on the store's own ids.
//!
//! Events, leases and attempts get numbers in the order in which they came; the same number on
//! both sides is the same thing, which is the bijection between the stores' ids.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use becket_model::{
    ApplicationId, ApplicationKey, ApplicationKind, AttemptId, DeliveryKey, EndpointId,
    EndpointKey, EndpointSettings, EndpointState, EventId, EventLabels, EventRecord, FailureReason,
    NextStep, Trigger,
};
use becket_store::{
    Accepted, AttemptFinish, AttemptWrite, Changed, ConfigSnapshot, DedupeKind, EndpointChange,
    EventAccept, EventFilter, FinishOutcome, LeaseToken, Owner, Page, Planned, Result, Scope,
    Store,
};
use bytes::Bytes;

use super::made::ENDPOINT_NAMES;
use super::operation::{Accept, Change, Filter, LABELS, Next, Operation, SLOTS, SOURCES, TYPES};
use super::tell::{tell_found, tell_record};
use crate::{Numbers, fixture};

/// What a store answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// In words.
    Text(String),
    /// By endpoint slot: how many wait at least, and when the first is due.
    Due(BTreeMap<usize, (u64, i64)>),
}

/// The moments that an operation refers to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now_ms: i64,
    /// Refused requests from before this moment may have been lost in a crash.
    pub(super) quarantine_since_ms: i64,
}

/// An application that has come up.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownApplication {
    pub(super) key: ApplicationKey,
    pub(super) id: ApplicationId,
    pub(super) owner: usize,
    pub(super) kind: ApplicationKind,
    pub(super) removed: bool,
}

/// An endpoint that has come up.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownEndpoint {
    pub(super) key: EndpointKey,
    pub(super) id: EndpointId,
    /// The place of its application.
    pub(super) application: usize,
}

pub(super) struct Side {
    pub(super) store: Arc<dyn Store>,
    pub(super) events: Vec<EventId>,
    pub(super) numbers: HashMap<EventId, usize>,
    /// Those of the file by slot, then the others as they came up.
    pub(super) applications: Vec<KnownApplication>,
    /// Likewise.
    pub(super) endpoints: Vec<KnownEndpoint>,
    leases: Vec<(DeliveryKey, LeaseToken, u32)>,
    pub(super) attempts: Vec<AttemptId>,
    /// Counts what has to differ from everything before it.
    fresh: u64,
}

/// The owner of a slot.
pub(super) const fn owner(slot: usize) -> Owner {
    if slot == 0 { Owner::MAIN } else { fixture::OTHER }
}

/// The element so many places before the last, going round.
pub(super) fn back<T>(all: &[T], places: usize) -> Option<&T> {
    let places = places.checked_rem(all.len())?;
    all.iter().rev().nth(places)
}

/// A place in a list: one of the first by its slot, or else so many before the last.
fn place(number: usize, slots: usize, length: usize) -> usize {
    match number.checked_sub(slots) {
        Some(places) if length > slots => length - 1 - places % (length - slots),
        _ => number % slots,
    }
}

impl Side {
    /// Declares everything and learns its keys.
    pub(super) async fn new(store: Arc<dyn Store>) -> Result<Self> {
        let mut side = Self {
            store,
            events: Vec::new(),
            numbers: HashMap::new(),
            applications: Vec::new(),
            endpoints: Vec::new(),
            leases: Vec::new(),
            attempts: Vec::new(),
            fresh: 0,
        };
        for slot in 0..2 {
            side.declare(slot, 0, false, 1_000, fixture::T0).await?;
        }
        Ok(side)
    }

    /// Bytes that were not there before; the same on both sides.
    pub(super) fn fresh(&mut self) -> [u8; 14] {
        self.fresh += 1;
        let mut bytes = [0; 14];
        let mut numbers = Numbers::new(self.fresh);
        bytes[..8].copy_from_slice(&numbers.draw().to_le_bytes());
        bytes[8..].copy_from_slice(&numbers.draw().to_le_bytes()[..6]);
        bytes
    }

    /// What looks sealed with a version of the key.
    pub(super) fn envelope(&mut self, version: u8) -> Vec<u8> {
        [&[version][..], &self.fresh()].concat()
    }

    /// The place of an application, by what an operation calls it.
    pub(super) fn application_place(&self, number: usize) -> usize {
        place(number, SOURCES.len(), self.applications.len())
    }

    /// The place of an endpoint, likewise.
    pub(super) fn endpoint_place(&self, number: usize) -> usize {
        place(number, SLOTS[SOURCES.len()], self.endpoints.len())
    }

    /// The endpoints of an application, in the order in which they came up.
    fn endpoints_of(&self, application: usize) -> Vec<EndpointKey> {
        let of = self.endpoints.iter().filter(|known| known.application == application);
        of.map(|known| known.key).collect()
    }

    /// Remembers what came up, and what is removed.
    pub(super) fn learn(&mut self, slot: usize, config: &ConfigSnapshot) {
        for one in &config.applications {
            let known = self.applications.iter_mut().find(|known| known.key == one.key);
            match known {
                Some(known) => known.removed = one.removed,
                None => self.applications.push(KnownApplication {
                    key: one.key,
                    id: one.id,
                    owner: slot,
                    kind: one.kind,
                    removed: one.removed,
                }),
            }
        }
        for one in &config.endpoints {
            let application =
                self.applications.iter().position(|known| known.key == one.application);
            let known = self.endpoints.iter().any(|known| known.key == one.key);
            if let (Some(application), false) = (application, known) {
                self.endpoints.push(KnownEndpoint { key: one.key, id: one.id, application });
            }
        }
    }

    /// Does an operation. What goes wrong is an answer too.
    pub(super) async fn apply(&mut self, operation: &Operation, at: Moment) -> Answer {
        let answer = match operation {
            Operation::Due => self.due().await,
            Operation::Accept(accept) => self.accept(accept, at.now_ms).await.map(Answer::Text),
            other => self.tell(other, at).await.map(Answer::Text),
        };
        answer.unwrap_or_else(|error| Answer::Text(format!("error {}: {error}", error.code())))
    }

    async fn tell(&mut self, operation: &Operation, at: Moment) -> Result<String> {
        let now_ms = at.now_ms;
        match operation {
            Operation::Declare { owner: slot, left_out, without_source, timeout_ms } => {
                let declared =
                    self.declare(*slot, *left_out, *without_source, *timeout_ms, now_ms).await?;
                Ok(self.tell_config(&declared, now_ms))
            }
            Operation::Config { owner: slot } => {
                let config = self.store.config_list(owner(*slot)).await?;
                Ok(self.tell_config(&config, now_ms))
            }
            Operation::Change { endpoint, change } => self.change(*endpoint, *change, now_ms).await,
            Operation::Made(made) => self.made(made, now_ms).await,
            Operation::Setting { owner: slot, name, value } => {
                let (whose, name) = (owner(*slot), format!("setting {name}"));
                let before = self.store.setting_get(whose, &name).await?;
                let holds = self.store.setting_init(whose, &name, vec![*value]).await?;
                Ok(format!("{before:?}, then {holds:?}"))
            }
            Operation::Lease { endpoint, lease_ms, limit } => {
                self.lease(*endpoint, now_ms, *lease_ms, *limit).await
            }
            Operation::Finish { lease, next } => self.finish(*lease, *next, now_ms).await,
            Operation::Release { leases, in_ms } => {
                let held = leases.iter().filter_map(|places| back(&self.leases, *places));
                let given = held.map(|(key, token, _)| (*key, *token)).collect();
                self.store.delivery_release(given, now_ms + in_ms).await?;
                Ok(String::new())
            }
            Operation::Replay { scope, event, endpoints } => {
                self.replay(*scope, *event, endpoints, now_ms).await
            }
            Operation::Read { scope, event, limit } => match back(&self.events, *event) {
                Some(event) => self.read(self.scope(*scope), *event, *limit).await,
                None => Ok(String::new()),
            },
            Operation::List { scope, filter, limit, before, after } => {
                let place = |places: &Option<usize>| {
                    places.and_then(|places| back(&self.events, places)).copied()
                };
                let page = Page { limit: *limit, before: place(before), after: place(after) };
                let filter = self.filter(filter, now_ms);
                let rows = self.store.event_list(self.scope(*scope), filter, page).await?;
                Ok(rows.iter().map(|row| self.tell_row(row)).collect())
            }
            Operation::Attempt { scope, attempt } => {
                let Some(id) = back(&self.attempts, *attempt) else { return Ok(String::new()) };
                let row = self.store.attempt_get(self.scope(*scope), *id).await?;
                Ok(tell_found(row, |row| self.tell_attempt(&row)))
            }
            Operation::Stats => {
                let stats = self.store.stats().await?;
                Ok(format!("{} events, {} pending", stats.events, stats.pending))
            }
            Operation::Quarantine { scope, status } => {
                self.quarantine(*scope, *status, now_ms).await
            }
            Operation::Quarantined { scope, codes, limit } => {
                self.quarantined(*scope, codes, *limit, at).await
            }
            Operation::LetOut { scope, refused, accept } => {
                self.let_out(*scope, *refused, accept, at).await
            }
            _ => Ok(String::new()),
        }
    }

    async fn declare(
        &mut self,
        slot: usize,
        left_out: u64,
        without_source: bool,
        timeout_ms: u64,
        now_ms: i64,
    ) -> Result<ConfigSnapshot> {
        let mut declared = Vec::new();
        for (source, (whose, uid, endpoints)) in SOURCES.into_iter().enumerate() {
            if whose != slot || (without_source && left_out >> source & 1 == 1) {
                continue;
            }
            let mut declaration = fixture::source(uid, endpoints);
            declaration.id = ApplicationId::new(fixture::T0, self.fresh());
            for (endpoint, place) in declaration.endpoints.iter_mut().zip(SLOTS[source]..) {
                endpoint.id = EndpointId::new(fixture::T0, self.fresh());
                endpoint.settings.timeout_ms = timeout_ms + place as u64 / 2;
            }
            let mut place = SLOTS[source]..;
            declaration
                .endpoints
                .retain(|_| place.next().is_some_and(|place| left_out >> place & 1 == 0));
            declared.push(declaration);
        }
        let config = self.store.config_declare(owner(slot), declared, now_ms).await?;
        self.learn(slot, &config);
        Ok(config)
    }

    async fn change(&mut self, number: usize, change: Change, now_ms: i64) -> Result<String> {
        let known = self.endpoints[self.endpoint_place(number)];
        let whose = owner(self.applications[known.application].owner);
        let envelope = self.envelope(1);
        let config = self.store.config_list(whose).await?;
        let row = config.endpoints.iter().find(|row| row.key == known.key);
        // What becomes of a removed endpoint that is changed is left open.
        let Some(row) = row.filter(|row| row.state != EndpointState::Removed) else {
            return Ok("removed".to_owned());
        };
        let change = match change {
            Change::State(state) => EndpointChange::State { state, reason: format!("at {now_ms}") },
            Change::Failing(failing) => EndpointChange::FailingSince(failing.then_some(now_ms)),
            Change::Rotate { old_expire_in_ms } => EndpointChange::RotateSecret {
                envelope,
                old_expire_at_ms: now_ms + old_expire_in_ms,
            },
            Change::Edit { name, timeout_ms } => {
                let mut read = row.clone();
                // Some are thought out from what is no longer so.
                if timeout_ms == 4 {
                    read.settings.timeout_ms += 1;
                }
                let settings = EndpointSettings { timeout_ms, ..EndpointSettings::default() };
                read.edit(name.map(|name| ENDPOINT_NAMES[name].to_owned()), settings)
            }
            Change::Headers { sealed } => row.with_headers(sealed.then_some(envelope)),
        };
        Ok(match self.store.endpoint_change(whose, known.id, change, now_ms).await? {
            Changed::Done(endpoint) => self.tell_endpoint(&endpoint, now_ms),
            other => format!("{other:?}"),
        })
    }

    async fn accept(&mut self, accept: &Accept, now_ms: i64) -> Result<String> {
        let place = self.application_place(accept.source);
        let application = self.applications[place];
        if application.removed {
            return Ok("removed".to_owned());
        }
        let event = self.wanted(accept, place, now_ms);
        let planned = event.planned.clone();
        let accepted = self.store.event_accept(Scope::all(owner(application.owner)), event).await?;
        Ok(self.accepted(accepted, &planned))
    }

    /// The event that an operation wants, at an application.
    pub(super) fn wanted(&self, accept: &Accept, place: usize, now_ms: i64) -> EventAccept {
        let application = self.applications[place];
        let received_at_ms = now_ms - accept.ago_ms;
        let body: Vec<u8> = (0..accept.body_bytes).map(|at| (at * 7) as u8).collect();
        let pairs: [(&str, &[u8]); 2] =
            [(EventRecord::METHOD, b"POST"), ("x-number", &self.events.len().to_le_bytes())];
        let endpoints = self.endpoints_of(place);
        let planned = accept.planned.iter().filter_map(|(offset, leased)| {
            Some(Planned { endpoint: *endpoints.get(*offset)?, leased: *leased })
        });
        let planned: Vec<Planned> = planned.collect();
        let labels = |chosen: &[usize]| chosen.iter().map(|at| LABELS[*at].to_owned()).collect();
        EventAccept {
            application: application.key,
            received_at_ms,
            event_type: (accept.event_type > 0).then(|| TYPES[accept.event_type].to_owned()),
            dedupe: accept.key.map(|(number, hashed)| {
                let (kind, window_ms) = if hashed {
                    (DedupeKind::BodyHash, fixture::HASH_WINDOW_MS)
                } else {
                    (DedupeKind::DeliveryId, fixture::ID_WINDOW_MS)
                };
                (fixture::dedupe_key(number), kind, window_ms)
            }),
            disposition: accept.disposition,
            labels: EventLabels {
                channels: labels(&accept.channels),
                tags: labels(&accept.tags),
                payload_until_ms: accept.payload_for_ms.map(|ms| received_at_ms + ms),
                ..EventLabels::default()
            },
            record: fixture::record(&pairs, &body),
            planned,
            due_ms: accept.due_in_ms.map(|ms| now_ms + ms),
            lease_until_ms: now_ms + accept.lease_ms,
        }
    }

    /// Remembers what was accepted, and tells it.
    pub(super) fn accepted(&mut self, accepted: Accepted, planned: &[Planned]) -> String {
        match accepted {
            Accepted::Stored { event, lease, .. } => {
                self.numbers.insert(event, self.events.len());
                self.events.push(event);
                let leased = planned.iter().filter(|planned| planned.leased);
                let keys = leased.map(|planned| fixture::delivery(event, planned.endpoint));
                self.leases.extend(keys.map(|key| (key, lease, 0)));
                format!("stored {}", self.event(event))
            }
            Accepted::Duplicate { event, replayed } => {
                format!("{} again, {}", self.event(event), self.tell_replayed(&replayed))
            }
        }
    }

    async fn lease(
        &mut self,
        number: usize,
        now_ms: i64,
        lease_ms: u64,
        limit: usize,
    ) -> Result<String> {
        let endpoint = self.endpoints[self.endpoint_place(number)].key;
        let mut text = String::new();
        for leased in self.store.delivery_lease(endpoint, now_ms, lease_ms, limit).await? {
            let reused = self
                .leases
                .iter()
                .any(|(key, token, _)| *key == leased.key && *token == leased.lease);
            let (key, record) = (self.delivery(leased.key), tell_record(&leased.record));
            let source = self.application(leased.application);
            let (at_ms, event_type) = (leased.received_at_ms, leased.event_type.as_deref());
            let attempts = leased.attempts;
            text += &format!("{key} {attempts} {source} {at_ms} {event_type:?} {record}\n");
            if reused {
                text += "with a token that it had before\n";
            }
            self.leases.push((leased.key, leased.lease, leased.attempts));
        }
        Ok(text)
    }

    async fn finish(&mut self, places: usize, next: Next, now_ms: i64) -> Result<String> {
        let Some((delivery, lease, attempts)) = back(&self.leases, places).copied() else {
            return Ok(String::new());
        };
        let (next, status, error_code) = match next {
            Next::Delivered => (NextStep::Delivered, Some(200), None),
            Next::RetryIn(wait_ms) => (NextStep::RetryAt(now_ms + wait_ms), Some(503), None),
            Next::Exhausted => {
                (NextStep::Failed(FailureReason::Exhausted), None, Some("timeout".to_owned()))
            }
            Next::Gone => (NextStep::Failed(FailureReason::Gone), Some(410), None),
        };
        let attempt = AttemptWrite {
            number: attempts + 1,
            trigger: if delivery.generation == 0 { Trigger::Receipt } else { Trigger::Replay },
            started_at_ms: now_ms,
            duration_ms: places as u32,
            status,
            error_code,
            detail: Bytes::from(vec![attempts as u8; places % 50]),
        };
        let finish = AttemptFinish { delivery, lease, attempt, next };
        match self.store.attempt_finish(finish).await? {
            FinishOutcome::Recorded(id) => {
                self.attempts.push(id);
                Ok(format!("recorded for {}", self.delivery(delivery)))
            }
            FinishOutcome::Stale => Ok(format!("stale for {}", self.delivery(delivery))),
        }
    }

    async fn replay(
        &self,
        scope: u64,
        places: usize,
        offsets: &[usize],
        now_ms: i64,
    ) -> Result<String> {
        let Some(event) = back(&self.events, places).copied() else { return Ok(String::new()) };
        let everything = [Scope::all(Owner::MAIN), Scope::all(fixture::OTHER)];
        let mut chosen = Vec::new();
        for whole in everything {
            // The offsets mean endpoints of the event's own source.
            if let Some(row) = self.store.event_get(whole, event).await? {
                let keys: Vec<_> = self.applications.iter().map(|known| known.key).collect();
                let place = keys.iter().position(|key| *key == row.application);
                let own = place.map_or_else(Vec::new, |place| self.endpoints_of(place));
                chosen.extend(offsets.iter().filter_map(|offset| own.get(*offset)));
            }
        }
        if chosen.is_empty() && !offsets.is_empty() {
            return Ok("nowhere".to_owned());
        }
        let replayed = self.store.delivery_replay(self.scope(scope), event, chosen, now_ms).await?;
        Ok(replayed.map_or_else(|| "none".to_owned(), |all| self.tell_replayed(&all)))
    }

    async fn due(&self) -> Result<Answer> {
        let mut due = BTreeMap::new();
        for one in self.store.delivery_due().await? {
            let slot = self.endpoints.iter().position(|known| known.key == one.endpoint);
            due.insert(slot.unwrap_or(usize::MAX), (one.waiting, one.due_ms));
        }
        Ok(Answer::Due(due))
    }

    /// Everything about an event that a scope can see.
    pub(super) async fn read(&self, scope: Scope, event: EventId, limit: usize) -> Result<String> {
        let mut text = String::new();
        if let Some(row) = self.store.event_get(scope, event).await? {
            text += &self.tell_row(&row);
        }
        if let Some(record) = self.store.event_record(scope, event).await? {
            text += &format!("  {}\n", tell_record(&record));
        }
        let mut rows = self.store.attempt_list(scope, event).await?;
        if !rows.is_sorted_by_key(|row| row.attempt.started_at_ms) {
            text += "  attempts out of order\n";
        }
        // Those of one millisecond may stand in any order.
        rows.sort_by_key(|row| {
            let slot = self.endpoints.iter().position(|known| known.key == row.delivery.endpoint);
            (row.attempt.started_at_ms, slot, row.delivery.generation, row.attempt.number)
        });
        for row in rows {
            text += &self.tell_attempt(&row);
        }
        for repeat in self.store.duplicate_list(scope, event, limit).await? {
            text += &format!("  again at {}\n", repeat.received_at_ms);
        }
        Ok(text)
    }

    /// Everything that there is, page by page.
    pub(super) async fn audit(&self, now_ms: i64) -> Result<String> {
        let mut text = String::new();
        for slot in 0..2 {
            let config = self.store.config_list(owner(slot)).await?;
            text += &self.tell_config(&config, now_ms);
            text += &self.audit_documents(slot, now_ms).await?;
            let scope = Scope::all(owner(slot));
            let mut page = Page::newest(17);
            loop {
                let rows = self.store.event_list(scope, EventFilter::default(), page).await?;
                for row in &rows {
                    text += &self.read(scope, row.id, 1_000).await?;
                }
                let Some(last) = rows.last() else { break };
                page.before = Some(last.id);
            }
        }
        text += &self.audit_counts().await?;
        let stats = self.store.stats().await?;
        Ok(format!("{text}{} events, {} pending\n", stats.events, stats.pending))
    }

    pub(super) fn scope(&self, number: u64) -> Scope {
        let source = |slot: usize| self.applications[slot].key;
        match number {
            0 => Scope::all(Owner::MAIN),
            1 => Scope::all(fixture::OTHER),
            2 => Scope::of(Owner::MAIN, source(0)),
            3 => Scope::of(Owner::MAIN, source(1)),
            4 => Scope::of(fixture::OTHER, source(2)),
            5 => Scope::of(Owner::MAIN, source(2)),
            6 => Scope::of(fixture::OTHER, source(0)),
            made => {
                let known = self.applications[self.application_place(made as usize)];
                let foreign = made == 12;
                Scope::of(owner(known.owner ^ usize::from(foreign)), known.key)
            }
        }
    }

    fn filter(&self, filter: &Filter, now_ms: i64) -> EventFilter {
        let label = |at: Option<usize>| at.map(|at| LABELS[at].to_owned());
        let endpoint = |number| self.endpoints[self.endpoint_place(number)].key;
        EventFilter {
            event_types: filter.event_types.iter().map(|at| TYPES[*at].to_owned()).collect(),
            state: filter.state,
            endpoint: filter.endpoint.map(endpoint),
            disposition: filter.disposition,
            since_ms: filter.since_ago_ms.map(|ago_ms| now_ms - ago_ms),
            until_ms: filter.until_ago_ms.map(|ago_ms| now_ms - ago_ms),
            dedupe: filter.key.map(fixture::dedupe_key),
            channel: label(filter.channel),
            tag: label(filter.tag),
            unverified: None,
        }
    }
}

//! The gateway's own alerts: what is wrong with it is told like any other event.
//!
//! Role: notices trouble, keeps account of what of it was told, and posts alerts to a source of the
//! gateway's own, whose endpoints are those of `[[alerts.endpoint]]`. So alerts have deliveries,
//! attempts and retries, and are listed among the events. What is wrong is also there to be looked at
//! ([`Board`]), whether or not anybody is told.
//!
//! Invariants: each trouble is told once at its beginning and once at its end (`episodes`); trouble
//! with the endpoints of alerts is never told, so nothing goes in circles; an alert is written down
//! before it is posted, so that a crash neither loses nor doubles it; a request and a delivery that go
//! well cost nothing.
//!
//! Of several nodes on one store the first looks after all this; the others tell it what they noted
//! (`passed`), and show what it has written down.
//!
//! Where next: `signals` for what is told in passing, `look` for what is looked at, `words` for what an
//! alert says, `board` for what the API shows.

mod board;
mod episodes;
mod look;
mod passed;
mod post;
mod quiet;
mod signals;
mod words;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use becket_model::{ApplicationKey, EndpointId, EndpointState};
use becket_store::{Endpoint, Name, Owner, Scope, StoreError};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::gateway::{Current, Gateway, SourceInForce};
use crate::config::{ALERTS_SOURCE, Alerts};
use becket_api::Activity;
pub(super) use board::Board;
use episodes::{Book, Episode, Kind, Seen};
use passed::Passed;
use signals::Noted;
pub(super) use signals::Signals;

/// The setting under which episodes are kept.
const SETTING: &str = "alerts";
const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(5);
/// How often what rarely changes is looked at, at the least.
const RARELY: Duration = Duration::from_secs(3_600);

/// Begins to look after alerts, for as long as the gateway lives.
pub(super) fn start(gateway: &Arc<Gateway>, signals: Arc<Signals>, activity: Arc<Activity>) {
    let gateway = Arc::downgrade(gateway);
    tokio::spawn(Watch::new(signals, activity).run(gateway));
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

struct Watch {
    signals: Arc<Signals>,
    activity: Arc<Activity>,
    book: Option<Book>,
    /// Refusals of each source by when they were taken.
    refused: HashMap<Scope, VecDeque<(i64, u64)>>,
    /// How many deliveries were given up in an episode that is open.
    exhausted: HashMap<EndpointId, u64>,
    usual: look::Usual,
    /// What is looked at rarely, as it was seen last.
    rare: Vec<Seen>,
    rare_at: Option<Instant>,
    rare_config: Option<Alerts>,
}

impl Watch {
    fn new(signals: Arc<Signals>, activity: Arc<Activity>) -> Self {
        Self {
            signals,
            activity,
            book: None,
            refused: HashMap::new(),
            exhausted: HashMap::new(),
            usual: look::Usual::default(),
            rare: Vec::new(),
            rare_at: None,
            rare_config: None,
        }
    }

    async fn run(mut self, gateway: Weak<Gateway>) {
        loop {
            let Some(gateway) = gateway.upgrade() else { return };
            let current = gateway.current.load_full();
            let alerts = current.loaded.config.alerts.clone();
            let carrier =
                current.sources.values().find(|source| source.rules.id == ALERTS_SOURCE).cloned();
            let waits = carrier.is_none() && !alerts.endpoints.is_empty();
            let carrier = carrier.as_deref();
            let looked = match gateway.is_first() {
                _ if waits => Ok(()),
                true => self.look(&gateway, &current, &alerts, carrier).await,
                false => self.pass_on(&gateway, &alerts).await,
            };
            if let Err(error) = looked {
                tracing::warn!(code = error.code(), %error, "alerts.look_failed");
            }
            drop((current, gateway));
            // The configuration is not in force yet, just after the start.
            let most = if waits { LOOK_EVERY_MIN } else { LOOK_EVERY_MAX };
            let every = (alerts.settle / 5).clamp(LOOK_EVERY_MIN, most);
            tokio::time::sleep(every).await;
        }
    }

    /// Tells the node that looks after alerts what was noted here, and shows what it wrote down.
    async fn pass_on(&mut self, gateway: &Gateway, alerts: &Alerts) -> Result<(), StoreError> {
        // Whoever has it in hand next begins with what is written down.
        self.book = None;
        let now_ms = gateway.clock.now_ms();
        let mut passed = self.signals.take_all();
        if self.rare_at.is_none_or(|at| at.elapsed() >= RARELY) {
            self.rare = look::certificate(gateway, alerts, now_ms).await.into_iter().collect();
            self.rare_at = Some(Instant::now());
        }
        passed.seen.clone_from(&self.rare);
        if let Err(error) = passed.leave(gateway).await {
            self.signals.add(passed);
            return Err(error);
        }
        let kept = gateway.store.setting_get(Owner::MAIN, SETTING).await?;
        let book = kept.map(|kept| Book::read(&kept)).unwrap_or_default();
        gateway.board.put(&book, gateway, now_ms).await
    }

    async fn look(
        &mut self,
        gateway: &Gateway,
        current: &Current,
        alerts: &Alerts,
        carrier: Option<&SourceInForce>,
    ) -> Result<(), StoreError> {
        let mut book = match self.book.take() {
            Some(book) => book,
            None => {
                self.rare_at = None;
                let kept = gateway.store.setting_get(Owner::MAIN, SETTING).await?;
                kept.map(|kept| Book::read(&kept)).unwrap_or_default()
            }
        };
        let now_ms = gateway.clock.now_ms();
        let looked = self.notice(&mut book, gateway, current, alerts, carrier, now_ms).await;
        let told = match carrier {
            Some(carrier) => {
                book.settle(now_ms, ms(alerts.settle));
                tell(&mut book, gateway, carrier, now_ms).await
            }
            None => {
                book.settle_unheard(now_ms, ms(alerts.settle));
                keep(&mut book, gateway).await
            }
        };
        let shown = gateway.board.put(&book, gateway, now_ms).await;
        self.book = Some(book);
        looked.and(told).and(shown)
    }

    /// Puts everything that is wrong now into the book.
    async fn notice(
        &mut self,
        book: &mut Book,
        gateway: &Gateway,
        current: &Current,
        alerts: &Alerts,
        carrier: Option<&SourceInForce>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let repeat_ms = ms(alerts.repeat);
        let seen = |book: &mut Book, one: Seen| book.seen(one, now_ms, repeat_ms);
        let open = book.is_open(Kind::DiskFilling, "store");
        if let Some(facts) = look::disk(gateway, alerts, open).await? {
            seen(book, Seen::new(Kind::DiskFilling, "store", facts));
        }
        if gateway.node.is_some() {
            for other in passed::take(gateway).await? {
                other.seen.iter().for_each(|one| seen(book, one.clone()));
                self.signals.add(other);
            }
        }
        let mut endpoints: Vec<_> = self.signals.take_endpoints().into_iter().collect();
        while let Some((endpoint, noted)) = endpoints.pop() {
            if carrier.is_none_or(|carrier| noted.application != carrier.application.key) {
                match self.of_endpoint(book, gateway, current, endpoint, &noted).await {
                    Ok(found) => found.into_iter().for_each(|one| seen(book, one)),
                    // It was noted once: the next look has it again.
                    Err(error) => {
                        endpoints.push((endpoint, noted));
                        self.signals.add(Passed { endpoints, ..Passed::default() });
                        return Err(error);
                    }
                }
            }
        }
        for one in still_wrong(book, gateway).await? {
            seen(book, one);
        }
        for one in self.refusals(gateway, current, alerts, now_ms).await? {
            seen(book, one);
        }
        self.usual.learn(gateway, &self.activity, current, now_ms).await?;
        for one in look::quiet(gateway, current, alerts, &mut self.usual, now_ms).await? {
            seen(book, one);
        }
        for one in self.rarely(gateway, alerts, now_ms).await? {
            seen(book, one);
        }
        Ok(())
    }

    async fn of_endpoint(
        &mut self,
        book: &Book,
        gateway: &Gateway,
        current: &Current,
        id: EndpointId,
        noted: &Noted,
    ) -> Result<Vec<Seen>, StoreError> {
        let found =
            gateway.store.endpoint_get(noted.owner, noted.application, Name::Id(id)).await?;
        let Some(endpoint) = found.filter(|found| found.state != EndpointState::Removed) else {
            return Ok(Vec::new());
        };
        let subject = id.to_string();
        let facts = |more: Value| endpoint_facts(current, noted, &endpoint, more);
        let mut seen = Vec::new();
        let mut add = |kind: Kind, more: Value| {
            let place = Some((noted.owner.number(), noted.application.0));
            seen.push(Seen { kind, subject: subject.clone(), place, facts: facts(more) });
        };
        if let Some(reason) = &noted.disabled {
            add(Kind::EndpointDisabled, json!({ "reason": reason }));
        } else if noted.failing && endpoint.state == EndpointState::Enabled {
            add(Kind::EndpointFailing, json!({}));
        }
        if !book.is_open(Kind::RetriesExhausted, &subject) {
            self.exhausted.remove(&id);
        }
        if noted.exhausted > 0 {
            let count = self.exhausted.entry(id).or_default();
            *count += noted.exhausted;
            add(Kind::RetriesExhausted, json!({ "count": *count }));
        }
        let attempts_max = endpoint.settings.retry.attempts_max();
        let left = attempts_max.saturating_sub(noted.number_max as usize);
        // The last one of a short schedule, the last two of a long one.
        if noted.number_max > 0 && left > 0 && left <= (attempts_max / 6).max(1) {
            add(Kind::RetriesRunningOut, json!({ "attempts": noted.number_max, "left": left }));
        }
        Ok(seen)
    }

    /// The sources that refuse more than they accept.
    async fn refusals(
        &mut self,
        gateway: &Gateway,
        current: &Current,
        alerts: &Alerts,
        now_ms: i64,
    ) -> Result<Vec<Seen>, StoreError> {
        for (source, count) in self.signals.take_refused() {
            self.refused.entry(source).or_default().push_back((now_ms, count));
        }
        let window_ms = ms(alerts.refusal_window);
        let mut seen = Vec::new();
        self.refused.retain(|_, counts| {
            while counts.front().is_some_and(|(at_ms, _)| now_ms - at_ms >= window_ms) {
                counts.pop_front();
            }
            !counts.is_empty()
        });
        for (scope, counts) in &self.refused {
            let refused: u64 = counts.iter().map(|(_, count)| count).sum();
            let source = scope.application.and_then(|key| current.sources.get(&key));
            let Some(source) = source.filter(|_| refused >= u64::from(alerts.refusals)) else {
                continue;
            };
            let since_ms = now_ms - window_ms;
            if !look::accepted_as_many(gateway, *scope, refused, since_ms).await? {
                let window = words::duration(window_ms);
                let facts = json!({ "refused": refused, "window": window });
                seen.push(Seen::with_source(Kind::SignaturesRefused, &source.application, facts));
            }
        }
        Ok(seen)
    }

    /// Certificates and secrets, looked at once in a while and when their settings change.
    async fn rarely(
        &mut self,
        gateway: &Gateway,
        alerts: &Alerts,
        now_ms: i64,
    ) -> Result<Vec<Seen>, StoreError> {
        let every = RARELY.min(alerts.settle * 2);
        let is_due = self.rare_at.is_none_or(|at| at.elapsed() >= every);
        if is_due || self.rare_config.as_ref() != Some(alerts) {
            self.rare = look::secrets(gateway, alerts, now_ms).await?;
            self.rare.extend(look::certificate(gateway, alerts, now_ms).await);
            self.rare_at = Some(Instant::now());
            self.rare_config = Some(alerts.clone());
        }
        Ok(self.rare.clone())
    }
}

/// The endpoints with open episodes that are as they were. Those that somebody has dealt with are
/// dropped from the book.
async fn still_wrong(book: &mut Book, gateway: &Gateway) -> Result<Vec<Seen>, StoreError> {
    let mut seen = Vec::new();
    for kind in [Kind::EndpointFailing, Kind::EndpointDisabled] {
        for episode in book.of(kind) {
            let Some(endpoint) = endpoint_of(gateway, &episode).await? else {
                book.drop_quietly(kind, &episode.subject);
                continue;
            };
            let (wrong, gone) = match kind {
                Kind::EndpointDisabled => (
                    endpoint.state == EndpointState::Disabled,
                    endpoint.state != EndpointState::Disabled,
                ),
                _ => {
                    (endpoint.failing_since_ms.is_some(), endpoint.state != EndpointState::Enabled)
                }
            };
            if gone {
                book.drop_quietly(kind, &episode.subject);
            } else if wrong {
                let Episode { subject, place, facts, .. } = episode;
                seen.push(Seen { kind, subject, place, facts });
            }
        }
    }
    Ok(seen)
}

async fn endpoint_of(gateway: &Gateway, episode: &Episode) -> Result<Option<Endpoint>, StoreError> {
    let (Ok(id), Some((owner, application))) = (episode.subject.parse(), episode.place) else {
        return Ok(None);
    };
    let (owner, application) = (Owner::new(owner), ApplicationKey(application));
    gateway.store.endpoint_get(owner, application, Name::Id(id)).await
}

/// What is said of an endpoint, with what is known of its trouble.
fn endpoint_facts(current: &Current, noted: &Noted, endpoint: &Endpoint, more: Value) -> Value {
    let source = current.sources.get(&noted.application).map(|source| source.application.name());
    let mut facts = json!({
        "endpoint": endpoint.name(),
        "endpointId": endpoint.id.to_string(),
        "source": source,
        "said": noted.said,
    });
    if let (Some(facts), Value::Object(more)) = (facts.as_object_mut(), more) {
        facts.extend(more);
    }
    facts
}

/// Writes down what is to be told, tells it, and writes down that it was.
async fn tell(
    book: &mut Book,
    gateway: &Gateway,
    carrier: &SourceInForce,
    now_ms: i64,
) -> Result<(), StoreError> {
    keep(book, gateway).await?;
    let mut failed: BTreeMap<&'static str, StoreError> = BTreeMap::new();
    for episode in book.pending() {
        let Some(tell) = episode.pending else { continue };
        if let Some(alert) = words::alert(&episode, tell, now_ms) {
            if let Err(error) = post::post(gateway, carrier, &episode, &alert, now_ms).await {
                failed.insert(error.code(), error);
                continue;
            }
            tracing::warn!(alert = alert.event_type, subject = %episode.subject, "alert.posted");
        }
        book.told(&episode, now_ms);
    }
    let kept = keep(book, gateway).await;
    failed.into_values().next().map_or(kept, Err)
}

async fn keep(book: &mut Book, gateway: &Gateway) -> Result<(), StoreError> {
    let Some(kept) = book.take_changed() else { return Ok(()) };
    let written = gateway.store.setting_put(Owner::MAIN, SETTING, kept).await;
    if written.is_err() {
        book.keep_again();
    }
    written
}

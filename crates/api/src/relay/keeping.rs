//! Listeners in the store: found again after a restart, removed when nobody comes for them any more.
//!
//! A listener is nothing but its endpoints: of kind `listen`, with its name, how long it is kept and
//! when somebody was last connected in their metadata. So it is found again by everybody who reads
//! endpoints, and needs no table of its own.
//!
//! Invariants: the metadata is written when a client comes and goes, never for a delivery; a listener
//! to which nobody connected for as long as it is kept is removed; what waited for a removed one is
//! ended, so that it keeps no old event in the store for ever.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use becket_model::attempt_detail::AttemptDetail;
use becket_model::{EndpointKey, EndpointKind, EndpointState, FailureReason, NextStep, Trigger};
use becket_store::{
    AttemptFinish, AttemptWrite, Changed, Endpoint, EndpointChange, LeasedDelivery, Name, Owner,
};
use bytes::Bytes;

use super::{Ending, ListenerKey, Relay};
use crate::call::Shared;
use crate::problem::{ApiError, Result};
use crate::times;
use crate::turns;

/// How long a listener is kept that nobody connects to, in seconds.
pub(crate) const KEEP_DEFAULT_S: u64 = 24 * 60 * 60;
/// How often silent connections and listeners that are over are looked for, while there are any.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const DRAIN_STEP: usize = 500;
const DRAIN_PAUSE: Duration = Duration::from_secs(1);
/// How often a drain looks again for what the engine was just giving back.
const DRAIN_LOOKS: usize = 5;

const NAME: &str = "listener";
const KEEP: &str = "listener_keep_s";
const SEEN: &str = "listener_seen";
const CONNECTED: &str = "connected";

/// What is remembered of all listeners.
#[derive(Default)]
pub(super) struct Kept {
    listeners: HashMap<ListenerKey, KeptListener>,
}

struct KeptListener {
    keep_ms: i64,
    /// When somebody was last connected, in milliseconds since 1970.
    seen_ms: i64,
}

/// The name of the listener that an endpoint belongs to.
pub(crate) fn name_of(endpoint: &Endpoint) -> Option<&str> {
    let present = endpoint.state != EndpointState::Removed;
    let of_listener = present && endpoint.settings.kind == EndpointKind::Listen;
    endpoint.settings.metadata.get(NAME).filter(|_| of_listener).map(String::as_str)
}

/// How long the listener of an endpoint is kept, in seconds.
pub(crate) fn keep_s_of(endpoint: &Endpoint) -> u64 {
    let text = endpoint.settings.metadata.get(KEEP);
    text.and_then(|text| text.parse().ok()).unwrap_or(KEEP_DEFAULT_S)
}

/// When somebody was last connected, in milliseconds since 1970; `None` for now, or until the gateway
/// stopped.
pub(crate) fn seen_ms_of(endpoint: &Endpoint) -> Option<i64> {
    endpoint.settings.metadata.get(SEEN)?.parse().ok()
}

/// The node that somebody is connected to, of several that share the store, unless it is gone.
fn connected_to(endpoint: &Endpoint, api: &crate::ApiState) -> Option<u32> {
    let seen = endpoint.settings.metadata.get(SEEN)?;
    let node = seen.strip_prefix(CONNECTED)?.strip_prefix('@')?.parse().ok()?;
    api.control.node_lives(node).then_some(node)
}

/// Whether a client of the listener with these endpoints is connected to another node.
pub(crate) fn is_connected_elsewhere(endpoints: &[Endpoint], api: &crate::ApiState) -> bool {
    let of = |endpoint: &Endpoint| connected_to(endpoint, api);
    endpoints.iter().filter_map(of).any(|node| Some(node) != api.control.node())
}

/// What the metadata of a listener's endpoint is; `node` is where its client is connected if it was not
/// seen last at a moment that is over.
pub(crate) fn metadata(
    name: &str,
    keep_s: u64,
    seen_ms: Option<i64>,
    node: Option<u32>,
) -> BTreeMap<String, String> {
    let connected = || match node {
        Some(node) => format!("{CONNECTED}@{node}"),
        None => CONNECTED.to_owned(),
    };
    let seen = seen_ms.map_or_else(connected, |ms| ms.to_string());
    [(NAME, name.to_owned()), (KEEP, keep_s.to_string()), (SEEN, seen)]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// The listeners among these endpoints, by name.
pub(crate) fn group(endpoints: &[Endpoint]) -> BTreeMap<String, Vec<Endpoint>> {
    let mut listeners: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        if let Some(name) = name_of(endpoint) {
            listeners.entry(name.to_owned()).or_default().push(endpoint.clone());
        }
    }
    listeners
}

impl Relay {
    /// Takes over how a listener is now.
    pub(crate) fn remember(&self, key: &ListenerKey, endpoints: &[Endpoint], now_ms: i64) {
        let mut hub = self.lock();
        hub.endpoints.retain(|_, known| known != key);
        if endpoints.is_empty() {
            hub.kept.listeners.remove(key);
        }
        for endpoint in endpoints {
            hub.endpoints.insert(endpoint.key, key.clone());
            let keep_ms = i64::try_from(keep_s_of(endpoint).saturating_mul(1_000));
            let kept = KeptListener {
                keep_ms: keep_ms.unwrap_or(i64::MAX),
                seen_ms: seen_ms_of(endpoint).unwrap_or(now_ms),
            };
            hub.kept.listeners.insert(key.clone(), kept);
        }
        drop(hub);
        self.changed.notify_one();
    }

    fn is_idle(&self) -> bool {
        self.lock().kept.listeners.is_empty()
    }

    /// The listeners that nobody came back for.
    fn over(&self, now_ms: i64) -> Vec<ListenerKey> {
        let hub = self.lock();
        let over = hub.kept.listeners.iter().filter(|(key, kept)| {
            !hub.sessions.contains_key(*key) && now_ms >= kept.seen_ms.saturating_add(kept.keep_ms)
        });
        over.map(|(key, _)| key.clone()).collect()
    }
}

/// Another node has changed an endpoint.
pub(crate) fn changed_elsewhere(shared: &Shared, owner: Owner, endpoint: &Endpoint) {
    if endpoint.settings.kind != EndpointKind::Listen {
        return;
    }
    let (relay, control) = (&shared.api.relay, &shared.api.control);
    match name_of(endpoint) {
        None => relay.endpoint_removed(endpoint.key),
        Some(name) => {
            let elsewhere =
                connected_to(endpoint, &shared.api).filter(|node| Some(*node) != control.node());
            if elsewhere.is_some() {
                relay.replaced_elsewhere(&(owner, name.to_owned()));
            }
        }
    }
}

/// The endpoints of a listener as they are in the store.
pub(crate) async fn endpoints_of(shared: &Shared, key: &ListenerKey) -> Result<Vec<Endpoint>> {
    let snapshot = shared.api.store.config_list(key.0).await?;
    let own = snapshot.endpoints.into_iter();
    Ok(own.filter(|endpoint| name_of(endpoint) == Some(&key.1)).collect())
}

/// Puts into the store and in force that a client came or went.
pub(crate) async fn came_or_went(shared: &Arc<Shared>, key: &ListenerKey) {
    if let Err(error) = note_presence(shared, key).await {
        tracing::error!(listener = %key.1, %error, "a listener's coming or going could not be stored");
    }
}

async fn note_presence(shared: &Arc<Shared>, key: &ListenerKey) -> Result<()> {
    let api = &shared.api;
    let mut endpoints = endpoints_of(shared, key).await?;
    // Another node may have made it: what is not known here is delivered to nobody.
    api.relay.remember(key, &endpoints, api.clock.now_ms());
    // First what counts at once: the engine starts or stops.
    for endpoint in &endpoints {
        api.control.endpoint_changed(key.0, endpoint).await;
        api.control.wake(endpoint.key).await;
    }
    for endpoint in &mut endpoints {
        let _turn = shared.turns.take(endpoint.application).await;
        let noted = turns::again(|| note_at(shared, key, endpoint)).await?;
        if let Some(changed) = noted {
            shared.apps.forget(changed.application);
            api.control.endpoint_changed(key.0, &changed).await;
            *endpoint = changed;
        }
    }
    endpoints.retain(|endpoint| name_of(endpoint).is_some());
    api.relay.remember(key, &endpoints, api.clock.now_ms());
    Ok(())
}

/// Writes into an endpoint of a listener whether a client is there; what was changed, if anything.
async fn note_at(
    shared: &Shared,
    key: &ListenerKey,
    endpoint: &Endpoint,
) -> Result<Option<Endpoint>> {
    let api = &shared.api;
    let name = Name::Id(endpoint.id);
    let Some(now) = api.store.endpoint_get(key.0, endpoint.application, name).await? else {
        return Ok(None);
    };
    let now_ms = api.clock.now_ms();
    // Whoever came or went meanwhile writes too: the last one writes what is true.
    let seen_ms = (!api.relay.is_present(key)).then_some(now_ms);
    let mut settings = now.settings.clone();
    // Somebody who left here may have come to another node.
    let elsewhere = connected_to(&now, api).filter(|node| Some(*node) != api.control.node());
    if seen_ms.is_some() && elsewhere.is_some() {
        return Ok(None);
    }
    let node = api.control.node();
    settings.metadata.extend(metadata(&key.1, keep_s_of(&now), seen_ms, node));
    if name_of(&now) != Some(&key.1) || settings == now.settings {
        return Ok(None);
    }
    let change = now.edit(now.uid.clone(), settings);
    match api.store.endpoint_change(key.0, now.id, change, now_ms).await? {
        Changed::Done(changed) => Ok(Some(changed)),
        Changed::Meanwhile => Err(turns::quicker("listener", &key.1)),
        Changed::NameTaken | Changed::Absent => Ok(None),
    }
}

/// Removes a listener, or these of its endpoints, with what waits for them.
pub(crate) async fn remove(
    shared: &Arc<Shared>,
    key: &ListenerKey,
    endpoints: &[Endpoint],
    reason: &str,
) -> Result<()> {
    let api = &shared.api;
    for endpoint in endpoints {
        let _turn = shared.turns.take(endpoint.application).await;
        let change =
            EndpointChange::State { state: EndpointState::Removed, reason: reason.to_owned() };
        let now_ms = api.clock.now_ms();
        let changed = api.store.endpoint_change(key.0, endpoint.id, change, now_ms).await?;
        if let Changed::Done(endpoint) = changed {
            shared.apps.forget(endpoint.application);
            api.control.endpoint_changed(key.0, &endpoint).await;
            let (shared, endpoint) = (Arc::clone(shared), endpoint.key);
            tokio::spawn(async move { drain(&shared, endpoint).await });
        }
    }
    Ok(())
}

/// Ends what waits for a removed endpoint. Deliveries that the engine was just holding are given back
/// to the store, so it looks a few times.
async fn drain(shared: &Shared, endpoint: EndpointKey) {
    let mut ended = 0_u64;
    // Nobody delivers to it any more, whoever did.
    let _lent = Lent::new(shared, endpoint);
    for look in 0..DRAIN_LOOKS {
        if look > 0 {
            tokio::time::sleep(DRAIN_PAUSE).await;
        }
        loop {
            match drain_step(shared, endpoint).await {
                Ok(0) => break,
                Ok(count) => ended += count,
                Err(error) => {
                    tracing::error!(%error, "what waits for a removed listener could not be ended; the next start tries again");
                    return;
                }
            }
        }
    }
    if ended > 0 {
        tracing::info!(deliveries = ended, "listener.drained");
    }
}

/// An endpoint whose deliveries may be leased here for a while.
struct Lent<'s> {
    shared: &'s Shared,
    endpoint: EndpointKey,
}

impl<'s> Lent<'s> {
    fn new(shared: &'s Shared, endpoint: EndpointKey) -> Self {
        shared.api.control.lend(endpoint, true);
        Self { shared, endpoint }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.shared.api.control.lend(self.endpoint, false);
    }
}

async fn drain_step(shared: &Shared, endpoint: EndpointKey) -> Result<u64> {
    let (store, now_ms) = (&shared.api.store, shared.api.clock.now_ms());
    // What is due only later waits no longer either.
    let by_then_ms = now_ms.saturating_add(48 * 60 * 60 * 1_000);
    let leased = store.delivery_lease(endpoint, by_then_ms, 60_000, DRAIN_STEP).await?;
    let count = leased.len() as u64;
    let finished = leased.into_iter().map(|one| store.attempt_finish(cancelled(&one, now_ms)));
    for outcome in futures_util::future::join_all(finished).await {
        outcome?;
    }
    Ok(count)
}

fn cancelled(delivery: &LeasedDelivery, now_ms: i64) -> AttemptFinish {
    let detail = AttemptDetail {
        error: Some("The listener was removed before the event was delivered.".to_owned()),
        note: "nothing was sent".to_owned(),
        ..AttemptDetail::default()
    };
    AttemptFinish {
        delivery: delivery.key,
        lease: delivery.lease,
        attempt: AttemptWrite {
            number: delivery.attempts.saturating_add(1),
            trigger: if delivery.key.generation == 0 { Trigger::Receipt } else { Trigger::Replay },
            started_at_ms: now_ms,
            duration_ms: 0,
            status: None,
            error_code: Some("listener_gone".to_owned()),
            detail: serde_json::to_vec(&detail).map(Bytes::from).unwrap_or_default(),
        },
        next: NextStep::Failed(FailureReason::GaveUp),
    }
}

/// Looks after all listeners, from the start of the gateway to its end.
pub(crate) async fn keep(shared: Arc<Shared>) {
    if let Err(error) = load(&shared).await {
        tracing::error!(%error, "listeners cannot be read; they are kept until the next start");
    }
    let mut closing = shared.api.closing.clone();
    loop {
        let relay = &shared.api.relay;
        let pause = if relay.is_idle() { Duration::from_secs(3_600) } else { LOOK_EVERY };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = relay.changed.notified() => {}
            // A sender that is gone means the same as one that says so.
            _ = closing.wait_for(|closing| *closing) => return,
        }
        for key in relay.silent() {
            relay.end(&key, Ending::Silent);
            came_or_went(&shared, &key).await;
        }
        for key in relay.over(shared.api.clock.now_ms()) {
            if let Err(error) = expire(&shared, &key).await {
                tracing::error!(listener = %key.1, %error, "a listener that is over could not be removed");
            }
        }
    }
}

async fn expire(shared: &Arc<Shared>, key: &ListenerKey) -> Result<(), ApiError> {
    let endpoints = endpoints_of(shared, key).await?;
    let api = &shared.api;
    let now_ms = api.clock.now_ms();
    // It may be another node to which somebody is, or was lately, connected.
    let lives = |endpoint: &Endpoint| {
        let seen_ms = seen_ms_of(endpoint).unwrap_or_default();
        let keep_ms = i64::try_from(keep_s_of(endpoint).saturating_mul(1_000)).unwrap_or(i64::MAX);
        connected_to(endpoint, api).is_some() || now_ms < seen_ms.saturating_add(keep_ms)
    };
    if api.control.node().is_some() && (endpoints.is_empty() || endpoints.iter().any(lives)) {
        api.relay.remember(key, &endpoints, now_ms);
        return Ok(());
    }
    remove(shared, key, &endpoints, "nobody listened any more").await?;
    shared.api.relay.remember(key, &[], shared.api.clock.now_ms());
    tracing::info!(listener = %key.1, "listener.expired");
    Ok(())
}

async fn load(shared: &Arc<Shared>) -> Result<()> {
    let api = &shared.api;
    let mut gone = Vec::new();
    for owner in api.store.owner_list().await? {
        let snapshot = api.store.config_list(owner).await?;
        for (name, endpoints) in group(&snapshot.endpoints) {
            api.relay.remember(&(owner, name), &endpoints, api.clock.now_ms());
        }
        gone.extend(
            snapshot
                .endpoints
                .iter()
                .filter(|endpoint| {
                    endpoint.settings.kind == EndpointKind::Listen
                        && endpoint.state == EndpointState::Removed
                })
                .map(|endpoint| endpoint.key),
        );
    }
    if gone.is_empty() {
        return Ok(());
    }
    // What an earlier run did not come to.
    for due in api.store.delivery_due().await? {
        if gone.contains(&due.endpoint) {
            drain(shared, due.endpoint).await;
        }
    }
    Ok(())
}

/// When a listener will be removed, if nobody connects, as it is shown.
pub(crate) fn until(endpoint: &Endpoint) -> Option<String> {
    let keep_ms = i64::try_from(keep_s_of(endpoint).saturating_mul(1_000)).ok()?;
    seen_ms_of(endpoint).map(|seen_ms| times::text(seen_ms.saturating_add(keep_ms)))
}

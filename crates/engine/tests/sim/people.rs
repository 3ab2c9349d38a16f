//! What senders and people do in a world.

use std::sync::Arc;

use becket_engine::{Engine, Tenure};
use becket_model::{
    Clock, Disposition, EndpointState, EventId, EventLabels, EventRecord, PackedHeaders,
};
use becket_store::{
    Accepted, Changed, Endpoint, EndpointChange, EventAccept, LeasedDelivery, Owner, Planned, Store,
};
use tokio::time::{Duration, Instant, sleep};

use crate::checker;
use crate::driver::{Parts, World, settings};
use crate::receivers::Manner;
use crate::store::FaultyStore;
use crate::world::{Dice, Quiet};

impl World {
    /// What senders and people do.
    pub async fn act(&mut self, parts: &Parts, actions: u64) {
        let Parts { engine, store, .. } = parts;
        let dice = self.dice.clone();
        for _ in 0..actions {
            match dice.below(4) {
                0 => {}
                1 => sleep(Duration::from_millis(dice.below(50))).await,
                2 => sleep(Duration::from_millis(dice.below(3_000))).await,
                _ => sleep(Duration::from_millis(dice.below(30_000))).await,
            }
            let mut endpoints = self.endpoints().await;
            endpoints.retain(|endpoint| endpoint.state != EndpointState::Removed);
            if endpoints.is_empty() {
                self.add(parts).await;
                continue;
            }
            let chosen =
                &endpoints[usize::try_from(dice.below(endpoints.len() as u64)).expect("few")];
            match dice.below(26) {
                0..=9 => self.receive(engine, store, &endpoints).await,
                10..=12 => {
                    self.manners.lock().insert(chosen.key, some_manner(&dice));
                }
                13 if !self.long => {
                    for _ in 0..dice.between(5, 15) {
                        self.receive(engine, store, &endpoints).await;
                    }
                }
                14 | 15 => {
                    let state = match chosen.state {
                        EndpointState::Enabled => EndpointState::Paused,
                        _ => EndpointState::Enabled,
                    };
                    self.set_state(engine, chosen, state).await;
                }
                16 => engine.endpoints_set(self.runtimes(parts.rate.as_ref()).await),
                17 => self.replay(engine, store).await,
                18 if !self.steady => {
                    let by_ms = i64::try_from(dice.below(7_200_000)).expect("small") - 3_600_000;
                    self.clock.step(by_ms);
                }
                19 if self.caps.lock().len() < 9 => self.add(parts).await,
                20 if endpoints.len() > 1 => self.remove(engine, chosen).await,
                21 => self.remove_for_a_while(parts, chosen).await,
                22 => engine.endpoint_put(self.runtime(chosen.clone(), parts.rate.clone())),
                23 => self.expunge(store).await,
                24 => self.lapse(engine).await,
                _ => engine.wake(chosen.key),
            }
        }
    }

    /// Plays a receiving thread: reserve, store, hand over.
    pub async fn receive(&self, engine: &Engine, store: &Arc<FaultyStore>, endpoints: &[Endpoint]) {
        let dice = &self.dice;
        let later_ms = || self.clock.now_ms().saturating_add_unsigned(dice.below(900_000));
        let due_ms = dice.chance(10).then(later_ms);
        self.receive_for(engine, store, endpoints, due_ms).await;
    }

    /// The same for later, if there is a time for it.
    pub async fn receive_for(
        &self,
        engine: &Engine,
        store: &Arc<FaultyStore>,
        endpoints: &[Endpoint],
        due_ms: Option<i64>,
    ) {
        let takes = |endpoint: &&Endpoint| {
            matches!(endpoint.state, EndpointState::Enabled | EndpointState::Paused)
        };
        let dice = &self.dice;
        let now_ms = self.clock.now_ms();
        let payload_ms = (due_ms.is_none() && dice.chance(5)).then(|| dice.below(600_000));
        let event_type = if dice.chance(20) { "typed" } else { "test" };
        let planned: Vec<Planned> = endpoints
            .iter()
            .filter(takes)
            .map(|endpoint| Planned {
                endpoint: endpoint.key,
                leased: due_ms.is_none() && engine.reserve(endpoint.key),
            })
            .collect();
        let mut packed = PackedHeaders::with_capacity(64);
        packed.push("content-type", b"application/json");
        let packed = packed.finish(b"{\"simulated\":true}");
        let record = EventRecord::from_packed(packed).expect("just packed");
        let application = self.application;
        let accept = EventAccept {
            application,
            received_at_ms: now_ms,
            event_type: Some(event_type.to_owned()),
            dedupe: None,
            disposition: Disposition::Accepted,
            labels: EventLabels {
                deliver_at_ms: due_ms,
                payload_until_ms: payload_ms.map(|ms| now_ms.saturating_add_unsigned(ms)),
                ..EventLabels::default()
            },
            record: record.clone(),
            planned: planned.clone(),
            due_ms,
            lease_until_ms: now_ms.saturating_add_unsigned(engine.lease_ms()),
        };
        match store.event_accept(self.scope, accept).await {
            Ok(Accepted::Stored { event, lease, .. }) => {
                for planned in planned {
                    if !planned.leased {
                        engine.wake(planned.endpoint);
                        continue;
                    }
                    engine.hand_over(LeasedDelivery {
                        key: becket_model::DeliveryKey {
                            event,
                            endpoint: planned.endpoint,
                            generation: 0,
                        },
                        lease,
                        attempts: 0,
                        application,
                        received_at_ms: now_ms,
                        event_type: Some(event_type.into()),
                        record: record.clone(),
                    });
                }
            }
            Ok(Accepted::Duplicate { .. }) | Err(_) => {
                for planned in planned.iter().filter(|planned| planned.leased) {
                    engine.cancel(planned.endpoint);
                }
            }
        }
    }

    pub async fn set_state(&self, engine: &Engine, endpoint: &Endpoint, state: EndpointState) {
        let change = EndpointChange::State { state, reason: "a person".to_owned() };
        let now_ms = self.clock.now_ms();
        let changed = self.model.endpoint_change(Owner::MAIN, endpoint.id, change, now_ms).await;
        assert!(matches!(changed, Ok(Changed::Done(_))), "{changed:?}");
        let mut record = self.record.lock();
        if state == EndpointState::Enabled {
            record.quiet_until(endpoint.key, self.clock.mono_ms());
        } else {
            record.quiet_from(endpoint.key, self.clock.mono_ms());
        }
        engine.endpoint_state_set(endpoint.key, state);
    }

    /// Makes another endpoint and tells the engine of it alone.
    async fn add(&self, parts: &Parts) {
        let endpoint = self.endpoint_create(settings(&self.dice, self.long)).await;
        self.manners.lock().insert(endpoint.key, some_manner(&self.dice));
        parts.engine.endpoint_put(self.runtime(endpoint, parts.rate.clone()));
    }

    /// Removes an endpoint for good.
    async fn remove(&self, engine: &Engine, endpoint: &Endpoint) {
        let state = EndpointState::Removed;
        let change = EndpointChange::State { state, reason: "a person".to_owned() };
        let now_ms = self.clock.now_ms();
        let changed = self.model.endpoint_change(Owner::MAIN, endpoint.id, change, now_ms).await;
        assert!(matches!(changed, Ok(Changed::Done(_))), "{changed:?}");
        self.record.lock().quiet_from(endpoint.key, self.clock.mono_ms());
        engine.endpoint_remove(endpoint.key);
    }

    /// Takes an endpoint from the engine and gives it back, as a file that is edited twice would.
    async fn remove_for_a_while(&self, parts: &Parts, endpoint: &Endpoint) {
        self.record.lock().quiet_from(endpoint.key, self.clock.mono_ms());
        parts.engine.endpoint_remove(endpoint.key);
        if self.dice.chance(70) {
            sleep(Duration::from_millis(self.dice.below(5_000))).await;
        }
        let endpoints = self.endpoints().await;
        let now = endpoints.into_iter().find(|known| known.key == endpoint.key);
        let now = now.expect("it is still there");
        *self.record.lock().returns.entry(endpoint.key).or_default() += 1;
        if now.state == EndpointState::Enabled {
            self.record.lock().quiet_until(endpoint.key, self.clock.mono_ms());
        }
        parts.engine.endpoint_put(self.runtime(now, parts.rate.clone()));
    }

    /// The engine's membership ends, and is renewed after a while: what came meanwhile is delivered
    /// then.
    async fn lapse(&self, engine: &Engine) {
        let tenure =
            |until| Tenure { may_start_until: until, first_lease: becket_store::LeaseToken(0) };
        let now = Instant::now();
        engine.tenure_set(tenure(now));
        let from_mono_ms = self.clock.mono_ms();
        self.record.lock().lapses.push(Quiet { from_mono_ms, until_mono_ms: None });
        sleep(Duration::from_millis(self.dice.below(20_000))).await;
        let until_mono_ms = Some(self.clock.mono_ms());
        if let Some(last) = self.record.lock().lapses.last_mut() {
            last.until_mono_ms = until_mono_ms;
        }
        engine.tenure_set(tenure(Instant::now() + Duration::from_secs(400 * 24 * 3_600)));
    }

    async fn some_event(&self) -> Option<EventId> {
        let events = checker::events(self).await;
        let index = usize::try_from(self.dice.below(events.len() as u64)).expect("few");
        events.get(index).map(|event| event.id)
    }

    /// Removes the payload of an event, wherever its deliveries are.
    async fn expunge(&self, store: &Arc<FaultyStore>) {
        let Some(event) = self.some_event().await else { return };
        let done = store.event_expunge(self.scope, event, self.clock.now_ms()).await;
        assert!(done.expect("removes"), "the event is known");
    }

    async fn replay(&mut self, engine: &Engine, store: &Arc<FaultyStore>) {
        let Some(event) = self.some_event().await else { return };
        self.hurried.insert(event);
        let now_ms = self.clock.now_ms();
        if let Ok(Some(replayed)) =
            store.delivery_replay(self.scope, event, Vec::new(), now_ms).await
        {
            replayed.iter().for_each(|replayed| engine.wake(replayed.key.endpoint));
        }
    }
}

fn some_manner(dice: &Dice) -> Manner {
    match dice.below(12) {
        0..=3 => Manner::Good(dice.below(20_000)),
        4 | 5 => Manner::Flaky(dice.between(10, 90)),
        6 | 7 => Manner::Hangs,
        8 => Manner::Refuses,
        9 => Manner::AsksForTime(dice.between(1, 200)),
        10 => Manner::Redirects,
        _ => Manner::Gone,
    }
}

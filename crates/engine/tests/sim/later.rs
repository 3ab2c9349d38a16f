//! Deliveries for later: made in time, also when nobody remembers them.

use becket_engine::EngineConfig;
use becket_model::{Clock, EndpointSettings};
use tokio::time::{Duration, sleep};

use crate::driver::{Life, Parts, Plan, World};
use crate::receivers::Manner;
use crate::store::Faults;
use crate::world::Dice;

/// How late an attempt may begin: the store is asked what is due once a second, at most.
const LATE_MS: i64 = 2_000;

fn world() -> Plan {
    Plan {
        endpoints: vec![EndpointSettings::default(); 2],
        config: EngineConfig { lease_ms: 300_000, ..EngineConfig::default() },
        rate: None,
        by_type: Default::default(),
        steady: true,
        long: false,
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_for_later_are_made_in_time() {
    let mut world = World::of(world(), Dice::new(1)).await;
    for endpoint in world.endpoints().await {
        world.manners.lock().insert(endpoint.key, Manner::Good(40));
    }
    let start_ms = world.clock.now_ms();
    // Seconds from the start, not in order; the engine ends between them.
    let due_s: [i64; 7] = [3, 700, 12, 12, 400, 401, 65];
    let ends_s = [100, 390, 1_000];
    for (life, end_s) in ends_s.into_iter().enumerate() {
        let Life { parts, running, .. } = world.begin(Faults::default()).await;
        let Parts { engine, store, .. } = &parts;
        let acting = async {
            if life == 0 {
                sleep(Duration::from_millis(100)).await;
                let endpoints = world.endpoints().await;
                for due_s in due_s {
                    let due_ms = Some(start_ms + due_s * 1_000);
                    world.receive_for(engine, store, &endpoints, due_ms).await;
                }
            }
            let left_ms = (start_ms + end_s * 1_000 - world.clock.now_ms()).unsigned_abs();
            sleep(Duration::from_millis(left_ms)).await;
            engine.shutdown(1_000).await;
        };
        tokio::join!(acting, running);
        world.reopen(false, false);
    }
    let record = world.record.lock();
    assert_eq!(record.wrong, Vec::<String>::new());
    assert_eq!(record.seen.len(), 2 * due_s.len());
    let mut started_ms: Vec<i64> = record
        .seen
        .iter()
        .map(|seen| i64::try_from(seen.started_mono_ms).expect("small"))
        .collect();
    started_ms.sort_unstable();
    let mut expected_ms: Vec<i64> = due_s.iter().flat_map(|due_s| [due_s * 1_000; 2]).collect();
    expected_ms.sort_unstable();
    for (started_ms, due_ms) in started_ms.iter().zip(&expected_ms) {
        assert!((*due_ms..=due_ms + LATE_MS).contains(started_ms), "{started_ms:?} {due_ms:?}");
    }
}

//! What is done to an event within a batch after it was accepted: repeats, replays, leases given
//! back, attempts.

use becket_model::{DeliveryKey, EndpointKey, EventId};
use becket_store::{AttemptFinish, FinishOutcome, LeaseToken, Replayed, Result, StoreError};

use super::{Effect, Writer};
use crate::errors::database;
use crate::keeper::Task;
use crate::memory::Key;
use crate::reply::Promise;
use crate::write;

impl Writer {
    /// Records a repeat of an event of this segment, and starts it again if it has failed.
    pub(super) fn repeat(
        &mut self,
        seq: i64,
        now_ms: i64,
        replays: bool,
    ) -> Result<(EventId, Vec<Replayed>)> {
        let failed = database("record a repeat");
        let facts = write::facts(&self.connection, seq).map_err(failed)?.ok_or_else(|| {
            StoreError::Database {
                operation: "record a repeat",
                detail: format!("the first event {seq} is not where it was found"),
            }
        })?;
        write::insert_duplicate(&self.connection, seq, now_ms).map_err(failed)?;
        if !replays
            || facts.planned.is_empty()
            || !write::has_failed(&self.connection, &facts).map_err(failed)?
        {
            return Ok((facts.event, Vec::new()));
        }
        let plan = write::plan_replay(&self.connection, &facts, None).map_err(failed)?;
        write::insert_replays(&self.connection, &plan.replayed, now_ms).map_err(failed)?;
        Ok((facts.event, plan.replayed))
    }

    pub(super) fn replay(
        &mut self,
        seq: i64,
        endpoints: Option<&[EndpointKey]>,
        now_ms: i64,
    ) -> Result<Option<Vec<Replayed>>> {
        let failed = database("replay");
        let Some(facts) = write::facts(&self.connection, seq).map_err(failed)? else {
            return Ok(None);
        };
        let plan = write::plan_replay(&self.connection, &facts, endpoints).map_err(failed)?;
        write::insert_replays(&self.connection, &plan.replayed, now_ms).map_err(failed)?;
        self.hurry(&plan, now_ms)?;
        Ok(Some(plan.replayed))
    }

    /// Notes what is given back; those of older segments go to `late`.
    pub(super) fn release(
        &mut self,
        deliveries: &[(DeliveryKey, LeaseToken)],
        due_ms: i64,
        late: &mut Vec<(DeliveryKey, LeaseToken)>,
    ) -> Result<Vec<(Key, LeaseToken)>> {
        let mut keys = Vec::with_capacity(deliveries.len());
        for (delivery, token) in deliveries {
            let key = write::short_key(delivery);
            if key.0 < self.segment.first {
                late.push((*delivery, *token));
                continue;
            }
            let attempts = self.segment.memory.lock().as_ref().and_then(|memory| {
                let waiting = memory.pending.get(&key)?;
                memory.check(key, *token).then_some(waiting.attempts)
            });
            if let Some(attempts) = attempts
                && !self.touched.contains(&key)
            {
                write::insert_moved(&self.connection, key, attempts, due_ms)
                    .map_err(database("release delivery"))?;
                keys.push((key, *token));
            }
        }
        Ok(keys)
    }

    /// Notes that waiting deliveries have become due.
    fn hurry(&self, plan: &write::ReplayPlan, now_ms: i64) -> Result<()> {
        for (replay, attempts) in plan.replayed.iter().zip(&plan.attempts) {
            let key = write::short_key(&replay.key);
            let waits = self.segment.memory.lock().as_ref().is_some_and(|memory| {
                memory.pending.get(&key).is_some_and(|waiting| waiting.lease.is_none())
            });
            if !replay.fresh && waits {
                write::insert_moved(&self.connection, key, *attempts, now_ms)
                    .map_err(database("replay"))?;
            }
        }
        Ok(())
    }

    pub(super) fn finish_attempt(
        &mut self,
        finish: Box<AttemptFinish>,
        promise: Promise<FinishOutcome>,
        effects: &mut Vec<Effect>,
    ) -> Result<()> {
        let key = write::short_key(&finish.delivery);
        if key.0 < self.segment.first {
            self.shared.keeper.push(Task::Finish(finish, promise));
            return Ok(());
        }
        let holds = self
            .segment
            .memory
            .lock()
            .as_ref()
            .is_some_and(|memory| memory.check(key, finish.lease));
        if !holds || !self.touched.insert(key) {
            effects.push(Effect::Finished { promise, finish, outcome: FinishOutcome::Stale });
            return Ok(());
        }
        let mut tail = [0; 6];
        self.shared.options.noise.fill(&mut tail);
        match write::insert_attempt(&self.connection, &finish, tail)
            .map_err(database("insert attempt"))
        {
            Ok(id) => {
                let outcome = FinishOutcome::Recorded(id);
                effects.push(Effect::Finished { promise, finish, outcome });
                Ok(())
            }
            Err(error) => {
                self.answers.finished(promise, Err(error.clone()));
                Err(error)
            }
        }
    }
}

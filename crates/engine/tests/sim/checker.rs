//! What has to be true after any run.

use std::collections::BTreeMap;

use becket_engine::{DeliveryTurn, Engine};
use becket_model::{
    DeliveryState, EndpointKey, EndpointState, FailureReason, NextStep, Rate, RetrySchedule,
};
use becket_store::{AttemptRow, DeliveryRow, EventFilter, EventRow, Page, Store};

use crate::driver::{Summary, World};
use crate::receivers::Manner;
use crate::world::{Record, Seen};

const EXPUNGED: NextStep = NextStep::Failed(FailureReason::Expunged);

/// All events, oldest first.
pub async fn events(world: &World) -> Vec<EventRow> {
    let page = Page::newest(usize::MAX);
    let mut events =
        world.model.event_list(world.scope, EventFilter::default(), page).await.expect("lists");
    events.reverse();
    events
}

/// What is pending although its endpoint takes deliveries.
pub async fn pending(world: &World) -> Vec<DeliveryRow> {
    let endpoints = world.endpoints().await;
    let enabled = |key| {
        endpoints
            .iter()
            .any(|endpoint| endpoint.key == key && endpoint.state == EndpointState::Enabled)
    };
    events(world)
        .await
        .into_iter()
        .flat_map(|event| event.deliveries)
        .filter(|row| row.state == DeliveryState::Pending && enabled(row.endpoint))
        .collect()
}

/// An engine with nothing to do holds nothing, and takes the next delivery directly.
pub async fn check_idle(world: &World, engine: &Engine) -> Result<(), String> {
    let stats = engine.snapshot();
    let busy =
        [stats.in_flight, stats.queued, stats.queued_bytes, stats.finishing, stats.results_held];
    if busy != [0; 5] {
        return Err(format!("not idle: {stats:?}"));
    }
    for endpoint in world.endpoints().await {
        let good = world.manners.lock().get(&endpoint.key) == Some(&Manner::Good(40));
        if endpoint.state != EndpointState::Enabled || !good || stats.breakers_open > 0 {
            continue;
        }
        let places =
            (0..world.config.lane_queue_max).filter(|_| engine.reserve(endpoint.key)).count();
        if places != world.config.lane_queue_max {
            return Err(format!("{:?} has {places} places when idle", endpoint.key));
        }
        (0..places).for_each(|_| engine.cancel(endpoint.key));
    }
    Ok(())
}

/// Compares what was seen with what is remembered.
pub async fn check(world: &World) -> Result<Summary, String> {
    let endpoints = world.endpoints().await;
    let mut summary = Summary::default();
    for event in events(world).await {
        summary.events += 1;
        let record = world.model.event_record(world.scope, event.id).await;
        let expunged = record.expect("reads").ok_or("a record is gone")?.is_expunged();
        summary.postponed += u64::from(event.labels.deliver_at_ms.is_some());
        let attempts = world.model.attempt_list(world.scope, event.id).await.expect("lists");
        for row in &event.deliveries {
            let endpoint = endpoints.iter().find(|endpoint| endpoint.key == row.endpoint);
            let endpoint = endpoint.ok_or("an endpoint is gone")?;
            let mut own: Vec<&AttemptRow> = attempts
                .iter()
                .filter(|attempt| {
                    attempt.delivery.endpoint == row.endpoint
                        && attempt.delivery.generation == row.generation
                })
                .collect();
            own.sort_by_key(|attempt| attempt.attempt.number);
            let told = |wrong| format!("{}: {wrong} {row:?} {own:#?}", event.id);
            numbers_are_right(row, &own).map_err(told)?;
            let schedule = world.schedule(event.event_type.as_deref(), &endpoint.settings);
            ending_is_right(row, &own, schedule, endpoint.state, expunged).map_err(told)?;
            // An earlier life may have taken its lease along; it ends by itself.
            let record = world.record.lock();
            let lease = record.leases.get(&(event.id, row.endpoint)).copied();
            let under_way = row.state == DeliveryState::Pending && row.due_ms.is_none();
            if under_way && lease.is_none_or(|(_, life)| life == record.life) {
                return Err(told("a lease is held after the end"));
            }
            if world.steady && !world.hurried.contains(&event.id) {
                schedule_is_kept(&own, schedule).map_err(told)?;
                let first_ms = own.first().map(|attempt| attempt.attempt.started_at_ms);
                if first_ms.is_some_and(|first_ms| event.labels.deliver_at_ms > Some(first_ms)) {
                    return Err(told("it was sent before its time"));
                }
            }
            let is_expunged = |attempt: &&AttemptRow| attempt.next == EXPUNGED;
            summary.expunged += u64::from(own.last().is_some_and(is_expunged));
            match row.state {
                DeliveryState::Delivered => summary.delivered += 1,
                DeliveryState::Failed => summary.failed += 1,
                _ => summary.waiting += 1,
            }
        }
        let record = world.record.lock();
        requests_match(&record, &event, &attempts)?;
        turns_are_right(&record, &event, &attempts)?;
    }
    let record = world.record.lock();
    summary.requests = record.seen.len() as u64;
    let recorded = record.seen.iter().filter(|seen| seen.ended_mono_ms.is_some()).count() as u64;
    summary.repeated = summary.requests - recorded;
    for endpoint in &endpoints {
        quiet_is_kept(&record, endpoint.key)?;
        summary.removed += u64::from(endpoint.state == EndpointState::Removed);
        if let Some(rate) = endpoint.settings.rate {
            // One that was removed and has come back begins anew.
            let own = |seen: &Seen| (seen.endpoint == endpoint.key).then_some(seen.returns);
            let kept = rate_is_kept(&record, rate, own);
            kept.map_err(|wrong| format!("{:?}: {wrong}", endpoint.key))?;
        }
    }
    if let Some(rate) = world.rate {
        rate_is_kept(&record, rate, |_| Some(0)).map_err(|wrong| format!("all: {wrong}"))?;
    }
    match record.wrong.first() {
        Some(wrong) => Err(format!("{wrong} (and {} more)", record.wrong.len() - 1)),
        None => Ok(summary),
    }
}

fn numbers_are_right(row: &DeliveryRow, attempts: &[&AttemptRow]) -> Result<(), &'static str> {
    let gapless = attempts
        .iter()
        .enumerate()
        .all(|(index, attempt)| attempt.attempt.number as usize == index + 1);
    if !gapless || row.attempts as usize != attempts.len() {
        return Err("attempts are not numbered 1, 2, 3, …");
    }
    Ok(())
}

fn ending_is_right(
    row: &DeliveryRow,
    attempts: &[&AttemptRow],
    schedule: &RetrySchedule,
    state: EndpointState,
    expunged: bool,
) -> Result<(), &'static str> {
    let last = attempts.last().map(|attempt| attempt.next);
    let fits = match row.state {
        DeliveryState::Delivered => last == Some(NextStep::Delivered),
        DeliveryState::Failed => match last {
            Some(NextStep::Failed(FailureReason::Exhausted)) => {
                attempts.len() == schedule.attempts_max()
            }
            Some(EXPUNGED) => {
                let code = attempts.last().and_then(|last| last.attempt.error_code.as_deref());
                expunged && code == Some("payload_expunged")
            }
            Some(NextStep::Failed(FailureReason::Gone)) => {
                attempts.last().is_some_and(|attempt| attempt.attempt.status == Some(410))
            }
            _ => false,
        },
        // It waits visibly at an endpoint that takes nothing.
        DeliveryState::Pending => {
            state != EndpointState::Enabled && matches!(last, None | Some(NextStep::RetryAt(_)))
        }
        DeliveryState::Cancelled => false,
    };
    let earlier = &attempts[..attempts.len().saturating_sub(1)];
    if !fits || !earlier.iter().all(|attempt| matches!(attempt.next, NextStep::RetryAt(_))) {
        return Err("the delivery's end does not fit its attempts");
    }
    Ok(())
}

/// The next attempt is never early, and what was set is the schedule plus at most a tenth, or a
/// longer hint.
fn schedule_is_kept(
    attempts: &[&AttemptRow],
    schedule: &RetrySchedule,
) -> Result<(), &'static str> {
    for (index, attempt) in attempts.iter().enumerate() {
        let NextStep::RetryAt(due_ms) = attempt.next else { continue };
        let ended_ms = attempt.attempt.started_at_ms + i64::from(attempt.attempt.duration_ms);
        let delay_ms = i64::try_from(schedule.delays_ms[index]).expect("days at most");
        let wait_ms = due_ms - ended_ms;
        let hinted = attempt.attempt.status == Some(503);
        if wait_ms < delay_ms || (!hinted && wait_ms > delay_ms + delay_ms / 10 + 1) {
            return Err("a retry was set off its schedule");
        }
        if attempts.get(index + 1).is_some_and(|next| next.attempt.started_at_ms < due_ms) {
            return Err("a retry was made early");
        }
    }
    Ok(())
}

fn requests_match(
    record: &Record,
    event: &EventRow,
    attempts: &[AttemptRow],
) -> Result<(), String> {
    let mut seen: BTreeMap<EndpointKey, Vec<&Seen>> = BTreeMap::new();
    for request in record.seen.iter().filter(|seen| seen.event == event.id) {
        seen.entry(request.endpoint).or_default().push(request);
    }
    for attempt in attempts.iter().filter(|attempt| attempt.next != EXPUNGED) {
        let requests = seen.get(&attempt.delivery.endpoint).map_or(&[][..], Vec::as_slice);
        let status = attempt.attempt.status.ok_or(());
        let made = requests.iter().any(|request| {
            request.number == attempt.attempt.number && request.status == Some(status)
        });
        if !made {
            return Err(format!("an attempt was recorded that nobody saw: {attempt:?}"));
        }
    }
    Ok(())
}

/// What was told of a delivery is recorded under the id that was told, and was told once.
fn turns_are_right(
    record: &Record,
    event: &EventRow,
    attempts: &[AttemptRow],
) -> Result<(), String> {
    let mut told = Vec::new();
    for turn in record.turns.iter().filter(|turn| turn.0.event == event.id) {
        let (delivery, number, what, id) = turn;
        let attempt = attempts.iter().find(|attempt| attempt.id == *id);
        let attempt = attempt.ok_or_else(|| format!("not recorded: {turn:?}"))?;
        let fits = match what {
            DeliveryTurn::Failing => *number == 4 && matches!(attempt.next, NextStep::RetryAt(_)),
            DeliveryTurn::Exhausted => matches!(attempt.next, NextStep::Failed(_)),
            DeliveryTurn::Recovered => *number > 4 && attempt.next == NextStep::Delivered,
        };
        let right = (attempt.delivery, attempt.attempt.number) == (*delivery, *number);
        if !fits || !right || told.contains(&(delivery, what)) {
            return Err(format!("wrongly told: {turn:?} of {attempt:?}"));
        }
        told.push((delivery, what));
    }
    Ok(())
}

fn quiet_is_kept(record: &Record, endpoint: EndpointKey) -> Result<(), String> {
    let own = record.quiet.get(&endpoint).map_or(&[][..], Vec::as_slice);
    for quiet in own.iter().chain(&record.lapses) {
        let disturbs = |seen: &&Seen| {
            seen.endpoint == endpoint
                && seen.started_mono_ms > quiet.from_mono_ms + 1
                && quiet.until_mono_ms.is_none_or(|until_ms| seen.started_mono_ms < until_ms)
        };
        if let Some(seen) = record.seen.iter().find(disturbs) {
            return Err(format!("called while it takes nothing ({quiet:?}): {seen:?}"));
        }
    }
    Ok(())
}

/// In any span of time no more requests begin than the rate and one burst allow.
fn rate_is_kept(
    record: &Record,
    rate: Rate,
    counts: impl Fn(&Seen) -> Option<u32>,
) -> Result<(), String> {
    let burst = (u64::from(rate.count) * 1_000 / rate.period_ms).max(1);
    let mut by_life: BTreeMap<(u32, u32), Vec<u64>> = BTreeMap::new();
    for seen in &record.seen {
        let Some(part) = counts(seen) else { continue };
        by_life.entry((seen.life, part)).or_default().push(seen.started_mono_ms);
    }
    for starts in by_life.values() {
        for (first, from_ms) in starts.iter().enumerate() {
            for (last, until_ms) in starts.iter().enumerate().skip(first) {
                let made = (last - first + 1) as u64;
                let refilled = (until_ms - from_ms + 1) * u64::from(rate.count) / rate.period_ms;
                if made > burst + refilled + 1 {
                    return Err(format!("called {made} times too fast ({rate})"));
                }
            }
        }
    }
    Ok(())
}

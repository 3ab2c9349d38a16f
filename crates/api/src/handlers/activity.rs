//! What was received and delivered: over time, and by source, endpoint or event type.
//!
//! Invariants: what is read is bounded by the stretch of time and not by what is stored; sums are
//! right also where names had no room (they are counted as `other`).

use std::collections::BTreeMap;

use becket_model::{ApplicationKey, EndpointKey};
use becket_store::activity::{Bucket, Counts, Detail, Level, Part};

use crate::activity::Asked;
use crate::call::{Answer, Call};
use crate::names::Names;
use crate::problem::{ApiError, Result};
use crate::times;
use crate::wire::activity::{ActivityOut, ByOut, NamedOut, PointOut, SumsOut};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How much time is asked for if nothing is said.
const SPAN_MS: i64 = DAY_MS;
/// The most points of an answer: all hours that are kept, and some.
const POINTS_MAX: i64 = 10_000;
/// The most points taken out of details, which are larger.
const DETAIL_POINTS_MAX: i64 = 3_000;
/// Up to this long a stretch, `auto` takes this level.
const AUTO: [(i64, Level); 2] = [(6 * HOUR_MS, Level::Minute), (3 * DAY_MS, Level::TenMinutes)];

/// The stretch of time that a call asks for.
fn stretch(call: &Call) -> Result<(i64, i64)> {
    let until_ms = call.time("until")?.unwrap_or_else(|| call.now_ms().saturating_add(1));
    let since_ms = call.time("since")?.unwrap_or_else(|| until_ms.saturating_sub(SPAN_MS));
    if until_ms < since_ms {
        return Err(ApiError::query("until", "is before `since`"));
    }
    Ok((since_ms, until_ms))
}

/// The finest level that still holds what happened at a moment.
fn finest(since_ms: i64, now_ms: i64) -> Level {
    let holds = |level: &Level| since_ms >= now_ms.saturating_sub(level.kept_ms());
    Level::ALL.into_iter().find(holds).unwrap_or(Level::Hour)
}

/// The level that a call asks for.
fn level(call: &Call, since_ms: i64, until_ms: i64) -> Result<Level> {
    let kept = finest(since_ms, call.now_ms());
    let asked = match call.text("step") {
        None | Some("auto") => {
            let span_ms = until_ms.saturating_sub(since_ms);
            let fits = AUTO.into_iter().find(|(most_ms, _)| span_ms <= *most_ms);
            return Ok(fits.map_or(Level::Hour, |(_, level)| level).max(kept));
        }
        Some(word) => {
            Level::ALL.into_iter().find(|level| level.as_str() == word).ok_or_else(|| {
                ApiError::query(
                    "step",
                    format!("`{word}` is not auto, minute, ten_minutes or hour"),
                )
            })?
        }
    };
    if asked < kept {
        let (word, days) = (asked.as_str(), asked.kept_ms() / DAY_MS);
        let what = format!("`{word}` is kept for {days} days, and `since` is before that");
        return Err(ApiError::query("step", what)
            .hint(format!("ask with `step={}` or a later `since`", kept.as_str())));
    }
    Ok(asked)
}

/// Whose part of the details a call asks for: the part and the name in it.
fn narrowed(call: &Call, names: &Names) -> Result<Option<(Part, String)>> {
    let (source, application) = (call.text("source"), call.text("application"));
    if source.is_some() && application.is_some() {
        return Err(ApiError::query("application", "cannot be given together with `source`"));
    }
    if let Some(endpoint) = call.text("endpoint") {
        let within = application.map(|name| names.application(name)).transpose()?;
        let found = match within {
            Some(within) => names.endpoint_in(within, endpoint)?,
            None => names.endpoint(source, endpoint)?,
        };
        return Ok(Some((Part::Endpoint, found.key.0.to_string())));
    }
    let found = match (source, application) {
        (Some(name), _) => names.source(name)?,
        (None, Some(name)) => names.application(name)?,
        (None, None) => return Ok(None),
    };
    Ok(Some((Part::Source, found.key.0.to_string())))
}

/// `GET /api/v1/becket/activity`
pub(crate) async fn series(call: Call) -> Result<Answer<ActivityOut>> {
    let (since_ms, until_ms) = stretch(&call)?;
    let level = level(&call, since_ms, until_ms)?;
    let (since_ms, until_ms) = (level.floor_ms(since_ms), level.ceil_ms(until_ms));
    let narrowed =
        match ["source", "application", "endpoint"].iter().any(|name| call.text(name).is_some()) {
            true => narrowed(&call, &Names::load(&call).await?)?,
            false => None,
        };
    let points = until_ms.saturating_sub(since_ms) / level.step_ms();
    let most = if narrowed.is_some() { DETAIL_POINTS_MAX } else { POINTS_MAX };
    if points > most {
        return Err(ApiError::query(
            "since",
            format!("asks for {points} points; {most} are the most"),
        )
        .hint("ask for less time, or with a longer `step`"));
    }
    let part = narrowed.as_ref().map_or(Part::Totals, |(part, _)| *part);
    let now_ms = call.now_ms();
    let asked = Asked { owner: call.owner, level, part, since_ms, until_ms, now_ms };
    let mut sums: BTreeMap<i64, (Counts, Option<u64>)> = BTreeMap::new();
    let (activity, store) = (&call.shared.api.activity, call.store());
    let each = |start_ms: i64, bucket: &Bucket| {
        let sum = sums.entry(start_ms).or_default();
        match &narrowed {
            None => {
                sum.0.merge(&bucket.totals.counts);
                sum.1 = sum.1.max(bucket.totals.pending);
            }
            Some((part, name)) => {
                if let Some(counts) = bucket.detail(*part).and_then(|one| one.names.get(name)) {
                    sum.0.merge(counts);
                }
            }
        }
    };
    activity.read(store, &asked, each).await?;
    // What waits goes on waiting while nothing is said of it.
    let mut pending = match narrowed {
        None => activity.pending_before(store, &asked).await?,
        Some(_) => None,
    };
    let mut out = Vec::with_capacity(usize::try_from(points).unwrap_or_default());
    let mut at_ms = since_ms;
    while at_ms < until_ms {
        let (counts, seen) = sums.remove(&at_ms).unwrap_or_default();
        pending = seen.or(pending);
        out.push(PointOut::new(at_ms, &counts, pending.filter(|_| at_ms <= now_ms)));
        at_ms += level.step_ms();
    }
    Ok(Answer::ok(ActivityOut {
        since: times::text(since_ms),
        until: times::text(until_ms),
        step_ms: level.step_ms(),
        points: out,
    }))
}

/// `GET /api/v1/becket/activity/by`
pub(crate) async fn by(call: Call) -> Result<Answer<ByOut>> {
    let part = match call.text("dimension") {
        Some("source") => Part::Source,
        Some("endpoint") => Part::Endpoint,
        Some("event_type") => Part::EventType,
        other => {
            let given =
                other.map_or("is missing".to_owned(), |text| format!("`{text}` is unknown"));
            return Err(
                ApiError::query("dimension", given).hint("it is source, endpoint or event_type")
            );
        }
    };
    let limit = call.limit()?;
    let (since_ms, until_ms) = stretch(&call)?;
    let now_ms = call.now_ms();
    let cover = cover(since_ms, until_ms, now_ms);
    let stretches: i64 =
        cover.iter().map(|(level, since, until)| (until - since) / level.step_ms()).sum();
    if stretches > DETAIL_POINTS_MAX {
        let days = DETAIL_POINTS_MAX * HOUR_MS / DAY_MS;
        return Err(ApiError::query("since", format!("asks for more than about {days} days"))
            .hint("ask for less time"));
    }
    let mut sum = Detail::default();
    for (level, since_ms, until_ms) in &cover {
        let (level, since_ms, until_ms) = (*level, *since_ms, *until_ms);
        let asked = Asked { owner: call.owner, level, part, since_ms, until_ms, now_ms };
        let each = |_, bucket: &Bucket| {
            if let Some(detail) = bucket.detail(part) {
                sum.merge(detail);
            }
        };
        call.shared.api.activity.read(call.store(), &asked, each).await?;
    }
    let Detail { names: found, mut other } = sum;
    let mut rows: Vec<(String, Counts)> = found.into_iter().collect();
    rows.sort_by(|one, two| two.1.weight().cmp(&one.1.weight()).then_with(|| one.0.cmp(&two.0)));
    for (_, counts) in rows.drain(limit.min(rows.len())..) {
        other.merge(&counts);
    }
    let names = Names::load(&call).await?;
    let finest = finest(since_ms, now_ms);
    Ok(Answer::ok(ByOut {
        since: times::text(finest.floor_ms(since_ms)),
        until: times::text(finest.ceil_ms(until_ms)),
        data: rows.iter().map(|(name, counts)| named(&names, part, name, counts)).collect(),
        other: (!other.is_empty()).then(|| SumsOut::new(&other)),
    }))
}

fn named(names: &Names, part: Part, name: &str, counts: &Counts) -> NamedOut {
    let number: Option<u32> = name.parse().ok();
    match part {
        Part::Source => {
            let known = number.and_then(|number| names.source_of(ApplicationKey(number)));
            NamedOut::of_application(known, counts)
        }
        Part::Endpoint => {
            let known = number.and_then(|number| names.endpoint_of(EndpointKey(number)));
            NamedOut::of_endpoint(known.map(|one| (one, names.full_name(one))), counts)
        }
        Part::EventType | Part::Totals => NamedOut::of_event_type(name, counts),
    }
}

/// The fewest stretches that together are the asked one: hours in its middle, and at its ends what is
/// finer, as far as that is kept. What ends now ends with its hour: nothing has happened after now.
fn cover(since_ms: i64, until_ms: i64, now_ms: i64) -> Vec<(Level, i64, i64)> {
    let finest = finest(since_ms, now_ms);
    let mut since_ms = finest.floor_ms(since_ms);
    let end = if until_ms > now_ms { Level::Hour } else { finest };
    let mut until_ms = end.ceil_ms(until_ms);
    let (mut cover, mut ends) = (Vec::new(), Vec::new());
    for level in Level::ALL.into_iter().filter(|level| *level >= finest) {
        let coarser = Level::ALL.into_iter().find(|other| *other > level);
        let middle = coarser
            .map(|coarser| (coarser.ceil_ms(since_ms), coarser.floor_ms(until_ms)))
            .filter(|(from_ms, to_ms)| from_ms < to_ms);
        let Some((from_ms, to_ms)) = middle else {
            cover.push((level, since_ms, until_ms));
            break;
        };
        cover.push((level, since_ms, from_ms));
        ends.push((level, to_ms, until_ms));
        (since_ms, until_ms) = (from_ms, to_ms);
    }
    cover.extend(ends.into_iter().rev());
    cover.retain(|(_, since_ms, until_ms)| since_ms < until_ms);
    cover
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;
    const NOW_MS: i64 = 1_000 * DAY_MS + 7 * HOUR_MS + 23 * MINUTE_MS + 5;

    fn check(since_ms: i64, until_ms: i64) -> Vec<(Level, i64, i64)> {
        let cover = cover(since_ms, until_ms, NOW_MS);
        for (level, since_ms, until_ms) in &cover {
            assert!(since_ms < until_ms, "{cover:?}");
            assert_eq!(
                (level.floor_ms(*since_ms), level.floor_ms(*until_ms)),
                (*since_ms, *until_ms)
            );
        }
        for pair in cover.windows(2) {
            assert_eq!(pair[0].2, pair[1].1, "{cover:?}");
        }
        if let (Some(first), Some(last)) = (cover.first(), cover.last()) {
            assert!(first.1 <= since_ms && since_ms < first.1 + HOUR_MS);
            assert!(last.2 >= until_ms);
        }
        cover
    }

    #[test]
    fn a_day_is_mostly_hours() {
        let cover = check(NOW_MS - DAY_MS, NOW_MS + 1);
        let hours: i64 = cover
            .iter()
            .filter(|(level, ..)| *level == Level::Hour)
            .map(|(_, since, until)| (until - since) / HOUR_MS)
            .sum();
        assert_eq!(hours, 24);
        let count: i64 =
            cover.iter().map(|(level, since, until)| (until - since) / level.step_ms()).sum();
        assert!(count < 24 + 6 + 10, "{cover:?}");
    }

    #[test]
    fn every_stretch_is_covered_once() {
        for back in [1, 7, 61, 600, 3_000, 30_000] {
            for long in [0, 1, 9, 59, 61, 1_441] {
                let since_ms = NOW_MS - back * MINUTE_MS - 17;
                check(since_ms, (since_ms + long * MINUTE_MS).min(NOW_MS + 1));
            }
        }
        assert_eq!(check(0, HOUR_MS), [(Level::Hour, 0, HOUR_MS)]);
    }

    #[test]
    fn what_is_no_longer_kept_is_taken_from_what_is_coarser() {
        assert_eq!(finest(NOW_MS, NOW_MS), Level::Minute);
        assert_eq!(finest(NOW_MS - 3 * DAY_MS, NOW_MS), Level::TenMinutes);
        assert_eq!(finest(NOW_MS - 20 * DAY_MS, NOW_MS), Level::Hour);
        assert_eq!(finest(0, NOW_MS), Level::Hour);
    }
}

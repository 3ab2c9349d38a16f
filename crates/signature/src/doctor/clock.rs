//! Times: clocks that are off, and units that are mistaken for others.

use super::Trials;
use crate::likely_cause::{Finding, LikelyCause, finding};
use crate::scheme::{TimestampUnit, Tolerance};
use crate::scope::Scope;
use crate::verdict::Refusal;
use crate::verifier::timestamp_text;
use crate::{timestamp, url_text};

const UNITS: [(TimestampUnit, &str); 7] = [
    (TimestampUnit::S, "seconds"),
    (TimestampUnit::Ms, "milliseconds"),
    (TimestampUnit::Us, "microseconds"),
    (TimestampUnit::Ns, "nanoseconds"),
    (TimestampUnit::Rfc3339, "the form of RFC 3339"),
    (TimestampUnit::HttpDate, "the form of HTTP dates"),
    (TimestampUnit::Compact, "the compact form of ISO 8601"),
];

/// The signed time of the request, as the scheme that decides reads it.
struct Stamp {
    text: String,
    unit: TimestampUnit,
    max_age: Tolerance,
    max_future: Tolerance,
    place: String,
}

impl Trials<'_> {
    /// The signature is right and its time is not.
    pub(super) fn clock(&self, refusal: Refusal) -> Finding {
        if let Some(found) = self.unit() {
            return found;
        }
        let stamp = self.stamp();
        let sent_s = stamp.as_ref().and_then(|stamp| timestamp::parse(&stamp.text, stamp.unit));
        let limit = |tolerance: Option<Tolerance>| match tolerance {
            Some(Tolerance::Seconds(seconds)) => format!("at most {seconds} s are allowed"),
            _ => "less is allowed".to_owned(),
        };
        let Some(sent_s) = sent_s else { return self.expired(refusal) };
        let age_s = i128::from(self.now_s) - i128::from(sent_s);
        if refusal == Refusal::Stale {
            let allowed = limit(stamp.map(|stamp| stamp.max_age));
            return finding(
                LikelyCause::Stale,
                format!(
                    "The signature is right, but the request was {age_s} s old when it came, and {allowed}."
                ),
                "A replayed request, one that waited on its way, or a wrong clock here: compare the time with `date -u`. The tolerance can be set per source.",
            );
        }
        let allowed = limit(stamp.map(|stamp| stamp.max_future));
        finding(
            LikelyCause::Future,
            format!(
                "The signature is right, but its time lies {} s ahead of this clock, and {allowed}.",
                -age_s
            ),
            "The clock here is behind, or the sender's is ahead: check time synchronisation.",
        )
    }

    fn expired(&self, refusal: Refusal) -> Finding {
        if refusal == Refusal::Stale {
            finding(
                LikelyCause::Stale,
                "The token is genuine, but it has expired.",
                "A replayed request, one that waited on its way, or a wrong clock here: compare the time with `date -u`.",
            )
        } else {
            finding(
                LikelyCause::Future,
                "The token is genuine, but it is not valid yet.",
                "The clock here is behind, or the sender's is ahead: check time synchronisation.",
            )
        }
    }

    /// The time would pass if it were read in another unit.
    pub(super) fn unit(&self) -> Option<Finding> {
        let stamp = self.stamp()?;
        let (_, came) = UNITS.into_iter().find(|(unit, _)| {
            *unit != stamp.unit
                && timestamp::parse(&stamp.text, *unit).is_some_and(|sent_s| {
                    let (age, future) = (stamp.max_age, stamp.max_future);
                    timestamp::judge(sent_s, self.now_s, age, future).is_ok()
                        && self.now_s.abs_diff(sent_s) < 366 * 86_400
                })
                && self.passes_with_schemes(|scheme| {
                    if let Some(spec) = &mut scheme.timestamp {
                        spec.unit = *unit;
                    }
                })
        })?;
        let wanted = match stamp.unit {
            TimestampUnit::SOrMs => "seconds or milliseconds",
            known => {
                UNITS.iter().find(|(unit, _)| *unit == known).map_or("another", |(_, name)| name)
            }
        };
        Some(finding(
            LikelyCause::TimestampUnit,
            format!(
                "The signature is right, but its timestamp `{}` is in {came}, where {} has {wanted}.",
                stamp.text, self.verifier.entry.name
            ),
            "The sender writes times differently from this provider's entry: choose another provider or adapt an own entry.",
        ))
    }

    /// There is no time, or none that can be read.
    pub(super) fn timestamp_missing(&self, refusal: Refusal) -> Finding {
        let places =
            self.verifier.entry.schemes.iter().filter_map(|scheme| scheme.timestamp.as_ref());
        let place = places.map(|spec| spec.at.to_string()).next().unwrap_or_default();
        let (sentence, hint) = match (refusal, self.stamp()) {
            (Refusal::MalformedTimestamp, Some(stamp)) => (
                format!(
                    "The timestamp `{}` at {} is not of the form that {} uses.",
                    shown(&stamp.text),
                    stamp.place,
                    self.verifier.entry.name
                ),
                "Check that the provider is the right one.",
            ),
            _ => (
                format!(
                    "The timestamp that the signature covers is not there: {place} is missing."
                ),
                "Check that the provider is the right one, and that no proxy drops its headers.",
            ),
        };
        finding(LikelyCause::BadTimestamp, sentence, hint)
    }

    fn stamp(&self) -> Option<Stamp> {
        let url = url_text::registered(self.verifier.public_url.as_deref(), self.request.url);
        let (index, texts) = self.verifier.choose(self.request, &url).ok()?;
        let scheme = &self.verifier.entry.schemes[index];
        let prepared = &self.verifier.schemes[index];
        let spec = scheme.timestamp.as_ref()?;
        let scope: Scope<'_> = self.verifier.scope(self.request, &url, scheme, &texts);
        let text = timestamp_text(&scope, scheme).ok()??.into_owned();
        Some(Stamp {
            text,
            unit: spec.unit,
            max_age: prepared.max_age,
            max_future: prepared.max_future,
            place: spec.at.to_string(),
        })
    }
}

/// The beginning of a text that came from outside.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

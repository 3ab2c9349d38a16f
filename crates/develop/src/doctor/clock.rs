//! The clock: whether it is kept right, and how far it may be off before genuine requests are refused.

use super::{Finding, Level};

/// What the system says about keeping time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is synchronised.
    Yes,
    /// It is not.
    No,
    /// The system does not say.
    Unknown,
}

/// Another clock, as its `Date` header told it.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Whose clock it is.
    pub whose: String,
    /// How far our clock is ahead of it, in seconds; headers have whole seconds.
    pub ahead_s: i64,
}

/// The source with the narrowest tolerance.
#[derive(Debug, Clone)]
pub struct Narrowest {
    /// Its name.
    pub source: String,
    /// How far a signed time may be off, in seconds.
    pub tolerance_s: u64,
}

/// Headers have whole seconds and take a while to arrive.
const UNSURE_S: u64 = 2;

/// What the readings mean for the sources that there are.
#[must_use]
pub fn judge(kept: Kept, readings: &[Reading], narrowest: Option<&Narrowest>) -> Finding {
    const CHECK: &str = "clock";
    let tolerance_s = narrowest.map_or(300, |source| source.tolerance_s);
    let whom = narrowest.map_or_else(
        || "most providers allow 300 s".to_owned(),
        |source| format!("`{}` allows {} s", source.source, source.tolerance_s),
    );
    let worst = readings.iter().max_by_key(|reading| reading.ahead_s.unsigned_abs());
    if let Some(worst) = worst.filter(|worst| worst.ahead_s.unsigned_abs() > UNSURE_S) {
        let off_s = worst.ahead_s.unsigned_abs();
        let way = if worst.ahead_s > 0 { "ahead of" } else { "behind" };
        let says = format!("{off_s} s {way} the clock of {}; {whom}", worst.whose);
        let level = if off_s + UNSURE_S >= tolerance_s { Level::Problem } else { Level::Warning };
        let finding = Finding { level, ..Finding::warning(CHECK, says) };
        return with_advice(finding, kept);
    }
    match (kept, worst) {
        (Kept::No, _) => {
            with_advice(Finding::warning(CHECK, format!("it is not synchronised; {whom}")), kept)
        }
        (Kept::Yes, _) => Finding::fine(CHECK, format!("synchronised; {whom}")),
        (Kept::Unknown, Some(reading)) => {
            Finding::fine(CHECK, format!("agrees with {}; {whom}", reading.whose))
        }
        (Kept::Unknown, None) => Finding::skipped(
            CHECK,
            "the system does not say whether it is synchronised, and no other clock was seen",
        ),
    }
}

fn with_advice(finding: Finding, kept: Kept) -> Finding {
    let finding = match kept {
        Kept::Yes => {
            finding.advise("the system says it is synchronised: is the other clock wrong?")
        }
        Kept::No | Kept::Unknown => finding
            .advise("keep it right with systemd-timesyncd or chrony: timedatectl set-ntp true"),
    };
    finding.advise("a clock that is off makes genuine requests `stale` or `from the future`")
}

/// How far our clock is ahead of a `Date` header that came between two moments of ours, in seconds.
/// The header may be up to a second older than it says, and the answer took its time.
#[must_use]
pub fn ahead_s(asked_at_ms: i64, answered_at_ms: i64, date_s: i64) -> i64 {
    let (earliest, latest) = (date_s * 1_000, date_s * 1_000 + 999);
    if asked_at_ms > latest {
        (asked_at_ms - latest).div_euclid(1_000)
    } else if answered_at_ms < earliest {
        -((earliest - answered_at_ms).div_euclid(1_000))
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ahead_s: i64) -> Reading {
        Reading { whose: "hooks.example.com".to_owned(), ahead_s }
    }

    #[test]
    fn the_narrowest_tolerance_decides() {
        let paddle = Narrowest { source: "paddle".to_owned(), tolerance_s: 5 };
        for (kept, readings, narrowest, level) in [
            (Kept::Yes, vec![], None, Level::Fine),
            (Kept::No, vec![], None, Level::Warning),
            (Kept::Unknown, vec![], None, Level::Skipped),
            (Kept::Unknown, vec![read(1)], None, Level::Fine),
            (Kept::Yes, vec![read(4)], None, Level::Warning),
            (Kept::Yes, vec![read(0), read(-4)], Some(&paddle), Level::Problem),
            (Kept::No, vec![read(400)], None, Level::Problem),
        ] {
            let finding = judge(kept, &readings, narrowest);
            assert_eq!(finding.level, level, "{finding:?}");
        }
    }

    #[test]
    fn a_header_has_whole_seconds_and_takes_a_while() {
        for (asked, answered, date_s, ahead) in [
            (10_100, 10_300, 10, 0),
            (10_900, 11_050, 11, 0),
            (15_000, 15_100, 10, 4),
            (5_000, 5_500, 10, -4),
        ] {
            assert_eq!(ahead_s(asked, answered, date_s), ahead, "{asked} {date_s}");
        }
    }
}

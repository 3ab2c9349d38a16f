//! What the gateway tells of itself: how soon it acknowledges, what it refuses, what waits.

use super::{Finding, counted};

/// A histogram of durations, as the gateway's metrics show it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Upper bounds in seconds with how many were at most that long, rising; the last is endless.
    pub buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// Reads a histogram from a text in the OpenMetrics format.
    #[must_use]
    pub fn of(metrics: &str, name: &str) -> Self {
        let beginning = format!("{name}_bucket{{le=\"");
        let buckets = metrics.lines().filter_map(|line| {
            let (bound, rest) = line.strip_prefix(&beginning)?.split_once("\"}")?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            let count = rest.split_whitespace().next()?.parse::<f64>().ok()?;
            Some((bound, count as u64))
        });
        Self { buckets: buckets.collect() }
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.last().map_or(0, |(_, count)| *count)
    }

    /// The bound that this share of all stayed below, in seconds; `None` if there were none.
    #[must_use]
    pub fn quantile_s(&self, share: f64) -> Option<f64> {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        if wanted == 0 {
            return None;
        }
        self.buckets.iter().find(|(_, count)| *count >= wanted).map(|(bound, _)| *bound)
    }
}

/// A source whose provider waits only so long.
#[derive(Debug, Clone)]
pub struct Patience {
    /// The source.
    pub source: String,
    /// The provider's name.
    pub provider: String,
    /// How long it waits, in milliseconds.
    pub timeout_ms: u64,
}

/// How soon requests are answered against how long providers wait. `probed_ms` is an answer to a
/// question of ours, for when nothing has been received yet.
#[must_use]
pub fn acknowledgement(
    histogram: &Histogram,
    probed_ms: Option<u64>,
    sources: &[Patience],
) -> Finding {
    const CHECK: &str = "acknowledgement";
    let shortest = sources.iter().min_by_key(|source| source.timeout_ms);
    let patience = shortest.map_or_else(String::new, |source| {
        let (name, provider) = (&source.source, &source.provider);
        format!("; {provider} (`{name}`) waits {}", duration(source.timeout_ms))
    });
    let (took_ms, says) = match histogram.quantile_s(0.99) {
        Some(bound) if bound.is_finite() => {
            let ms = (bound * 1_000.0).ceil() as u64;
            let count = histogram.count();
            (ms, format!("99 of 100 of {count} answers within {}", duration(ms)))
        }
        Some(_) => {
            (u64::MAX, "more than one answer in 100 took longer than is measured".to_owned())
        }
        None => match probed_ms {
            Some(ms) => {
                (ms, format!("nothing received yet; a question was answered in {}", duration(ms)))
            }
            None => return Finding::skipped(CHECK, "nothing has been received since the start"),
        },
    };
    let says = format!("{says}{patience}");
    let limit_ms = shortest.map_or(10_000, |source| source.timeout_ms);
    if took_ms >= limit_ms {
        return Finding::problem(CHECK, says)
            .advise("senders give up and send again: look at the disk's load and at [store] url")
            .advise("the time ends when the event is on disk: handlers do not count");
    }
    if took_ms.saturating_mul(4) >= limit_ms {
        return Finding::warning(CHECK, says).advise(
            "a slow disk or network is the usual cause: see `disk_space` and `file_system`",
        );
    }
    Finding::fine(CHECK, says)
}

fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        _ if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        _ => format!("{:.1} s", ms as f64 / 1_000.0),
    }
}

/// Refused requests of a source: reasons with their counts.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    /// The source.
    pub source: String,
    /// How many were looked at.
    pub count: u64,
    /// The most common reason, by its code.
    pub code: String,
    /// How many were refused for that.
    pub of_code: u64,
}

/// What the quarantine holds of the last day.
#[must_use]
pub fn quarantine(refused: &[Refused], more: bool) -> Vec<Finding> {
    const CHECK: &str = "quarantine";
    if refused.is_empty() {
        return vec![Finding::fine(CHECK, "nothing was refused in the last 24 hours")];
    }
    let finding = |one: &Refused| {
        let at_least = if more { "at least " } else { "" };
        let share = match one.of_code == one.count {
            true => "as".to_owned(),
            false => format!("{} of them as", one.of_code),
        };
        let says = format!(
            "`{}`: {at_least}{} refused in 24 hours, {share} {}",
            one.source,
            counted(one.count, "request"),
            one.code
        );
        let advice = match one.code.as_str() {
            "signature_mismatch" | "missing_credential" => {
                "`becket quarantine show NUMBER` says which secret or URL would have fitted"
            }
            "stale" | "from_future" => "the clock here or there is off: see `clock`",
            "missing_signature" => {
                "somebody sends without signing: strangers, or the provider is set up without a secret"
            }
            _ => {
                "`becket quarantine list` shows them, `becket quarantine show NUMBER` explains one"
            }
        };
        Finding::warning(CHECK, says).advise(advice).advise(format!(
            "once it is put right: becket quarantine retry --source {}",
            one.source
        ))
    };
    refused.iter().map(finding).collect()
}

/// An endpoint as the gateway keeps it.
#[derive(Debug, Clone, Default)]
pub struct EndpointState {
    /// `source/name`
    pub name: String,
    /// `enabled`, `paused`, `disabled`
    pub state: String,
    /// Why it is in that state.
    pub reason: String,
    /// Since when deliveries fail, if they do.
    pub failing_since: Option<String>,
}

/// Endpoints that take nothing, or fail.
#[must_use]
pub fn endpoints(all: &[EndpointState]) -> Vec<Finding> {
    const CHECK: &str = "deliveries";
    let mut findings = Vec::new();
    for endpoint in all {
        let name = &endpoint.name;
        let why = if endpoint.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", endpoint.reason)
        };
        match (endpoint.state.as_str(), &endpoint.failing_since) {
            ("disabled", _) => findings.push(
                Finding::problem(CHECK, format!("`{name}` is disabled{why}"))
                    .advise(format!("put its cause right, then: becket endpoints enable {name}"))
                    .advise(format!(
                        "then send what it missed: becket replay --endpoint {name} --status failed"
                    )),
            ),
            (_, Some(since)) => findings.push(
                Finding::problem(CHECK, format!("`{name}` has been failing since {since}")).advise(
                    format!("becket attempts list --endpoint {name} shows what it answers"),
                ),
            ),
            ("paused", None) => findings.push(
                Finding::warning(CHECK, format!("`{name}` is paused{why}; its events wait"))
                    .advise(format!("becket endpoints resume {name}")),
            ),
            _ => {}
        }
    }
    if findings.is_empty() {
        let count = counted(all.len() as u64, "endpoint");
        findings.push(match all.is_empty() {
            true => Finding::note(CHECK, "there is no endpoint: events are kept and go nowhere")
                .advise("add a [[source.endpoint]] with a url"),
            false => Finding::fine(CHECK, format!("{count}, none failing")),
        });
    }
    findings
}

/// Deliveries that wait, and the age of the oldest of them if it is known.
#[must_use]
pub fn backlog(pending: u64, oldest_s: Option<i64>) -> Finding {
    const CHECK: &str = "backlog";
    const MANY: u64 = 10_000;
    const OLD_S: i64 = 900;
    if pending == 0 {
        return Finding::fine(CHECK, "nothing waits");
    }
    let says = format!(
        "{} waiting{}",
        if pending == 1 { "1 delivery is".to_owned() } else { format!("{pending} deliveries are") },
        oldest_s.map_or_else(String::new, |age| format!(", the oldest for {}", span(age)))
    );
    if pending >= MANY || oldest_s.is_some_and(|age| age >= OLD_S) {
        return Finding::warning(CHECK, says)
            .advise("becket events list --status pending shows them, with what comes next")
            .advise("if a healthy endpoint is too slow for what arrives, raise its concurrency");
    }
    Finding::fine(CHECK, says)
}

fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{} s", seconds.max(0)),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The versions of this program and of the gateway.
#[must_use]
pub fn version(own: &str, gateway: Option<&str>) -> Finding {
    const CHECK: &str = "version";
    match gateway {
        None => Finding::fine(CHECK, format!("{own}; the gateway does not tell its own")),
        Some(theirs) if theirs == own => Finding::fine(CHECK, own),
        Some(theirs) => Finding::warning(CHECK, format!("this is {own}, the gateway is {theirs}"))
            .advise("restart the gateway after an update, or use the program it was started from"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    const METRICS: &str = "# TYPE becket_request_duration_seconds histogram\n\
        becket_request_duration_seconds_bucket{le=\"0.001\"} 90\n\
        becket_request_duration_seconds_bucket{le=\"0.5\"} 99\n\
        becket_request_duration_seconds_bucket{le=\"4.0\"} 100\n\
        becket_request_duration_seconds_bucket{le=\"+Inf\"} 100\n";

    #[test]
    fn times_are_held_against_the_most_impatient() {
        let histogram = Histogram::of(METRICS, "becket_request_duration_seconds");
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.quantile_s(0.99), Some(0.5));
        assert_eq!(histogram.quantile_s(0.995), Some(4.0));
        let slack = |timeout_ms| Patience {
            source: "chat".to_owned(),
            provider: "Slack".to_owned(),
            timeout_ms,
        };
        for (timeout_ms, level) in
            [(10_000, Level::Fine), (1_500, Level::Warning), (400, Level::Problem)]
        {
            let sources = [slack(20_000), slack(timeout_ms)];
            let finding = acknowledgement(&histogram, None, &sources);
            assert_eq!(finding.level, level, "{finding:?}");
        }
        let none = Histogram::default();
        assert_eq!(acknowledgement(&none, None, &[]).level, Level::Skipped);
        assert_eq!(acknowledgement(&none, Some(3), &[]).level, Level::Fine);
    }

    #[test]
    fn what_the_gateway_tells_is_weighed() {
        let one = Refused {
            source: "shop".to_owned(),
            count: 3,
            code: "signature_mismatch".to_owned(),
            of_code: 2,
        };
        assert_eq!(quarantine(&[], false)[0].level, Level::Fine);
        assert_eq!(quarantine(&[one], true)[0].level, Level::Warning);
        let endpoint = |state: &str, since: Option<&str>| EndpointState {
            name: "shop/app".to_owned(),
            state: state.to_owned(),
            failing_since: since.map(str::to_owned),
            ..EndpointState::default()
        };
        assert_eq!(endpoints(&[])[0].level, Level::Note);
        for (state, since, level) in [
            ("enabled", None, Level::Fine),
            ("enabled", Some("now"), Level::Problem),
            ("paused", None, Level::Warning),
            ("disabled", None, Level::Problem),
        ] {
            assert_eq!(endpoints(&[endpoint(state, since)])[0].level, level);
        }
        for (pending, oldest_s, level) in [
            (0, None, Level::Fine),
            (3, Some(20), Level::Fine),
            (3, Some(4_000), Level::Warning),
            (20_000, None, Level::Warning),
        ] {
            assert_eq!(backlog(pending, oldest_s).level, level);
        }
        assert_eq!(version("1", Some("2")).level, Level::Warning);
    }
}

//! What an alert says: what is wrong, since when, and what to do about it.

use becket_egress::action::template::rfc3339;
use serde_json::{Value, json};

use super::episodes::{Episode, Kind, Tell};

/// An alert as it is posted.
pub(super) struct Alert {
    pub(super) event_type: &'static str,
    pub(super) body: Value,
}

/// The alert that tells of an episode now.
pub(super) fn alert(episode: &Episode, tell: Tell, now_ms: i64) -> Option<Alert> {
    let over = tell == Tell::Over;
    let event_type = match over {
        true => episode.kind.over_type()?,
        false => episode.kind.event_type(),
    };
    let (title, text) = if over { over_words(episode, now_ms) } else { words(episode) };
    let since = rfc3339(episode.began_ms);
    let text = match tell {
        Tell::Begin | Tell::Over => text,
        Tell::Still => format!("{text} It has been so since {since}."),
    };
    let severity = match (over, episode.kind) {
        (true, _) => "info",
        (false, Kind::DiskFilling | Kind::EndpointDisabled | Kind::RetriesExhausted) => "error",
        (false, _) => "warning",
    };
    let mut data = json!({
        "title": title,
        "text": text,
        "severity": severity,
        "subject": episode.subject,
        "since": since,
        "again": tell == Tell::Still,
    });
    if let (Some(data), Some(facts)) = (data.as_object_mut(), episode.facts.as_object()) {
        data.extend(facts.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    let body = json!({ "type": event_type, "timestamp": rfc3339(now_ms), "data": data });
    Some(Alert { event_type, body })
}

/// The endpoint as people know it: `app` of `github`.
pub(super) fn endpoint(episode: &Episode) -> String {
    let fact = |name: &str| episode.facts[name].as_str().unwrap_or_default().to_owned();
    match (fact("endpoint"), fact("source")) {
        (endpoint, source) if source.is_empty() => format!("`{endpoint}`"),
        (endpoint, source) => format!("`{endpoint}` of `{source}`"),
    }
}

fn words(episode: &Episode) -> (String, String) {
    let fact = |name: &str| episode.facts[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| episode.facts[name].as_u64().unwrap_or_default();
    let (subject, id) = (episode.subject.as_str(), fact("endpointId"));
    let said = match fact("said") {
        said if said.is_empty() => String::new(),
        said => format!(" The last attempt came to: {said}."),
    };
    match episode.kind {
        Kind::EndpointFailing => (
            format!("Endpoint {} is failing", endpoint(episode)),
            format!(
                "Deliveries to {} keep failing.{said} Nothing is lost: they are tried again. Look at the \
                 server behind it, and at the attempts with `becket endpoints show {id}`.",
                endpoint(episode)
            ),
        ),
        Kind::EndpointDisabled => (
            format!("Endpoint {} has been switched off", endpoint(episode)),
            format!(
                "{} has been switched off: {}. Its deliveries wait. Put it right, then run `becket \
                 endpoints enable {id}`; what waited is delivered then.",
                endpoint(episode),
                fact("reason")
            ),
        ),
        Kind::RetriesExhausted => (
            format!("Deliveries to {} have been given up", endpoint(episode)),
            format!(
                "{} to {} failed for good: the last attempt was made.{said} Once it works again, run \
                 `becket replay --endpoint {id} --status failed` to deliver them after all.",
                deliveries(number("count")),
                endpoint(episode)
            ),
        ),
        Kind::RetriesRunningOut => (
            format!("Deliveries to {} are near their last attempt", endpoint(episode)),
            format!(
                "{} attempts of a delivery to {} have failed, and {} may follow before it is given \
                 up.{said} Look at the server behind it now.",
                number("attempts"),
                endpoint(episode),
                number("left")
            ),
        ),
        Kind::SignaturesRefused => (
            format!("Source `{subject}` refuses requests"),
            format!(
                "`{subject}` has refused {} requests in {} because they could not be verified, more than it \
                 accepted. If a secret was changed at the sender, change it here too; `becket quarantine \
                 list --source {subject}` explains each.",
                number("refused"),
                fact("window")
            ),
        ),
        Kind::SourceQuiet => (
            format!("Source `{subject}` has gone quiet"),
            format!(
                "`{subject}` has sent nothing since {}; it usually sends at least every {}. Look whether the \
                 sender has switched the webhook off, and whether its address still leads here.",
                fact("last"),
                fact("usual")
            ),
        ),
        Kind::DiskFilling => (
            "The store is filling up".to_owned(),
            format!(
                "{} Before there is no room left, new events are refused with 503 so that senders come back. \
                 Make room, raise `store.cap`, or keep events for a shorter time (`store.retention`).",
                fact("detail")
            ),
        ),
        Kind::CertificateExpiring => (
            "The certificate of the listener is about to expire".to_owned(),
            format!(
                "The certificate {subject} ends on {}. Put a new one in its place: it is read at once, without a \
                 restart. If it should renew itself, the log says why it did not.",
                fact("ends")
            ),
        ),
        Kind::SecretExpiring => (
            format!("{} is about to expire", fact("what")),
            format!("{} ends on {}. {}", fact("what"), fact("ends"), fact("advice")),
        ),
    }
}

pub(super) fn deliveries(count: u64) -> String {
    if count == 1 { "One delivery".to_owned() } else { format!("{count} deliveries") }
}

fn over_words(episode: &Episode, now_ms: i64) -> (String, String) {
    let took = duration(now_ms - episode.began_ms);
    let subject = &episode.subject;
    match episode.kind {
        Kind::EndpointFailing => (
            format!("Endpoint {} works again", endpoint(episode)),
            format!(
                "{} works again after {took}. What waited is being delivered.",
                endpoint(episode)
            ),
        ),
        Kind::SignaturesRefused => (
            format!("Source `{subject}` no longer refuses requests"),
            format!("`{subject}` has stopped refusing requests after {took}."),
        ),
        Kind::SourceQuiet => (
            format!("Source `{subject}` sends again"),
            format!("`{subject}` has sent events again after {took}."),
        ),
        Kind::DiskFilling => (
            "There is room in the store again".to_owned(),
            format!("The store has room again after {took}."),
        ),
        _ => (
            "The certificate of the listener was renewed".to_owned(),
            format!("{subject} is good for longer again."),
        ),
    }
}

/// A time as people say it.
pub(super) fn duration(ms: i64) -> String {
    let seconds = (ms.max(0) + 500) / 1_000;
    let (number, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7_199 => (seconds / 60, "minute"),
        7_200..=172_799 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
}

/// Every kind, for tests of what is said.
#[cfg(test)]
pub(super) const KINDS: [Kind; 9] = [
    Kind::EndpointFailing,
    Kind::EndpointDisabled,
    Kind::SignaturesRefused,
    Kind::SourceQuiet,
    Kind::RetriesExhausted,
    Kind::RetriesRunningOut,
    Kind::DiskFilling,
    Kind::CertificateExpiring,
    Kind::SecretExpiring,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alert_says_what_to_do() {
        for kind in KINDS {
            let episode = Episode {
                kind,
                subject: "github".to_owned(),
                place: None,
                began_ms: 0,
                seen_ms: 0,
                told_ms: 0,
                told: 0,
                facts: json!({
                    "endpoint": "app", "source": "github", "endpointId": "ep_1", "count": 2, "attempts": 4,
                    "left": 1, "refused": 20, "window": "5 minutes", "last": "then", "usual": "minute",
                    "detail": "It is full.", "ends": "then", "what": "The token `deploy`",
                    "advice": "Make another with `becket tokens create`.",
                    "reason": "it answered 410", "said": "HTTP status 500",
                }),
                pending: Some(Tell::Begin),
            };
            let alert = alert(&episode, Tell::Begin, 1_000).expect("a beginning is told");
            let text = alert.body["data"]["text"].as_str().expect("a text");
            assert!(text.ends_with('.') && text.len() > 40, "{text}");
            assert_eq!(alert.body["type"], alert.event_type);
            let over = super::alert(&episode, Tell::Over, 7_200_000);
            assert_eq!(over.is_some(), kind.over_type().is_some());
            if let Some(over) = over {
                assert_eq!(over.body["data"]["severity"], "info");
            }
        }
    }

    #[test]
    fn times_are_said_as_people_do() {
        let cases = [
            (1_000, "1 second"),
            (150_000, "2 minutes"),
            (7_200_000, "2 hours"),
            (259_200_000, "3 days"),
        ];
        for (ms, expected) in cases {
            assert_eq!(duration(ms), expected);
        }
    }
}

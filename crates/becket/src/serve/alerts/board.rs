//! What is wrong now, to be looked at: the open episodes, in words for a page.
//!
//! Invariant: asking costs no look at the store but whether it takes events; everything else was
//! noticed a few seconds ago at most.

use std::sync::Arc;

use becket_api::{Standing, StandingKind};
use becket_model::ApplicationKey;
use becket_store::{Endpoint, Owner, StoreError};
use parking_lot::Mutex;

use super::super::gateway::Gateway;
use super::endpoint_of;
use super::episodes::{Book, Episode, Kind};

/// What was seen longer ago than this is shown only if it is of a kind that is not seen all the time.
const SHOWN_MS: i64 = 60_000;

/// What is wrong, with whose business it is; of the installation itself if nobody's.
#[derive(Default)]
pub(crate) struct Board {
    standing: Mutex<Arc<Vec<(Owner, Standing)>>>,
    /// Since when new events are refused, as far as somebody has looked.
    refusing_since_ms: Mutex<Option<i64>>,
}

impl Board {
    /// What an owner sees.
    pub(in super::super) fn of(&self, gateway: &Gateway, owner: Owner) -> Vec<Standing> {
        let mut list: Vec<Standing> = self.refusing(gateway).into_iter().collect();
        if owner == Owner::MAIN {
            list.extend(at_risk(gateway));
        }
        list.extend(unusable(gateway, owner));
        let standing = Arc::clone(&self.standing.lock());
        list.extend(standing.iter().filter(|(of, _)| *of == owner).map(|(_, one)| one.clone()));
        list
    }

    fn refusing(&self, gateway: &Gateway) -> Option<Standing> {
        let Err(error) = gateway.store.health() else {
            *self.refusing_since_ms.lock() = None;
            return None;
        };
        let now_ms = gateway.clock.now_ms();
        let since_ms = *self.refusing_since_ms.lock().get_or_insert(now_ms);
        Some(Standing {
            kind: StandingKind::NotAccepting,
            since_ms: Some(since_ms),
            title: "New events are refused".to_owned(),
            detail: format!(
                "Senders are answered with 503 so that they come back: {error}. What was accepted before \
                 is safe."
            ),
            hint: match error {
                StoreError::Unavailable { .. } => {
                    "Look at the database; the gateway accepts again by itself as soon as it answers."
                }
                _ => {
                    "Make room on the disk or raise `store.cap`; the gateway accepts again by itself."
                }
            }
            .to_owned(),
            application: None,
            endpoint: None,
            count: None,
        })
    }

    /// Puts up what the book says now.
    pub(super) async fn put(
        &self,
        book: &Book,
        gateway: &Gateway,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        // Also while nobody asks, so that the time is right when somebody does.
        self.refusing(gateway);
        let mut list = Vec::new();
        let mut waiting = None;
        for episode in book.standing() {
            let lasts = matches!(episode.kind, Kind::RetriesExhausted | Kind::RetriesRunningOut);
            if !lasts && now_ms - episode.seen_ms > SHOWN_MS {
                continue;
            }
            let endpoint = match episode.subject.starts_with("ep_") {
                true => endpoint_of(gateway, episode).await?,
                false => None,
            };
            let waits = matches!(
                episode.kind,
                Kind::EndpointFailing | Kind::EndpointDisabled | Kind::RetriesRunningOut
            );
            let count = match &endpoint {
                Some(endpoint) if waits => {
                    if waiting.is_none() {
                        waiting = Some(gateway.store.delivery_waiting().await?);
                    }
                    let of = waiting.iter().flatten().filter(|(of, _)| *of == endpoint.key);
                    Some(of.map(|(_, count)| count).sum())
                }
                _ => episode.facts["count"].as_u64().or(episode.facts["refused"].as_u64()),
            };
            let owner = episode.place.map_or(Owner::MAIN, |(owner, _)| Owner::new(owner));
            list.push((owner, standing(episode, endpoint.as_ref(), count)));
        }
        *self.standing.lock() = Arc::new(list);
        Ok(())
    }
}

/// The sources of an owner that cannot be used.
fn unusable(gateway: &Gateway, owner: Owner) -> Vec<Standing> {
    let current = gateway.current.load();
    let own = current.unusable.iter().filter(|(_, source)| source.owner == owner);
    let told = own.map(|(key, source)| Standing {
        kind: StandingKind::SourceUnusable,
        since_ms: Some(source.since_ms),
        title: format!("Source `{}` receives nothing", source.name),
        detail: format!(
            "Its senders are answered with 503 so that they come back: {}.",
            source.why.trim_end_matches('.')
        ),
        hint: "Put that right, and it receives again; another master key takes a restart."
            .to_owned(),
        application: Some(*key),
        endpoint: None,
        count: None,
    });
    told.collect()
}

/// What puts the data in the database, or its service, at risk.
fn at_risk(gateway: &Gateway) -> Vec<Standing> {
    let Some(node) = &gateway.node else { return Vec::new() };
    let urgent = node.advice();
    let urgent = urgent.iter().filter(|one| one.urgent).map(|one| Standing {
        kind: StandingKind::DatabaseAtRisk,
        since_ms: None,
        title: "The database needs somebody".to_owned(),
        detail: format!("{}.", one.text.trim_end_matches('.')),
        hint: "It is looked at once a minute; this goes away by itself when it is put right."
            .to_owned(),
        application: None,
        endpoint: None,
        count: None,
    });
    urgent.collect()
}

fn standing(episode: &Episode, endpoint: Option<&Endpoint>, count: Option<u64>) -> Standing {
    let (title, detail, hint) = words(episode, count);
    let since_ms = match (episode.kind, endpoint) {
        (Kind::EndpointFailing, Some(endpoint)) => endpoint.failing_since_ms,
        _ => None,
    };
    Standing {
        kind: kind_of(episode.kind),
        since_ms: since_ms.or(Some(episode.began_ms)),
        title,
        detail,
        hint,
        application: episode.place.map(|(_, application)| ApplicationKey(application)),
        endpoint: endpoint.map(|endpoint| endpoint.id),
        count,
    }
}

const fn kind_of(kind: Kind) -> StandingKind {
    match kind {
        Kind::EndpointFailing => StandingKind::EndpointFailing,
        Kind::EndpointDisabled => StandingKind::EndpointDisabled,
        Kind::SignaturesRefused => StandingKind::SignaturesRefused,
        Kind::SourceQuiet => StandingKind::SourceQuiet,
        Kind::RetriesExhausted => StandingKind::RetriesExhausted,
        Kind::RetriesRunningOut => StandingKind::RetriesRunningOut,
        Kind::DiskFilling => StandingKind::DiskFilling,
        Kind::CertificateExpiring => StandingKind::CertificateExpiring,
        Kind::SecretExpiring => StandingKind::SecretExpiring,
    }
}

/// What is wrong in a few words, in a sentence or two, and what to do about it.
fn words(episode: &Episode, count: Option<u64>) -> (String, String, String) {
    let fact = |name: &str| episode.facts[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| episode.facts[name].as_u64().unwrap_or_default();
    let endpoint = super::words::endpoint(episode);
    let subject = episode.subject.as_str();
    let said = match fact("said") {
        said if said.is_empty() => String::new(),
        said => format!(" The last attempt came to: {said}."),
    };
    let waiting = match count {
        Some(1) => " One delivery waits.".to_owned(),
        Some(count) if count > 0 => format!(" {count} deliveries wait."),
        _ => String::new(),
    };
    let told = |title: String, detail: String, hint: &str| (title, detail, hint.to_owned());
    match episode.kind {
        Kind::EndpointFailing => told(
            format!("Endpoint {endpoint} is failing"),
            format!("Deliveries keep failing and are tried again.{said}{waiting}"),
            "Look at the server behind the endpoint, and at what it answers in the attempts.",
        ),
        Kind::EndpointDisabled => told(
            format!("Endpoint {endpoint} has been switched off"),
            format!("It was switched off: {}.{waiting}", fact("reason")),
            "Put the server right, then enable the endpoint: what waited is delivered then.",
        ),
        Kind::RetriesExhausted => told(
            format!("Deliveries to {endpoint} have been given up"),
            format!(
                "{} failed for good after the last attempt.{said}",
                super::words::deliveries(number("count"))
            ),
            "Put the server right, then replay what has failed to this endpoint.",
        ),
        Kind::RetriesRunningOut => told(
            format!("Deliveries to {endpoint} are near their last attempt"),
            format!(
                "{} attempts of a delivery have failed; {} may follow before it is given up.{said}",
                number("attempts"),
                number("left")
            ),
            "Look at the server behind the endpoint now.",
        ),
        Kind::SignaturesRefused => told(
            format!("Source `{subject}` refuses requests"),
            format!(
                "{} requests in {} could not be verified, more than were accepted.",
                number("refused"),
                fact("window")
            ),
            "If a secret was changed at the sender, change it here too; the quarantine explains each \
             request and lets it out.",
        ),
        Kind::SourceQuiet => told(
            format!("Source `{subject}` has gone quiet"),
            format!(
                "Nothing came since {}; usually something comes at least every {}.",
                fact("last"),
                fact("usual")
            ),
            "Look whether the sender has switched the webhook off, and whether its address still leads \
             here.",
        ),
        Kind::DiskFilling => told(
            "The store is filling up".to_owned(),
            fact("detail"),
            "Make room, raise `store.cap`, or keep events for a shorter time (`store.retention`).",
        ),
        Kind::CertificateExpiring => told(
            "The certificate of the listener is about to expire".to_owned(),
            format!("The certificate {subject} ends on {}.", fact("ends")),
            "Put a new one in its place; it is read at once. If it should renew itself, the log says why \
             it did not.",
        ),
        Kind::SecretExpiring => (
            format!("{} is about to expire", fact("what")),
            format!("{} ends on {}.", fact("what"), fact("ends")),
            fact("advice"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_problem_says_what_to_do() {
        for kind in super::super::words::KINDS {
            let episode = Episode {
                kind,
                subject: "github".to_owned(),
                place: Some((1, 7)),
                began_ms: 5,
                seen_ms: 6,
                told_ms: 0,
                told: 0,
                facts: json!({
                    "endpoint": "app", "source": "github", "endpointId": "ep_1", "count": 2, "attempts": 4,
                    "left": 1, "refused": 20, "window": "5 minutes", "last": "then", "usual": "minute",
                    "detail": "It is full.", "ends": "then", "what": "The token `deploy`",
                    "advice": "Make another one.", "reason": "it answered 410", "said": "HTTP status 500",
                }),
                pending: None,
            };
            let one = standing(&episode, None, Some(3));
            assert_eq!((one.since_ms, one.application), (Some(5), Some(ApplicationKey(7))));
            assert!(one.title.len() > 10 && !one.title.ends_with('.'), "{one:?}");
            assert!(one.detail.ends_with('.') && one.hint.ends_with('.'), "{one:?}");
        }
    }
}

//! Endpoints as values: their settings, whether they take deliveries, and which events they want.

use std::collections::BTreeMap;

use becket_filter::Filter;
use serde::{Deserialize, Serialize};

use crate::bucket::Rate;
use crate::event::{EventRecord, FILTERED_MAX, FilteredBy};
use crate::id::EndpointKey;
use crate::retry::RetrySchedule;

/// How an endpoint is called; every field has the default of the documentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSettings {
    /// What it does with a delivery.
    pub kind: EndpointKind,
    /// Where deliveries are posted; of another kind than HTTP, a name to show, such as `exec:deploy`.
    pub url: String,
    /// For people.
    pub description: String,
    /// Only these event types are delivered; `None` delivers all. A trailing `*` matches the rest.
    pub event_types: Option<Vec<String>>,
    /// Only events that name one of these channels are delivered; `None` delivers all.
    pub channels: Option<Vec<String>>,
    /// Only events that pass it are delivered; `None` delivers all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Whether deliveries are changed by a transformation that is stored beside it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub transformed: bool,
    /// The longest an attempt may take in all, in milliseconds (default 15 000, at most 60 000).
    pub timeout_ms: u64,
    /// The longest connecting may take, in milliseconds (default 5 000).
    pub connect_timeout_ms: u64,
    /// Attempts at the same time (default 10).
    pub concurrency: u32,
    /// At most this many attempts in a period; `None` is no limit.
    pub rate: Option<Rate>,
    /// When failed attempts are tried again.
    pub retry: RetrySchedule,
    /// Headers added to every attempt.
    pub headers: Vec<(String, String)>,
    /// Whether private and loopback addresses may be reached; always so for the operator's file.
    pub allow_private: bool,
    /// Whether the sender's `Authorization` header is passed on (default no).
    pub forward_authorization: bool,
    /// Which version of the event types' schemas the receiver was written for; told, not enforced.
    pub version: Option<u32>,
    /// What the user's own program wants to find again.
    pub metadata: BTreeMap<String, String>,
}

/// What an endpoint does with a delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointKind {
    /// Posts it to a URL.
    #[default]
    Http,
    /// Runs a program.
    Exec,
    /// Writes a row to a database.
    Sql,
    /// Sends a message to people.
    Notify,
    /// Publishes it to a broker.
    Queue,
    /// Hands it to a `becket listen`.
    Listen,
}

impl EndpointKind {
    /// The word used in the API, the file and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Exec => "exec",
            Self::Sql => "sql",
            Self::Notify => "notify",
            Self::Queue => "queue",
            Self::Listen => "listen",
        }
    }

    /// Whether only the operator's file may have such an endpoint.
    #[must_use]
    pub const fn is_file_only(self) -> bool {
        matches!(self, Self::Exec | Self::Sql | Self::Notify | Self::Queue)
    }
}

impl Default for EndpointSettings {
    fn default() -> Self {
        Self {
            kind: EndpointKind::Http,
            url: String::new(),
            description: String::new(),
            event_types: None,
            channels: None,
            filter: None,
            transformed: false,
            timeout_ms: 15_000,
            connect_timeout_ms: 5_000,
            concurrency: 10,
            rate: None,
            retry: RetrySchedule::standard(),
            headers: Vec::new(),
            allow_private: false,
            forward_authorization: false,
            version: None,
            metadata: BTreeMap::new(),
        }
    }
}

impl EndpointSettings {
    /// The defaults for a URL.
    #[must_use]
    pub fn for_url(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }

    /// Whether the endpoint wants events of this type.
    #[must_use]
    pub fn wants(&self, event_type: Option<&str>) -> bool {
        self.event_types
            .as_deref()
            .is_none_or(|wanted| wanted.iter().any(|pattern| type_matches(pattern, event_type)))
    }

    /// Whether the endpoint listens to one of these channels. One without channels listens to all;
    /// one with channels hears nothing of an event that names none.
    #[must_use]
    pub fn hears(&self, channels: &[String]) -> bool {
        self.channels
            .as_deref()
            .is_none_or(|wanted| wanted.iter().any(|channel| channels.contains(channel)))
    }
}

/// Whether an event type matches a pattern: the same text, or a prefix before a trailing `*`.
#[must_use]
pub fn type_matches(pattern: &str, event_type: Option<&str>) -> bool {
    match (pattern.strip_suffix('*'), event_type) {
        (Some(""), _) => true,
        (Some(prefix), Some(event_type)) => event_type.starts_with(prefix),
        (None, Some(event_type)) => pattern == event_type,
        (_, None) => false,
    }
}

/// Who wrote an endpoint or source, which decides what it may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The operator's configuration file.
    File,
    /// The API.
    Api,
}

/// Whether an endpoint takes deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    /// Yes.
    Enabled,
    /// Held back by a person: deliveries are planned and wait.
    Paused,
    /// Switched off after a 410, after days of failing, or by a person: nothing new is planned.
    Disabled,
    /// No longer declared: what was pending counts as cancelled.
    Removed,
}

impl EndpointState {
    /// The word used in the API and the CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
        }
    }
}

/// What planning needs to know of an endpoint.
#[derive(Debug, Clone)]
pub struct PlanTarget<'a> {
    /// Its number in the store.
    pub key: EndpointKey,
    /// Whether it takes deliveries.
    pub state: EndpointState,
    /// Its filters.
    pub settings: &'a EndpointSettings,
}

/// Where an event goes, and whose filters keep it from them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The endpoints that get it, in the given order.
    pub deliver: Vec<EndpointKey>,
    /// Why others do not, at most [`FILTERED_MAX`] of them.
    pub filtered: Vec<FilteredBy>,
}

impl Plan {
    /// Plans an event: what [`plan_deliveries`] finds, less those whose filter refuses it. The event
    /// is read only if one of them has a filter, and then once.
    #[must_use]
    pub fn of(
        record: &EventRecord,
        event_type: Option<&str>,
        channels: &[String],
        targets: &[PlanTarget<'_>],
    ) -> Self {
        let mut plan = Self::default();
        let mut subject = None;
        let keys = plan_deliveries(event_type, channels, targets.iter().cloned());
        for endpoint in keys {
            let target = targets.iter().find(|target| target.key == endpoint);
            let Some(filter) = target.and_then(|target| target.settings.filter.as_ref()) else {
                plan.deliver.push(endpoint);
                continue;
            };
            let subject = subject.get_or_insert_with(|| record.subject(event_type));
            match filter.check(subject) {
                Ok(()) => plan.deliver.push(endpoint),
                Err(refused) if plan.filtered.len() < FILTERED_MAX => {
                    plan.filtered.push(FilteredBy::new(endpoint, refused));
                }
                Err(_) => {}
            }
        }
        plan
    }
}

/// Which endpoints may get an event, before their filters are asked: those that take deliveries, want its type and hear one of its
/// channels, in the given order.
pub fn plan_deliveries<'a>(
    event_type: Option<&'a str>,
    channels: &'a [String],
    targets: impl IntoIterator<Item = PlanTarget<'a>> + 'a,
) -> impl Iterator<Item = EndpointKey> + 'a {
    targets
        .into_iter()
        .filter(move |target| {
            matches!(target.state, EndpointState::Enabled | EndpointState::Paused)
                && target.settings.wants(event_type)
                && target.settings.hears(channels)
        })
        .map(|target| target.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_patterns() {
        let table = [
            ("push", Some("push"), true),
            ("push", Some("pushed"), false),
            ("push", None, false),
            ("invoice.*", Some("invoice.paid"), true),
            ("invoice.*", Some("invoice"), false),
            ("*", None, true),
            ("*", Some("x"), true),
        ];
        for (pattern, event_type, expected) in table {
            assert_eq!(type_matches(pattern, event_type), expected, "{pattern} {event_type:?}");
        }
    }

    #[test]
    fn channels_select() {
        let all = EndpointSettings::for_url("http://localhost/");
        let one = EndpointSettings { channels: Some(vec!["a".into()]), ..all.clone() };
        for (channels, expected) in [(&[][..], false), (&["a", "b"], true), (&["b"], false)] {
            let channels: Vec<String> = channels.iter().map(|text| (*text).to_owned()).collect();
            assert!(all.hears(&channels));
            assert_eq!(one.hears(&channels), expected, "{channels:?}");
        }
    }

    #[test]
    fn paused_endpoints_are_planned_and_disabled_ones_are_not() {
        let settings = EndpointSettings::for_url("http://localhost/");
        let picky = EndpointSettings { event_types: Some(vec!["push".into()]), ..settings.clone() };
        let target = |key, state, settings| PlanTarget { key: EndpointKey(key), state, settings };
        let planned: Vec<_> = plan_deliveries(
            Some("ping"),
            &[],
            [
                target(1, EndpointState::Enabled, &settings),
                target(2, EndpointState::Paused, &settings),
                target(3, EndpointState::Disabled, &settings),
                target(4, EndpointState::Removed, &settings),
                target(5, EndpointState::Enabled, &picky),
            ],
        )
        .collect();
        assert_eq!(planned, [EndpointKey(1), EndpointKey(2)]);
    }
}

//! Sending events again that came before this listener did: `--since` and `--after`.

use becket_develop::listen::routing::matches;
use http::Method;
use serde_json::{Value, json};

use super::link::Link;
use crate::cli::online::client::PathBuilder;
use crate::cli::online::failure::Result;

/// The most events that are sent again at the start.
const EVENTS_MAX: usize = 1_000;
const PAGE: &str = "250";

/// From where on.
#[derive(Debug, Clone)]
pub(super) enum From {
    /// A moment, as the API takes it.
    Since(String),
    /// Behind an event.
    After(String),
}

/// What is to be sent again.
#[derive(Debug, Clone)]
pub(super) struct CatchUp {
    pub from: From,
    pub event_types: Vec<String>,
}

impl CatchUp {
    /// Asks for a replay of each event to the listener's endpoint of its source, oldest first; what
    /// came of it, for people.
    pub async fn run(&self, link: &Link, listener: &Value) -> String {
        match self.all(link, listener).await {
            Ok((sent, false)) => format!("{sent} earlier events are sent"),
            Ok((sent, true)) => {
                format!("the newest {sent} earlier events are sent; there are more")
            }
            Err(failure) => format!("earlier events could not be sent: {}", failure.message()),
        }
    }

    async fn all(&self, link: &Link, listener: &Value) -> Result<(usize, bool)> {
        let endpoints = listener["endpoints"].as_array().map_or(&[][..], Vec::as_slice);
        let mut found: Vec<(String, String)> = Vec::new();
        let mut more = false;
        for endpoint in endpoints {
            let text = |name: &str| endpoint[name].as_str().unwrap_or_default();
            let (events, cut) = self.events(link, text("source")).await?;
            more |= cut;
            found.extend(events.into_iter().map(|event| (event, text("id").to_owned())));
        }
        // Ids sort by time.
        found.sort_unstable();
        if let Some(over) = found.len().checked_sub(EVENTS_MAX).filter(|over| *over > 0) {
            found.drain(..over);
            more = true;
        }
        for (event, endpoint) in &found {
            let path = PathBuilder::new("/api/v1/becket/event").part(event).part("replay");
            let body = json!({ "endpoint": endpoint });
            link.call(Method::POST, path.text(), Some(&body)).await?;
        }
        Ok((found.len(), more))
    }

    /// The events of a source, and whether there are more than are looked at.
    async fn events(&self, link: &Link, source: &str) -> Result<(Vec<String>, bool)> {
        let mut found = Vec::new();
        let mut iterator: Option<String> = None;
        loop {
            let exact = self.event_types.iter().filter(|name| !name.contains('*'));
            let types = exact.cloned().collect::<Vec<_>>().join(",");
            let all_exact = self.event_types.iter().all(|name| !name.contains('*'));
            let (since, after) = match &self.from {
                From::Since(since) => (Some(since.as_str()), None),
                From::After(event) => (None, Some(iterator.as_deref().unwrap_or(event))),
            };
            let back = iterator.as_deref().filter(|_| since.is_some());
            let path = PathBuilder::new("/api/v1/becket/event")
                .query("source", Some(source))
                .query("since", since)
                .query("after", after)
                .query("iterator", back)
                .query("limit", Some(PAGE))
                .query("event_type", Some(types.as_str()).filter(|t| all_exact && !t.is_empty()));
            let page = link.call(Method::GET, path.text(), None).await?;
            for event in page["data"].as_array().into_iter().flatten() {
                let event_type = event["eventType"].as_str();
                let wanted = self.event_types.is_empty()
                    || self
                        .event_types
                        .iter()
                        .any(|one| matches(one, event_type.unwrap_or_default()));
                if let (true, Some(id)) =
                    (wanted && event["disposition"] == "accepted", event["id"].as_str())
                {
                    found.push(id.to_owned());
                }
            }
            iterator = page["iterator"].as_str().map(str::to_owned);
            if page["done"] == true || iterator.is_none() {
                return Ok((found, false));
            }
            if found.len() >= EVENTS_MAX {
                return Ok((found, true));
            }
        }
    }
}

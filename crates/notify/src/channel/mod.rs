//! What each service takes: how texts are escaped, how long they may be, and how they are wrapped.
//!
//! Invariant: what stands in an event is shown as it is. What the operator's template says keeps the
//! service's own markup, where it has one.

mod discord;
mod slack;
mod teams;
mod text;

use std::time::Duration;

use crate::message::Message;

/// A chat service that takes webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Slack,
    Discord,
    Teams,
    /// Whoever takes `{"text": "..."}`.
    Text,
}

impl Channel {
    /// As people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Slack => "Slack",
            Self::Discord => "Discord",
            Self::Teams => "Teams",
            Self::Text => "text",
        }
    }

    /// The shortest time between two messages. Slack: one a second. Discord: five in two seconds.
    /// Teams: four a second.
    pub(crate) const fn gap(self) -> Duration {
        Duration::from_millis(match self {
            Self::Slack => 1_000,
            Self::Discord => 400,
            Self::Teams => 250,
            Self::Text => 0,
        })
    }

    /// Writes a value of the event so that it is shown and not obeyed.
    pub(crate) fn escape(self, value: &str, text: &mut String) {
        match self {
            Self::Slack => slack::escape(value, text),
            Self::Discord => discord::escape(value, text),
            // Runs of text in a card have no markup.
            Self::Teams => text.push_str(value),
            Self::Text => text::escape(value, text),
        }
    }

    /// Whether titles are shown as they are, without markup, so that values in them are not escaped.
    pub(crate) const fn title_is_plain(self) -> bool {
        matches!(self, Self::Slack | Self::Teams)
    }

    /// The body of the request, JSON.
    pub(crate) fn body(self, message: &Message) -> Vec<u8> {
        let body = match self {
            Self::Slack => slack::body(message),
            Self::Discord => discord::body(message),
            Self::Teams => teams::body(message),
            Self::Text => text::body(message),
        };
        body.to_string().into_bytes()
    }
}

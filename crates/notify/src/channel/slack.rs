//! Slack's incoming webhooks: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.
//!
//! Three characters are escaped as documented
//! (<https://docs.slack.dev/messaging/formatting-message-text>), which also takes the meaning from
//! mentions and links. For `*`, `_`, `~` and `` ` `` there is no documented escape: a zero-width space between one
//! of them and the word that it would mark makes it an ordinary character, and inside words they are
//! ordinary anyway. Lengths are those of Block Kit: 150 characters in a header, 3 000 in a section.

use serde_json::{Value, json};

use crate::cut::{cut, one_line};
use crate::message::Message;

const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 3_000;
const FALLBACK_MAX: usize = 300;

const ZERO_WIDTH_SPACE: char = '\u{200b}';

pub(super) fn escape(value: &str, text: &mut String) {
    let mut before: Option<char> = None;
    let mut rest = value.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '*' | '_' | '~' | '`' => {
                let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                let (opens, closes) = (!inside(before), !inside(rest.peek().copied()));
                if closes {
                    text.push(ZERO_WIDTH_SPACE);
                }
                text.push(character);
                if opens {
                    text.push(ZERO_WIDTH_SPACE);
                }
            }
            other => text.push(other),
        }
        before = Some(character);
    }
}

pub(super) fn body(message: &Message) -> Value {
    let mut fallback = String::new();
    escape(&message.title, &mut fallback);
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": cut(&one_line(&message.title), HEADER_MAX), "emoji": false },
    })];
    if !message.text.is_empty() {
        blocks.push(json!({
            "type": "section",
            "text": { "type": "mrkdwn", "text": cut(&message.text, SECTION_MAX), "verbatim": true },
        }));
    }
    if let Some(link) = &message.link {
        blocks.push(json!({
            "type": "context",
            "elements": [{ "type": "mrkdwn", "text": cut(link, SECTION_MAX), "verbatim": false }],
        }));
    }
    // Shown in notifications, where blocks are not.
    json!({ "text": cut(&fallback, FALLBACK_MAX), "blocks": blocks })
}

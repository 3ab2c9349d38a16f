//! Whoever takes `{"text": "..."}`: Mattermost, Rocket.Chat, Google Chat and many others.
//!
//! Nothing is known of their markup, so none is escaped. What calls people together in one of them
//! (`@all`, `@channel`, `<!here>`, `<users/all>`) is broken with a zero-width space. 4 000 characters are taken
//! by all that were looked at.

use serde_json::{Value, json};

use crate::cut::{cut, one_line};
use crate::message::Message;

const TEXT_MAX: usize = 4_000;
const TITLE_MAX: usize = 300;
const CALLS: [&str; 4] = ["all", "channel", "here", "everyone"];

pub(super) fn escape(value: &str, text: &mut String) {
    let mut rest = value;
    while let Some(at) = rest.find(['@', '<']) {
        let (before, after) = rest.split_at(at + 1);
        text.push_str(before);
        let called = after.get(..after.len().min(12)).unwrap_or(after).to_ascii_lowercase();
        let calls = CALLS.iter().any(|word| called.starts_with(word));
        if (before.ends_with('@') && calls)
            || (before.ends_with('<') && called.starts_with(['!', '@', 'u', '#']))
        {
            text.push('\u{200b}');
        }
        rest = after;
    }
    text.push_str(rest);
}

pub(super) fn body(message: &Message) -> Value {
    let mut text = cut(&one_line(&message.title), TITLE_MAX);
    let link = message.link.as_deref().map(|link| cut(link, 1_000)).unwrap_or_default();
    if !message.text.is_empty() {
        text.push('\n');
        text.push_str(&message.text);
    }
    if link.is_empty() {
        return json!({ "text": cut(&text, TEXT_MAX) });
    }
    let text = cut(&text, TEXT_MAX - crate::cut::utf16_len(&link) - 1);
    json!({ "text": format!("{text}\n{link}") })
}

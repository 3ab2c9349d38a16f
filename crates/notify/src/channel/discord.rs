//! Discord's webhooks: <https://docs.discord.com/developers/resources/webhook#execute-webhook>.
//!
//! Markup is escaped with backslashes; mentions are switched off for the whole message, so that not
//! even a template can call everyone by accident. Lengths are those of embeds: 256 characters in a
//! title, 4 096 in a description, 2 048 in a footer, 6 000 in all.

use serde_json::{Value, json};

use crate::cut::{cut, one_line};
use crate::message::Message;

const TITLE_MAX: usize = 256;
const DESCRIPTION_MAX: usize = 4_096;
const LINK_MAX: usize = 1_024;

pub(super) fn escape(value: &str, text: &mut String) {
    for (number, word) in value.split(' ').enumerate() {
        if number > 0 {
            text.push(' ');
        }
        // A backslash would become part of a link, and an address has no markup.
        let is_link = (word.starts_with("https://") || word.starts_with("http://"))
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:/?#@!$&'+,;=%".contains(c))
            && !word.contains("~~")
            && !word.contains("__");
        if is_link {
            text.push_str(word);
            continue;
        }
        for character in word.chars() {
            if is_markup(character) {
                text.push('\\');
            }
            text.push(character);
        }
    }
}

fn is_markup(character: char) -> bool {
    matches!(
        character,
        '\\' | '*'
            | '_'
            | '~'
            | '`'
            | '|'
            | '>'
            | '<'
            | '#'
            | '-'
            | '+'
            | '['
            | ']'
            | '('
            | ')'
            | ':'
            | '@'
    )
}

pub(super) fn body(message: &Message) -> Value {
    let mut text = cut(&message.text, DESCRIPTION_MAX);
    if let Some(link) = &message.link {
        let link = cut(link, LINK_MAX);
        text = cut(&message.text, DESCRIPTION_MAX - link.len() - 2);
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(&link);
    }
    let mut embed = json!({ "title": cut(&one_line(&message.title), TITLE_MAX) });
    if !text.is_empty() {
        embed["description"] = json!(text);
    }
    json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } })
}

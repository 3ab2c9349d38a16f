//! Microsoft Teams: a card for a workflow that posts what a webhook brings, see
//! <https://support.microsoft.com/office/create-incoming-webhooks-with-workflows-for-microsoft-teams>
//! and <https://adaptivecards.io/explorer/RichTextBlock.html>. The connectors of before are gone.
//!
//! Texts are runs of text, which have no markup: whatever a text says is shown as it is. A message
//! may have 28 KB (<https://learn.microsoft.com/microsoftteams/limits-specifications-teams>); a line
//! is a block of its own, and the last ones go if there are too many.

use serde_json::{Value, json};

use crate::cut::{cut, one_line};
use crate::message::Message;

const TITLE_MAX: usize = 250;
const LINE_MAX: usize = 1_500;
const LINES_MAX: usize = 60;
const BODY_BYTES_MAX: usize = 24 * 1_024;

pub(super) fn body(message: &Message) -> Value {
    let mut lines: Vec<String> = message
        .text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| cut(line.trim_end(), LINE_MAX))
        .collect();
    let mut left_out = lines.len() > LINES_MAX;
    lines.truncate(LINES_MAX);
    loop {
        let body = card(message, &lines, left_out);
        if body.to_string().len() <= BODY_BYTES_MAX || lines.is_empty() {
            return body;
        }
        lines.pop();
        left_out = true;
    }
}

fn card(message: &Message, lines: &[String], left_out: bool) -> Value {
    let run = |text: &str| json!({ "type": "TextRun", "text": text });
    let block = |run: Value| json!({ "type": "RichTextBlock", "inlines": [run] });
    let mut title = run(&cut(&one_line(&message.title), TITLE_MAX));
    title["weight"] = json!("Bolder");
    title["size"] = json!("Medium");
    let mut blocks = vec![block(title)];
    blocks.extend(lines.iter().map(|line| block(run(line))));
    if left_out {
        blocks.push(block(run("…")));
    }
    if let Some(link) = &message.link {
        let mut small = run(&cut(link, LINE_MAX));
        small["isSubtle"] = json!(true);
        small["size"] = json!("Small");
        blocks.push(block(small));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": blocks,
            },
        }],
    })
}

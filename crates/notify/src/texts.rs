//! What is said of an event when nobody has written a template, and of many events at once.
//!
//! Who sent an event is told by the header that only this sender has; what to say of it by its type.
//! A sender that is not known, or an event that is not in the table, is told by type and source.

use std::sync::LazyLock;

use becket_egress::action::template::rfc3339;
use becket_egress::action::{ActionRequest, Fields, Template};

use crate::digest::Summary;
use crate::message::{Message, Told};

/// A sender: the header that tells, and what is said of its events by the beginning of their type.
type Sender = (&'static str, &'static [(&'static str, &'static str)]);

/// The first line whose beginning fits is used.
const SENDERS: &[Sender] = &[
    (
        "x-github-event",
        &[
            (
                "push",
                "{{body.sender.login or body.pusher.name}} pushed to {{body.ref}} of {{body.repository.full_name}}\n{{body.head_commit.message}}\n{{body.compare}}",
            ),
            (
                "pull_request_review",
                "{{body.sender.login}} reviewed pull request #{{body.pull_request.number}} of {{body.repository.full_name}}: {{body.review.state}}\n{{body.pull_request.title}}\n{{body.review.html_url}}",
            ),
            (
                "pull_request",
                "{{body.sender.login}} {{body.action}} pull request #{{body.number}} of {{body.repository.full_name}}\n{{body.pull_request.title}}\n{{body.pull_request.html_url}}",
            ),
            (
                "issue_comment",
                "{{body.sender.login}} commented on #{{body.issue.number}} of {{body.repository.full_name}}\n{{body.issue.title}}\n{{body.comment.html_url}}",
            ),
            (
                "issues",
                "{{body.sender.login}} {{body.action}} issue #{{body.issue.number}} of {{body.repository.full_name}}\n{{body.issue.title}}\n{{body.issue.html_url}}",
            ),
            (
                "release",
                "{{body.sender.login}} {{body.action}} release {{body.release.tag_name}} of {{body.repository.full_name}}\n{{body.release.html_url}}",
            ),
            (
                "workflow_run",
                "Workflow {{body.workflow_run.name}} of {{body.repository.full_name}} {{body.action}}: {{body.workflow_run.conclusion or body.workflow_run.status}}\n{{body.workflow_run.html_url}}",
            ),
            (
                "deployment_status",
                "Deployment of {{body.repository.full_name}} to {{body.deployment.environment}}: {{body.deployment_status.state}}",
            ),
            ("ping", "GitHub says hello: {{body.zen}}"),
            (
                "",
                "{{body.sender.login}} {{body.action}} in {{body.repository.full_name or body.organization.login}}",
            ),
        ],
    ),
    (
        "x-gitlab-event",
        &[
            (
                "push",
                "{{body.user_name}} pushed to {{body.ref}} of {{body.project.path_with_namespace}}",
            ),
            (
                "Push",
                "{{body.user_name}} pushed to {{body.ref}} of {{body.project.path_with_namespace}}",
            ),
            (
                "",
                "{{body.user.name or body.user_name}} {{body.object_attributes.action}} {{body.object_kind}} {{body.object_attributes.title}} in {{body.project.path_with_namespace}}\n{{body.object_attributes.url}}",
            ),
        ],
    ),
    (
        "stripe-signature",
        &[(
            "",
            "{{body.data.object.object}} {{body.data.object.id}} {{body.data.object.description}}",
        )],
    ),
    (
        "x-shopify-topic",
        &[
            ("orders/", "Order {{body.name}}: {{body.total_price}} {{body.currency}}"),
            ("", "{{body.title or body.name or body.id}}"),
        ],
    ),
    (
        "linear-event",
        &[(
            "",
            "{{body.actor.name}} {{body.action}} {{body.type}} {{body.data.identifier}} {{body.data.title}}\n{{body.url}}",
        )],
    ),
    (
        "x-twilio-signature",
        &[(
            "",
            "{{body.From}} to {{body.To}}: {{body.Body or body.CallStatus or body.MessageStatus}}",
        )],
    ),
    (
        "sentry-hook-resource",
        &[(
            "",
            "{{body.data.issue.title or body.data.event.title}}\n{{body.data.issue.web_url or body.data.event.web_url}}",
        )],
    ),
    ("x-pagerduty-signature", &[("", "{{body.event.data.title}}\n{{body.event.data.html_url}}")]),
];

/// What is said of a sender's events by the beginning of their type, parsed.
type Lines = Vec<(&'static str, Template)>;

static KNOWN: LazyLock<Vec<(&str, Lines)>> = LazyLock::new(|| {
    let read = |text: &str| Template::parse(text).ok();
    let lines = |lines: &[(&'static str, &'static str)]| {
        lines.iter().filter_map(|(kind, text)| Some((*kind, read(text)?))).collect()
    };
    SENDERS.iter().map(|(header, known)| (*header, lines(known))).collect()
});

static TITLE: LazyLock<Option<Template>> = LazyLock::new(|| {
    Template::parse("{{event.type or 'event'}} from {{event.source or 'the API'}}").ok()
});

/// The source of the gateway's own alerts, whose events bring their words along.
const ALERTS: &str = "becket-alerts";

static ALERT: LazyLock<Option<(Template, Template)>> = LazyLock::new(|| {
    let title = Template::parse("{{body.data.title or event.type}}").ok()?;
    Some((title, Template::parse("{{body.data.text}}").ok()?))
});

fn alert(request: &ActionRequest) -> Option<&'static (Template, Template)> {
    ALERT.as_ref().filter(|_| request.source == ALERTS)
}

/// What is said when nobody has written a title.
pub(crate) fn title(request: &ActionRequest) -> Option<&'static Template> {
    alert(request).map(|(title, _)| title).or(TITLE.as_ref())
}

/// What is said of an event when nobody has written a text; `None` if nothing is known of it.
pub(crate) fn text(request: &ActionRequest) -> Option<&'static Template> {
    if let Some((_, text)) = alert(request) {
        return Some(text);
    }
    let (_, lines) = KNOWN.iter().find(|(header, _)| request.headers.contains_key(*header))?;
    let event_type = request.event_type.as_deref().unwrap_or_default();
    lines.iter().find(|(kind, _)| event_type.starts_with(kind)).map(|(_, text)| text)
}

/// Renders, writing values with `escape`; lines that say nothing are left out.
pub(crate) fn render(
    template: &Template,
    fields: &Fields<'_>,
    escape: impl Fn(&str, &mut String),
) -> String {
    let text = template.render_with(fields, |value, text| {
        escape(&crate::cut::cut(&crate::cut::lines_only(value), VALUE_MAX), text);
    });
    text.trim().to_owned()
}

/// The most of one value that is shown, in characters.
const VALUE_MAX: usize = 2_000;

/// A message about everything that was collected. `name` is the endpoint's source.
pub(crate) fn of_many(
    summary: &Summary,
    source: &str,
    escape: impl Fn(&str, &mut String),
) -> Message {
    let escaped = |value: &str| {
        let mut text = String::new();
        escape(value, &mut text);
        text
    };
    let source = if source.is_empty() { "the API" } else { source };
    let (since_ms, until_ms) = summary.span_ms;
    let span = span_words(until_ms - since_ms);
    let title = format!("{} events from {source} in {span}", number_words(summary.total));
    let mut text = String::new();
    for (event_type, number) in &summary.types {
        let name = if event_type.is_empty() { "without a type" } else { event_type };
        text.push_str(&format!("{} × {}\n", number_words(*number), escaped(name)));
    }
    if summary.others > 0 {
        text.push_str(&format!("{} × other types\n", number_words(summary.others)));
    }
    if !summary.plain {
        let first = summary.first.iter().map(|told: &Told| &told.line);
        let lines: Vec<&String> = first.chain(&summary.lines).filter(|l| !l.is_empty()).collect();
        if !lines.is_empty() {
            text.push('\n');
        }
        for line in &lines {
            text.push_str(&format!("• {line}\n"));
        }
        let more = summary.total.saturating_sub(lines.len() as u64);
        if more > 0 && !lines.is_empty() {
            text.push_str(&format!("• … and {} more\n", number_words(more)));
        }
    }
    let link = Some(escaped(&format!(
        "from {} to {}; becket events list shows each",
        rfc3339(since_ms),
        rfc3339(until_ms)
    )));
    Message { title, text: text.trim_end().to_owned(), link }
}

/// A number with its thousands apart.
fn number_words(number: u64) -> String {
    let digits = number.to_string();
    let mut words = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            words.push(',');
        }
        words.push(digit);
    }
    words
}

fn span_words(span_ms: i64) -> String {
    let seconds = (span_ms.max(0) + 999) / 1_000;
    match seconds {
        0 | 1 => "a second".to_owned(),
        2..=119 => format!("{seconds} seconds"),
        120..=7_199 => format!("{} minutes", seconds / 60),
        _ => format!("{} hours", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_text_can_be_read() {
        let known: usize = KNOWN.iter().map(|(_, lines)| lines.len()).sum();
        let written: usize = SENDERS.iter().map(|(_, lines)| lines.len()).sum();
        assert_eq!(known, written);
        assert!(TITLE.is_some() && ALERT.is_some());
    }

    #[test]
    fn numbers_and_spans_are_words() {
        let numbers = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, expected) in numbers {
            assert_eq!(number_words(number), expected);
        }
        let spans = [
            (-5, "a second"),
            (900, "a second"),
            (59_100, "60 seconds"),
            (150_000, "2 minutes"),
            (7_300_000, "2 hours"),
        ];
        for (span_ms, expected) in spans {
            assert_eq!(span_words(span_ms), expected);
        }
    }
}

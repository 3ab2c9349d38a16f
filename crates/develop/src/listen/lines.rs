//! Deliveries as lines: for people without a screen of their own, and as JSON for programs.

use serde_json::{Value, json};

use super::state::{Entry, Mark, Reply};
use super::text;

/// The columns of the lines for people.
const SOURCE_COLUMNS: usize = 12;
const TYPE_COLUMNS: usize = 34;
/// How much of the answer of a handler that refused is shown, in columns.
const SAID_COLUMNS: usize = 160;

/// How colours are put round a text; the plain one adds nothing.
pub trait Painter {
    /// Good news.
    fn good(&self, text: &str) -> String;
    /// Bad news.
    fn bad(&self, text: &str) -> String;
    /// What is less important.
    fn dim(&self, text: &str) -> String;
}

/// What came of a delivery, as one line, and a second one with what a handler said that refused.
#[must_use]
pub fn human(entry: &Entry, zone: &jiff::tz::TimeZone, paint: &impl Painter) -> String {
    let parcel = &entry.parcel;
    let event_type = text::harmless(parcel.event_type.as_deref().unwrap_or("-"), false);
    let mut line = format!(
        "{}  {}  {}  ",
        paint.dim(&text::clock(entry.came_at_ms, zone)),
        text::padded(&text::harmless(&parcel.source, false), SOURCE_COLUMNS),
        text::padded(&event_type, TYPE_COLUMNS),
    );
    let Some(reply) = &entry.reply else { return line.trim_end().to_owned() };
    let status = status_word(reply);
    let status = text::padded(&status, 4);
    line.push_str(&if reply.is_success() { paint.good(&status) } else { paint.bad(&status) });
    line.push_str(&format!(" {:>8}", text::took(reply.took_us)));
    if let Some(mark) = mark_words(entry) {
        line.push_str(&format!("  {}", paint.dim(&mark)));
    }
    if !reply.is_success() {
        let said = said(reply);
        if !said.is_empty() {
            line.push_str(&format!("\n          {}", paint.bad(&text::cut(&said, SAID_COLUMNS))));
        }
    }
    line
}

/// `200`, or `ERR` if there was no whole response.
#[must_use]
pub fn status_word(reply: &Reply) -> String {
    match (reply.error, reply.status) {
        (Some(_), _) | (None, None) => "ERR".to_owned(),
        (None, Some(status)) => status.to_string(),
    }
}

/// Why a handler refused: the error in words, or the first line of its answer.
#[must_use]
pub fn said(reply: &Reply) -> String {
    if reply.error.is_some() {
        return text::harmless(&reply.words, false);
    }
    let body = String::from_utf8_lossy(&reply.body);
    let first = body.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    text::harmless(first.trim(), false)
}

/// How a delivery differs from a first one in time; `None` if it does not.
#[must_use]
pub fn mark_words(entry: &Entry) -> Option<String> {
    let parcel = &entry.parcel;
    match entry.mark {
        Mark::New => None,
        Mark::Late => {
            let late = text::span(entry.came_at_ms - parcel.received_at_ms);
            Some(format!("late by {late}"))
        }
        Mark::Repeat if parcel.attempt > 1 => Some(format!("repeat, attempt {}", parcel.attempt)),
        Mark::Repeat => Some("repeat".to_owned()),
    }
}

/// What came of a delivery, as one JSON object.
#[must_use]
pub fn json(entry: &Entry) -> Value {
    let parcel = &entry.parcel;
    let reply = entry.reply.as_ref();
    json!({
        "kind": "delivery",
        "at": time(entry.came_at_ms),
        "eventId": parcel.event_id,
        "eventType": parcel.event_type,
        "source": parcel.source,
        "receivedAt": time(parcel.received_at_ms),
        "attempt": parcel.attempt,
        "late": parcel.late,
        "repeat": entry.mark == Mark::Repeat,
        "bodyBytes": parcel.body_bytes,
        "to": entry.target,
        "status": reply.and_then(|reply| reply.status),
        "error": reply.and_then(|reply| reply.error),
        "message": reply.map(|reply| reply.words.as_str()).filter(|words| !words.is_empty()),
        "durationMs": reply.map(|reply| reply.took_us as f64 / 1_000.0),
    })
}

/// A moment as RFC 3339.
#[must_use]
pub fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|moment| format!("{moment:.3}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::state::tests::parcel;
    use super::super::wire::Parcel;
    use super::*;

    struct Plain;

    impl Painter for Plain {
        fn good(&self, text: &str) -> String {
            text.to_owned()
        }
        fn bad(&self, text: &str) -> String {
            text.to_owned()
        }
        fn dim(&self, text: &str) -> String {
            text.to_owned()
        }
    }

    fn entry(mark: Mark, reply: Option<Reply>) -> Entry {
        Entry {
            number: 1,
            mark,
            came_at_ms: 61_000,
            parcel: Parcel { attempt: 2, ..parcel("msg_1", "push\u{1b}[2J") },
            body: Some(Bytes::new()),
            target: "http://localhost:3000/w".to_owned(),
            reply,
        }
    }

    #[test]
    fn a_line_says_what_came_of_it() {
        let line = |entry: &Entry| human(entry, &jiff::tz::TimeZone::UTC, &Plain);
        let fine = Reply { status: Some(200), took_us: 4_200, ..Reply::default() };
        assert_eq!(
            line(&entry(Mark::New, Some(fine))),
            "00:01:01  github        push␛[2J                            200    4.2 ms"
        );
        let body = Bytes::from_static(b"\n oh no\x07\nmore");
        let refused = Reply { status: Some(500), body, took_us: 1_500_000, ..Reply::default() };
        let shown = line(&entry(Mark::Late, Some(refused)));
        assert!(shown.contains("500     1.5 s  late by 1 min\n          oh no␇"), "{shown}");
        let down = Reply {
            error: Some("connect_refused"),
            words: "nothing listens".to_owned(),
            ..Reply::default()
        };
        let shown = line(&entry(Mark::Repeat, Some(down)));
        assert!(shown.contains("ERR") && shown.contains("repeat, attempt 2"), "{shown}");
        assert!(shown.ends_with("\n          nothing listens"), "{shown}");
        assert!(!line(&entry(Mark::New, None)).ends_with(' '));
    }

    #[test]
    fn json_tells_programs_the_same() {
        let fine = Reply { status: Some(204), took_us: 1_500, ..Reply::default() };
        let told = json(&entry(Mark::Repeat, Some(fine)));
        assert_eq!(told["status"], 204);
        assert_eq!(told["durationMs"], 1.5);
        assert_eq!((&told["repeat"], &told["late"]), (&json!(true), &json!(false)));
        assert_eq!(told["receivedAt"], "1970-01-01T00:00:01.000Z");
    }
}

//! Recordings: received events as small files that can be read in a pull request and sent again.
//!
//! Role: [`record`] takes out of a request what proves it and what does not belong in a repository;
//! [`Recording`] is what is left, written as TOML and read again without losing a byte of the body.
//!
//! Invariants: what is written gives back the same bytes when it is read; recording the same event
//! twice under the same key gives the same file; no credential and no signature is ever written.
//!
//! Deliberately absent: asking a gateway and touching files, which the command does; signing and
//! sending, which [`crate::test`] does.
//!
//! Where next: `redact` for what is hidden, `file` for the format.

mod edit;
mod file;
mod headers;
pub(crate) mod json;
mod names;
mod pseudonym;
mod redact;
mod texts;

pub use edit::with_expectation;
pub use file::{Body, Expect, Recording, StatusRule};
pub use json::Layout;
pub use names::FieldPath;
pub use pseudonym::{Class, Pseudonyms};
pub use redact::{Change, Rules};

use becket_signature::Entry;

/// A file that is no recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is not TOML, or not of this form.
    #[error("it is no recording: {message}")]
    Format {
        /// What is wrong, with line and column.
        message: String,
    },
    /// Its body cannot be made into bytes.
    #[error("its body cannot be used: {message}")]
    Body {
        /// What is wrong with it.
        message: String,
    },
}

impl RecordError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Format { .. } => "recording_format",
            Self::Body { .. } => "recording_body",
        }
    }
}

/// An event as a gateway kept it.
#[derive(Clone)]
pub struct Received {
    /// `msg_...`
    pub id: String,
    /// The slug of the provider.
    pub provider: String,
    /// The name of the source.
    pub source: String,
    /// What kind of event it is.
    pub event_type: Option<String>,
    /// When it came, RFC 3339.
    pub received_at: String,
    /// The method, in capital letters.
    pub method: String,
    /// Path and query as they came.
    pub path: String,
    /// The sender's headers in their order.
    pub headers: Vec<(String, String)>,
    /// The exact body.
    pub body: Vec<u8>,
    /// What a handler answered that took it, if one did.
    pub answered: Option<u16>,
}

/// Makes a recording of an event. `entry` says what signing makes afresh and how long the provider
/// waits for an answer; `max_ms` is the bound where it does not say.
#[must_use]
pub fn record(
    received: &Received,
    entry: Option<&Entry>,
    rules: &Rules,
    max_ms: u64,
) -> (Recording, Vec<Change>) {
    let content_type = received
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map_or("", |(_, value)| value.as_str());
    let (body, mut changes) = redact::body(&received.body, content_type, rules);
    let (mut headers, in_headers) = headers::kept(&received.headers, entry, rules);
    headers.sort_by(|(one, _), (other, _)| one.cmp(other));
    let (path, in_path) = redact::path(behind_token(&received.path), rules);
    changes.extend(in_headers);
    changes.extend(in_path);
    let form = redact::is_form(content_type);
    let recording = Recording {
        provider: received.provider.clone(),
        source: received.source.clone(),
        event_type: received.event_type.clone(),
        method: received.method.clone(),
        path,
        redacted: told(&changes),
        headers,
        expect: Expect {
            status: StatusRule::Exactly(received.answered.unwrap_or(200)),
            max_ms: Some(entry.and_then(|entry| entry.timeout_ms).unwrap_or(max_ms)),
            ..Expect::default()
        },
        body: Body::of(body, form),
    };
    (recording, changes)
}

/// What follows the source's name or token in a receiving path: the token is a secret.
fn behind_token(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/in/") else { return "" };
    rest.find(['/', '?']).map_or("", |at| &rest[at..])
}

/// Each place once, with its kind, in the order of the request.
fn told(changes: &[Change]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for change in changes {
        let line = format!("{} ({})", change.place, change.class.words());
        if !told.contains(&line) {
            told.push(line);
        }
    }
    told
}

/// Where a recording belongs under the folder of all: `github/push-3fA9xK2b.toml`. The end of the id
/// is random and stays the same, so recording an event again meets the same file.
#[must_use]
pub fn file_name(received: &Received) -> String {
    let plain = |text: &str| -> String {
        let name: String = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
            .take(80)
            .collect();
        let name = name.trim_start_matches('.').to_owned();
        if name.is_empty() { "event".to_owned() } else { name }
    };
    let id: Vec<char> = received.id.chars().collect();
    let short: String = id[id.len().saturating_sub(8)..].iter().collect();
    let kind = received.event_type.as_deref().unwrap_or("event");
    format!("{}/{}-{}.toml", plain(&received.source), plain(kind), plain(&short))
}

#[cfg(test)]
mod tests {
    use becket_signature::Catalogue;

    use super::*;

    fn received(body: &[u8], content_type: &str) -> Received {
        let headers = [
            ("Host", "hooks.example.com"),
            ("Content-Type", content_type),
            ("X-GitHub-Event", "push"),
            ("X-GitHub-Delivery", "d-1"),
            ("X-Hub-Signature-256", "sha256=00"),
            ("X-Forwarded-For", "192.0.2.1"),
            ("Authorization", "[redacted]"),
            ("X-Team", "ada@lovelace.org"),
        ];
        Received {
            id: "msg_2abcdefghijklmnopqrs3fA9xK2b".to_owned(),
            provider: "github".to_owned(),
            source: "github".to_owned(),
            event_type: Some("push".to_owned()),
            received_at: "2026-01-31T12:00:00Z".to_owned(),
            method: "POST".to_owned(),
            path: "/in/secret-token/x?token=abc&a=1".to_owned(),
            headers: headers.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
            body: body.to_vec(),
            answered: Some(204),
        }
    }

    fn rules() -> Rules {
        Rules {
            pseudonyms: Pseudonyms::new(&[5; 32]),
            redact: Vec::new(),
            keep: Vec::new(),
            headers: Vec::new(),
        }
    }

    #[test]
    fn a_recording_has_nothing_that_proves_and_reads_back() {
        let body = br#"{"ref":"refs/heads/main","pusher":{"email":"ada@lovelace.org"},"id":1.0}"#;
        let entry = Catalogue::builtin().get("github").unwrap();
        let received = received(body, "application/json");
        let (recording, changes) = record(&received, Some(&entry), &rules(), 15_000);
        let text = recording.to_toml(&received.id, &received.received_at);
        for secret in ["sha256=", "d-1", "192.0.2.1", "secret-token", "ada@", "abc&"] {
            assert!(!text.contains(secret), "{secret} in\n{text}");
        }
        assert_eq!(changes.len(), 3, "{text}");
        let read = Recording::parse(&text).unwrap();
        assert_eq!(read, recording);
        assert_eq!(read.expect.status, StatusRule::Exactly(204));
        assert_eq!(read.expect.max_ms, Some(10_000));
        assert!(read.path.starts_with("/x?token=redacted-"), "{}", read.path);
        let sent = String::from_utf8(read.body.bytes().unwrap()).unwrap();
        assert!(sent.starts_with(r#"{"ref":"refs/heads/main","pusher":{"email":"user-"#), "{sent}");
        assert!(sent.ends_with(r#""},"id":1.0}"#), "{sent}");
        assert_eq!(file_name(&received), "github/push-3fA9xK2b.toml");
    }

    #[test]
    fn every_body_reads_back() {
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        let bodies: [(&[u8], &str); 12] = [
            (b"", ""),
            (b"{\"a\": 1}\n", "application/json"),
            (b"{ \"a\" :1}", "application/json"),
            (b"{\"a\":\"'''\"}", "application/json"),
            (b"a=1&b=2&&c", "application/x-www-form-urlencoded"),
            (b"a=1\nb=2", "application/x-www-form-urlencoded"),
            (b"<a>\r\n</a>\r\n", "text/xml"),
            ("tab\tend'''\u{7}é".as_bytes(), "text/plain"),
            (b"\xff\x00\xfe", "application/octet-stream"),
            (b"\nbegins with a line end", "text/plain"),
            (b"'", "text/plain"),
            (deep.as_bytes(), "application/json"),
        ];
        for (body, kind) in bodies {
            let received = received(body, kind);
            let (recording, _) = record(&received, None, &rules(), 15_000);
            let text = recording.to_toml(&received.id, &received.received_at);
            let read = Recording::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(read.body.bytes().unwrap(), body, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_read_back(body: Vec<u8>, form: bool) {
            let kind = if form { "application/x-www-form-urlencoded" } else { "text/plain" };
            let recording = Recording { body: Body::of(body.clone(), form), ..Recording::default() };
            let text = recording.to_toml("msg_x", kind);
            let read = Recording::parse(&text).unwrap();
            proptest::prop_assert_eq!(read.body.bytes().unwrap(), body);
        }

        #[test]
        fn any_text_reads_back(body: String, path: String, value in "[ -~]*") {
            let recording = Recording {
                body: Body::of(body.clone().into_bytes(), false),
                path,
                headers: vec![("x-a".to_owned(), value)],
                ..Recording::default()
            };
            let text = recording.to_toml("msg_x", "");
            let read = Recording::parse(&text).unwrap();
            proptest::prop_assert_eq!(&read, &recording);
            proptest::prop_assert_eq!(read.body.bytes().unwrap(), body.into_bytes());
        }
    }
}

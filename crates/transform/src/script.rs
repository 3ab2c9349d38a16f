//! One endpoint's transformation: what its code is given, and what is made of its answer.
//!
//! Invariants: whatever comes back from the sandbox is checked here as if a stranger had sent it;
//! headers that the code left alone are sent exactly as they came; the gateway's own headers can be
//! neither set nor removed.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use becket_egress::AttemptError;
use becket_egress::action::{Transform, TransformFailure, TransformInput, Transformed};
use becket_egress::headers::{HOP, validate_custom};
use bytes::Bytes;
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::limits::{CODE_BYTES_MAX, LOG_BYTES_MAX, MESSAGE_BYTES_MAX, cut};
use crate::pool::{NoAnswer, Pool, Program};
use crate::wire::{Changes, Outcome, Trouble};

/// The longest value of a header that code may set, in bytes.
const URL_BYTES_MAX: usize = 8 * 1024;

/// The transformation of one endpoint.
#[derive(Debug)]
pub struct Script {
    pool: Arc<Pool>,
    endpoint: u64,
    program: Arc<Program>,
}

impl Script {
    /// A transformation that runs in `pool`. Calls with the same `endpoint` run one after the other.
    pub fn new(pool: Arc<Pool>, endpoint: u64, program: Arc<Program>) -> Self {
        Self { pool, endpoint, program }
    }

    /// What it runs.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }
}

/// Looks whether code can be loaded and has a handler, by loading it in a sandbox.
///
/// # Errors
/// What is wrong with it, and in which line where that is known. `endpoint` is as for [`Script::new`].
pub async fn check(pool: &Pool, endpoint: u64, program: Arc<Program>) -> Result<(), Trouble> {
    check_size(&program)?;
    let unknown = |message| Trouble { timed_out: false, line: None, column: None, message };
    match pool.call(endpoint, program, None).await {
        Ok(answer) => match answer.outcome {
            Outcome::Failed(trouble) => Err(bounded(trouble)),
            _ => Ok(()),
        },
        Err(error @ (NoAnswer::TimedOut(_) | NoAnswer::Waited(_))) => {
            Err(Trouble { timed_out: true, ..unknown(error.to_string()) })
        }
        Err(error) => Err(unknown(error.to_string())),
    }
}

/// Refuses code that is too long to be worth loading.
///
/// # Errors
/// What is wrong with it.
pub fn check_size(program: &Program) -> Result<(), Trouble> {
    if program.code.len() <= CODE_BYTES_MAX {
        return Ok(());
    }
    let message = format!("the code is longer than {} KiB", CODE_BYTES_MAX / 1024);
    Err(Trouble { timed_out: false, line: None, column: None, message })
}

fn bounded(mut trouble: Trouble) -> Trouble {
    cut(&mut trouble.message, MESSAGE_BYTES_MAX);
    trouble
}

#[async_trait]
impl Transform for Script {
    async fn transform(&self, input: TransformInput) -> Result<Transformed, TransformFailure> {
        let failed = |error, note, log| TransformFailure { error, note, log };
        let asked = self.pool.call(self.endpoint, Arc::clone(&self.program), Some(input.clone()));
        let mut answer = asked.await.map_err(|no_answer| {
            let error = match no_answer {
                NoAnswer::TimedOut(_) | NoAnswer::Waited(_) => AttemptError::TransformTimeout,
                NoAnswer::TooMany | NoAnswer::Broken(_) | NoAnswer::Gone => {
                    AttemptError::TransformFailed
                }
            };
            failed(error, no_answer.to_string(), String::new())
        })?;
        cut(&mut answer.log, LOG_BYTES_MAX + '\u{2026}'.len_utf8());
        match answer.outcome {
            Outcome::Done(changes) => {
                let made = applied(input, changes, answer.body);
                match made {
                    Ok(made) => Ok(Transformed { log: answer.log, ..made }),
                    Err(note) => Err(failed(AttemptError::TransformFailed, note, answer.log)),
                }
            }
            Outcome::Cancelled => {
                let (headers, body) = (input.headers, input.body);
                let log = answer.log;
                Ok(Transformed { cancel: true, headers, body, log, ..Transformed::default() })
            }
            Outcome::Failed(trouble) => {
                let error = if trouble.timed_out {
                    AttemptError::TransformTimeout
                } else {
                    AttemptError::TransformFailed
                };
                Err(failed(error, bounded(trouble).to_string(), answer.log))
            }
            Outcome::Checked => {
                let note = "the sandbox gave an answer that cannot be understood".to_owned();
                Err(failed(AttemptError::TransformFailed, note, answer.log))
            }
        }
    }
}

/// The delivery with the changes, or why they cannot be made.
fn applied(input: TransformInput, changes: Changes, body: Bytes) -> Result<Transformed, String> {
    let method = changes.method.map(|text| match text.to_ascii_uppercase().as_str() {
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        _ => Err("webhook.method has to be POST, PUT or PATCH".to_owned()),
    });
    let url = changes.url.map(|url| {
        if url.len() > URL_BYTES_MAX {
            return Err(format!("webhook.url is longer than {URL_BYTES_MAX} bytes"));
        }
        Ok(url)
    });
    let mut headers = input.headers;
    for name in changes.headers_removed {
        // A name that no header can have was not there either.
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes())
            && name != HOP
        {
            headers.remove(name);
        }
    }
    for (name, value) in changes.headers_set {
        let (name, value) = set_header(&name, &value)?;
        headers.insert(name, value);
    }
    Ok(Transformed {
        method: method.transpose()?,
        url: url.transpose()?,
        headers,
        body: if changes.body_changed { body } else { input.body },
        ..Transformed::default()
    })
}

/// A header that the code set: each character of its value is one byte.
fn set_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let shown = || {
        let mut shown: String = name.chars().filter(|c| !c.is_control()).collect();
        cut(&mut shown, 60);
        shown
    };
    let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(c).ok()).collect();
    let Some(bytes) = bytes else {
        return Err(format!(
            "the header {}: a header value can have characters up to U+00FF only",
            shown()
        ));
    };
    let (name, _) = validate_custom(name, value)
        .map_err(|refused| format!("the header {}: {refused}", shown()))?;
    let value = HeaderValue::from_bytes(&bytes)
        .map_err(|_| format!("the header {}: its value cannot be sent", shown()))?;
    Ok((name, value))
}

/// Headers as the code sees them: each name once, values joined, each byte one character. How often the
/// event was forwarded is nobody's business but the gateways'.
pub(crate) fn shown_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut seen = HashSet::new();
    let mut shown = Vec::with_capacity(headers.keys_len());
    for name in headers.keys().filter(|name| **name != HOP) {
        if !seen.insert(name) {
            continue;
        }
        let mut text = String::new();
        for (index, value) in headers.get_all(name).iter().enumerate() {
            if index > 0 {
                text.push_str(", ");
            }
            text.extend(value.as_bytes().iter().copied().map(char::from));
        }
        shown.push((name.as_str().to_owned(), text));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(headers: &[(&'static str, &'static [u8])]) -> TransformInput {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value).expect("a value");
            map.append(HeaderName::from_static(name), value);
        }
        TransformInput {
            event_type: None,
            method: "POST".to_owned(),
            url: "http://localhost/".to_owned(),
            headers: map,
            body: Bytes::from_static(b"{}"),
        }
    }

    #[test]
    fn what_is_left_alone_stays_as_it_came() {
        let given = input(&[("x-a", b"1"), ("x-a", b"caf\xe9"), ("becket-hop", b"1")]);
        let shown = shown_headers(&given.headers);
        assert_eq!(shown, [("x-a".to_owned(), "1, caf\u{e9}".to_owned())]);
        let changes = Changes {
            headers_set: vec![("x-b".to_owned(), "\u{e9}".to_owned())],
            headers_removed: vec!["becket-hop".to_owned(), "not a name".to_owned()],
            ..Changes::default()
        };
        let made = applied(given.clone(), changes, Bytes::new()).expect("allowed");
        let mut expected = given.headers;
        expected.insert("x-b", HeaderValue::from_bytes(b"\xe9").expect("a value"));
        assert_eq!(made.headers, expected);
        assert_eq!(made.body, given.body);
    }

    #[test]
    fn what_a_stranger_may_not_say_is_refused() {
        let set = |name: &str, value: &str| {
            let headers_set = vec![(name.to_owned(), value.to_owned())];
            applied(input(&[]), Changes { headers_set, ..Changes::default() }, Bytes::new())
        };
        for (name, value) in [
            ("x-a", "1\r\nx-b: 2"),
            ("x-a\r\nx-b", "1"),
            ("x-a", "\u{0}"),
            ("x-a", "\u{20ac}"),
            ("", "1"),
            ("host", "evil"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
            ("webhook-signature", "v1,forged"),
            ("becket-attempt", "0"),
        ] {
            assert!(set(name, value).is_err(), "{name:?} {value:?}");
        }
        assert!(set("x-a", "fine").is_ok());
        for method in ["GET", "CONNECT", "DELETE", "POST ", ""] {
            let changes = Changes { method: Some(method.to_owned()), ..Changes::default() };
            assert!(applied(input(&[]), changes, Bytes::new()).is_err(), "{method}");
        }
        let changes = Changes { url: Some("h".repeat(URL_BYTES_MAX + 1)), ..Changes::default() };
        assert!(applied(input(&[]), changes, Bytes::new()).is_err());
    }
}

//! What is looked for in the bytes of events: a text, and conditions of the filter language.

use std::sync::Arc;

use becket_filter::Filter;
use becket_store::search::RecordTest;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::call::Call;
use crate::problem::{ApiError, Result};

/// Longer texts are not looked for.
const TEXT_BYTES_MAX: usize = 1_024;
/// How many calls read payloads at the same time: each keeps a processor busy.
static SEARCHING: Semaphore = Semaphore::const_new(2);

/// Reads `text` and `filter` of a call; `None` if neither is given.
pub(crate) fn asked(call: &Call) -> Result<Option<RecordTest>> {
    let text = call.text("text").map(Needle::new).transpose()?;
    let filter = call
        .text("filter")
        .map(|text| {
            Filter::parse(text).map_err(|error| {
                ApiError::query("filter", error.to_string())
                    .hint("it is a JSON document such as {\"body\":{\"data\":{\"id\":\"x\"}}}; docs/guides/filters.md has the language")
            })
        })
        .transpose()?;
    if text.is_none() && filter.is_none() {
        return Ok(None);
    }
    call.access.needs_payloads()?;
    Ok(Some(Arc::new(move |row, record| {
        // Of a payload that was removed nothing is known.
        !record.is_expunged()
            && text.as_ref().is_none_or(|needle| needle.is_in(&record.body()))
            && filter.as_ref().is_none_or(|filter| {
                filter.check(&record.subject(row.event_type.as_deref())).is_ok()
            })
    })))
}

/// Waits until there is room for one more call that reads payloads.
pub(crate) async fn turn() -> Option<SemaphorePermit<'static>> {
    // It is never closed.
    SEARCHING.acquire().await.ok()
}

/// A text, looked for in upper and lower case.
#[derive(Debug, Clone)]
struct Needle {
    /// In lower case.
    text: String,
}

impl Needle {
    fn new(text: &str) -> Result<Self> {
        if text.len() > TEXT_BYTES_MAX {
            let what = format!("is longer than {TEXT_BYTES_MAX} bytes");
            return Err(ApiError::query("text", what));
        }
        Ok(Self { text: text.to_lowercase() })
    }

    fn is_in(&self, body: &[u8]) -> bool {
        if !self.text.is_ascii() {
            return String::from_utf8_lossy(body).to_lowercase().contains(&self.text);
        }
        let needle = self.text.as_bytes();
        let Some((first, rest)) = needle.split_first() else { return true };
        let upper = first.to_ascii_uppercase();
        let mut at = 0;
        while let Some(found) = body[at..].iter().position(|byte| byte == first || *byte == upper) {
            let behind = at + found + 1;
            match body.get(behind..behind + rest.len()) {
                Some(part) if part.eq_ignore_ascii_case(rest) => return true,
                Some(_) => at = behind,
                None => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_found_in_any_case() {
        let is_in = |text: &str, body: &str| Needle::new(text).unwrap().is_in(body.as_bytes());
        assert!(is_in("Invoice", "an INVOICE"));
        assert!(is_in("aab", "AaAaB"));
        assert!(is_in("grün", "GRÜN"));
        assert!(is_in("\"id\": 7", "{\"ID\": 7}"));
        assert!(!is_in("invoice ", "an invoice"));
        assert!(!is_in("x", ""));
        assert!(Needle::new(&"x".repeat(2_000)).is_err());
        assert!(Needle::new("b").unwrap().is_in(&[0xff, b'B']));
    }

    proptest! {
        #[test]
        fn the_search_agrees_with_the_plain_one(text in "[abAB]{1,4}", body in "[abAB]{0,24}") {
            let plain = body.to_lowercase().contains(&text.to_lowercase());
            prop_assert_eq!(Needle::new(&text).unwrap().is_in(body.as_bytes()), plain);
        }
    }
}

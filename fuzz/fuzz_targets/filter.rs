//! Any filter on any event: the first line is the filter, the rest the body.
//!
//! Neither panics; a filter reads back as itself, `$not` is its opposite, what it costs is bounded by
//! the product of the sizes, and so is what is said about a refusal.

#![no_main]

#[path = "../../crates/filter/tests/any/mod.rs"]
mod any;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| {
    let cut = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (filter, body) = (&data[..cut], data.get(cut + 1..).unwrap_or_default());
    let Ok(document) = serde_json::from_slice::<Value>(filter) else { return };
    let headers: [(&str, &[u8]); 2] = [("x-body", body), ("x-a", b"1")];
    any::check(&document, body, &headers);
    any::check(&json!({ "body": document, "headers": document }), body, &headers);
});

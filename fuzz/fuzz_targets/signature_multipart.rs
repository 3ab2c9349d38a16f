//! Any bytes as a multipart body, and as the content of a part.
#![no_main]

#[path = "../../crates/signature/tests/parsers/multipart.rs"]
mod multipart;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| multipart::check(data));

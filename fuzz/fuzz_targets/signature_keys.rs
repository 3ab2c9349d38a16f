//! Any bytes as an answer with keys: sets, single keys, certificates.
#![no_main]

#[path = "../../crates/signature/tests/parsers/keys.rs"]
mod keys;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| keys::check(data));

//! Any request for every kind of message builder: what is signed is genuine.
#![no_main]

#[path = "../../crates/signature/tests/parsers/built.rs"]
mod built;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| built::check(data));

//! Any bytes as a token: nothing panics and nothing is proven.
#![no_main]

#[path = "../../crates/signature/tests/parsers/token.rs"]
mod token;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| token::check(data));

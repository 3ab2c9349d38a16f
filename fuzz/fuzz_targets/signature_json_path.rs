//! Any path into any JSON, against a tree that another parser has built.
#![no_main]

#[path = "../../crates/signature/tests/parsers/json_path.rs"]
mod json_path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| json_path::check(data));

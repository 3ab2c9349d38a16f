//! Any text as an entry, a template or a place: what is accepted is written as it was read.
#![no_main]

#[path = "../../crates/signature/tests/parsers/entry.rs"]
mod entry;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| entry::check(data));

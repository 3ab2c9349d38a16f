//! What one call may take.

use std::time::Duration;

/// Bodies that grew are refused above this, or above twice the body that came in, whichever is more.
const OUTPUT_FLOOR_BYTES: usize = 1024 * 1024;
/// The least memory that a call gets, for the interpreter's heap.
const HEAP_FLOOR_BYTES: usize = 32 * 1024 * 1024;
/// The most, for large bodies.
const HEAP_CEILING_BYTES: usize = 96 * 1024 * 1024;
/// How much a parsed body may be larger than its text before memory runs out.
const HEAP_PER_BODY_BYTE: usize = 8;

/// The longest source of a transformation, in bytes.
pub const CODE_BYTES_MAX: usize = 256 * 1024;
/// The most that is kept of what a call writes to the console, in bytes.
pub const LOG_BYTES_MAX: usize = 16 * 1024;
/// The most headers that a call may set.
pub const HEADERS_SET_MAX: usize = 100;
/// The longest message about a failure, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 400;
/// The most bytes of a reply beside the body.
pub(crate) const REPLY_HEAD_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The interpreter's memory for a body of this size, in bytes: 32 MiB, and up to 96 MiB for large ones.
pub(crate) fn heap_bytes(body_bytes: usize) -> usize {
    body_bytes
        .saturating_mul(HEAP_PER_BODY_BYTE)
        .saturating_add(HEAP_FLOOR_BYTES)
        .min(HEAP_CEILING_BYTES)
}

/// How large the body may become, in bytes: 1 MiB, or twice what it was.
pub(crate) fn output_bytes(body_bytes: usize) -> usize {
    body_bytes.saturating_mul(2).max(OUTPUT_FLOOR_BYTES)
}

/// When the interpreter is interrupted, so that the process need not be killed: a little before the
/// end of the time.
pub(crate) fn interrupt_after(wall: Duration) -> Duration {
    wall.mul_f64(0.85)
}

/// Cuts a text to so many bytes, at the end of a character.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = text.floor_char_boundary(bytes_max);
        text.truncate(end);
        text.push('\u{2026}');
    }
}

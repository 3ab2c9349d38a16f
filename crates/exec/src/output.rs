//! What a program prints: its beginning and its end are kept, and its lines go to the log.
//!
//! Invariant: memory is bounded however much is printed, and no line holds the program up.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;

/// How much of the beginning is kept, in bytes.
const HEAD_BYTES: usize = 12 * 1024;
/// How much of the end is kept if the middle is left out, in bytes, with the words that say so.
const TAIL_BYTES: usize = 4 * 1024;
const GAP_BYTES: usize = 64;

/// Output as it is kept: at most 16 KiB.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Kept {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = HEAD_BYTES - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(TAIL_BYTES)..];
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..over);
    }

    /// The beginning, for looking at what it starts with.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// What is kept, and whether something is missing in the middle.
    pub(crate) fn finish(self) -> (Bytes, bool) {
        let mut text = self.head;
        let whole = (HEAD_BYTES + TAIL_BYTES) as u64;
        if self.total <= whole {
            text.extend(self.tail);
            return (text.into(), false);
        }
        let kept = TAIL_BYTES - GAP_BYTES;
        let missing = self.total - (HEAD_BYTES + kept) as u64;
        text.extend_from_slice(format!("\n[... {missing} bytes left out ...]\n").as_bytes());
        text.extend(self.tail.iter().skip(self.tail.len().saturating_sub(kept)));
        (text.into(), true)
    }
}

/// The longest part of a line that is logged, in bytes.
const LINE_BYTES: usize = 1_000;
/// How many lines may be logged at once, and how many in each second.
const LINES_AT_ONCE: u32 = 200;
const LINES_PER_SECOND: u32 = 50;

/// Cuts output into lines for the log, and only so many of them.
#[derive(Debug)]
pub(crate) struct Lines {
    unfinished: Vec<u8>,
    /// Whether the line has been longer than what is kept of it.
    cut: bool,
    left: u32,
    filled: Instant,
    dropped: u64,
}

impl Lines {
    pub(crate) fn new(now: Instant) -> Self {
        Self { unfinished: Vec::new(), cut: false, left: LINES_AT_ONCE, filled: now, dropped: 0 }
    }

    /// Takes output, and gives every finished line that may be logged to `log`.
    pub(crate) fn push(&mut self, bytes: &[u8], now: Instant, mut log: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (part, ends) = match part.strip_suffix(b"\n") {
                Some(part) => (part, true),
                None => (part, false),
            };
            let room = LINE_BYTES - self.unfinished.len();
            self.cut |= part.len() > room;
            self.unfinished.extend_from_slice(&part[..part.len().min(room)]);
            if ends {
                self.line(now, &mut log);
            }
        }
    }

    /// The last line, if it has no end, and how many lines were left out.
    pub(crate) fn finish(mut self, now: Instant, mut log: impl FnMut(&str)) -> u64 {
        if !self.unfinished.is_empty() {
            self.line(now, &mut log);
        }
        self.dropped
    }

    fn line(&mut self, now: Instant, log: &mut impl FnMut(&str)) {
        let line = std::mem::take(&mut self.unfinished);
        let cut = std::mem::take(&mut self.cut);
        let since_ms = now.saturating_duration_since(self.filled).as_millis();
        let more = u32::try_from(since_ms * u128::from(LINES_PER_SECOND) / 1_000);
        let more = more.unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(LINES_AT_ONCE);
            self.filled = now;
        }
        if self.left == 0 {
            self.dropped += 1;
            return;
        }
        self.left -= 1;
        let mut text = readable(&line);
        if cut {
            text.push_str(" ...");
        }
        log(&text);
    }
}

/// Text that cannot play tricks on a terminal or pass for other lines of the log.
fn readable(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut text = String::with_capacity(line.len());
    for character in String::from_utf8_lossy(line).chars() {
        match character {
            '\t' => text.push(' '),
            other if other.is_control() => text.extend(other.escape_unicode()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn beginning_and_end_are_kept() {
        let mut kept = Kept::default();
        kept.push(b"hello\n");
        kept.push(b"world\n");
        assert_eq!(kept.finish(), (Bytes::from_static(b"hello\nworld\n"), false));

        let whole: Vec<u8> = (0..16 * 1024).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
        for step in [1, 7, 4_096, 16 * 1024] {
            let mut kept = Kept::default();
            whole.chunks(step).for_each(|chunk| kept.push(chunk));
            let (text, truncated) = kept.finish();
            assert!(!truncated);
            assert_eq!(text, whole, "in steps of {step}");
        }

        let mut kept = Kept::default();
        kept.push(b"BEGIN");
        for _ in 0..1_000 {
            kept.push(&[b'x'; 1_000]);
        }
        kept.push(b"END");
        let (text, truncated) = kept.finish();
        assert!(truncated);
        assert!(text.len() <= 16 * 1024, "{}", text.len());
        assert!(text.starts_with(b"BEGIN") && text.ends_with(b"END"));
        let told = String::from_utf8(text.to_vec()).unwrap();
        let missing: usize = told
            .split_once("[... ")
            .and_then(|(_, rest)| rest.split_once(" bytes left out ...]"))
            .map(|(number, _)| number.parse().unwrap())
            .unwrap();
        let gap = format!("\n[... {missing} bytes left out ...]\n").len();
        assert_eq!(missing + text.len() - gap, 1_000_008);
    }

    #[test]
    fn lines_are_cut_counted_and_harmless() {
        let now = Instant::now();
        let mut seen = Vec::new();
        let mut lines = Lines::new(now);
        lines.push(b"one\r\ntw", now, |line| seen.push(line.to_owned()));
        lines.push(b"o\n\x1b[2Jthree\tx\n", now, |line| seen.push(line.to_owned()));
        lines.push(&[b'y'; 3_000], now, |line| seen.push(line.to_owned()));
        assert_eq!(lines.finish(now, |line| seen.push(line.to_owned())), 0);
        assert_eq!(seen[..3], ["one", "two", "\\u{1b}[2Jthree x"]);
        assert_eq!(seen[3], format!("{} ...", "y".repeat(LINE_BYTES)));

        let mut lines = Lines::new(now);
        let mut count = 0;
        for _ in 0..1_000 {
            lines.push(b"flood\n", now, |_| count += 1);
        }
        assert_eq!(count, LINES_AT_ONCE);
        let later = now + Duration::from_secs(1);
        for _ in 0..1_000 {
            lines.push(b"flood\n", later, |_| count += 1);
        }
        assert_eq!(count, LINES_AT_ONCE + LINES_PER_SECOND);
        assert_eq!(lines.finish(later, |_| {}), 2_000 - u64::from(count));
    }
}

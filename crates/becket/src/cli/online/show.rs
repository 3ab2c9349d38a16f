//! How things look on a terminal: aligned tables, moments with their age, sizes, JSON lines.
//!
//! Invariants: everything that came from outside is cleared of control characters; colour only
//! where [`Paint`] says so, and never as the only carrier of a meaning.

use jiff::Timestamp;
use serde_json::Value;

use super::failure::Result;
use crate::cli::output::visible;
use crate::cli::{CliError, Paint, print};

/// The text of a field, without control characters; `-` if there is none.
pub(in crate::cli) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => one_line(text),
        Some(other) => other.to_string(),
    }
}

/// The text of a field, if it is there and is text.
pub(in crate::cli) fn field<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// A whole number, 0 if absent.
pub(in crate::cli) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// The items of a list.
pub(in crate::cli) fn items<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Text on one line, without control characters.
pub(in crate::cli) fn one_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// A moment in seconds with its age: `2026-01-31T12:00:00Z (5m ago)`.
pub(in crate::cli) fn moment(text: &str, now_s: i64) -> String {
    let Ok(at) = text.parse::<Timestamp>() else { return one_line(text) };
    format!("{at:.0} ({})", age(now_s - at.as_second()))
}

/// The moment of a field with its age; `-` if there is none.
pub(in crate::cli) fn moment_of(value: &Value, pointer: &str, now_s: i64) -> String {
    field(value, pointer).map_or_else(|| "-".to_owned(), |text| moment(text, now_s))
}

fn age(seconds: i64) -> String {
    let span = match seconds.unsigned_abs() {
        0 => return "now".to_owned(),
        seconds @ 1..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    };
    if seconds < 0 { format!("in {span}") } else { format!("{span} ago") }
}

/// A size for people.
pub(in crate::cli) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut shown = bytes as f64;
    let mut unit = 0;
    while shown >= 1_024.0 && unit + 1 < UNITS.len() {
        shown /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{shown:.1} {}", UNITS[unit]) }
}

/// A state in its colour.
pub(in crate::cli) fn state(paint: Paint, word: &str) -> String {
    match word {
        "delivered" | "enabled" | "succeeded" | "accepted" | "genuine" => paint.green(word),
        "failed" | "disabled" | "refused" | "invalid" => paint.red(word),
        "pending" | "paused" => paint.bold(word),
        _ => paint.dim(word),
    }
}

/// A moment as the API takes it, from RFC 3339, a date, or a span back from now (`90s`, `2h`, `3d`).
pub(in crate::cli) fn since(flag: &str, given: &str, now_s: i64) -> Result<String> {
    let span = given.char_indices().last().and_then(|(at, unit)| {
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        given[..at].parse::<i64>().ok().filter(|count| *count >= 0)?.checked_mul(seconds)
    });
    let date = format!("{given}T00:00:00Z");
    let parsed = match span {
        Some(span) => Timestamp::from_second(now_s.saturating_sub(span)).ok(),
        None => given.parse::<Timestamp>().or_else(|_| date.parse()).ok(),
    };
    parsed.map(|at| at.to_string()).ok_or_else(|| {
        CliError::usage(format!("{flag}: `{given}` is not a time"))
            .hint("write 2h, 30m or 3d for so long ago, or 2026-01-31T12:00:00Z")
            .into()
    })
}

/// Writes a line that others follow; `false` when nobody reads any more, so that it can end.
pub(in crate::cli) fn emit(line: &str) -> Result<bool> {
    use std::io::Write as _;

    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(CliError::new(format!("standard output cannot be written: {error}")).into())
        }
    }
}

/// A JSON document, indented.
pub(in crate::cli) fn print_document(value: &Value) -> Result<()> {
    print(&format!("{value:#}"))?;
    Ok(())
}

/// Rows under headings, each column as wide as its widest cell. Cells may hold colours.
pub(in crate::cli) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Appends a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as text without a final line end.
    pub fn render(&self, paint: Paint) -> String {
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let widest = cells.map(|cell| width(cell)).max().unwrap_or(0);
                widest.max(self.headings[column].len())
            })
            .collect();
        let line = |cells: Vec<String>| {
            let padded = cells.iter().zip(&widths).map(|(cell, wanted)| {
                format!("{cell}{}", " ".repeat(wanted.saturating_sub(width(cell))))
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let headings = self.headings.iter().map(|heading| paint.dim(heading)).collect();
        std::iter::once(line(headings))
            .chain(self.rows.iter().map(|row| line(row.clone())))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// How many characters a cell shows: colours take no room.
fn width(cell: &str) -> usize {
    let mut count = 0;
    let mut in_colour = false;
    for character in cell.chars() {
        match character {
            '\u{1b}' => in_colour = true,
            'm' if in_colour => in_colour = false,
            _ if in_colour => {}
            _ => count += 1,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_align_with_and_without_colours() {
        let mut table = Table::new(&["ID", "STATE"]);
        table.row(vec!["\u{1b}[2ma\u{1b}[0m".into(), "ok".into()]);
        table.row(vec!["abc".into(), "-".into()]);
        let text = table.render(Paint::for_stdout());
        assert_eq!(text, "ID   STATE\n\u{1b}[2ma\u{1b}[0m    ok\nabc  -");
    }

    #[test]
    fn moments_have_an_age() {
        let at = "2026-01-31T12:00:00.123Z";
        assert_eq!(moment(at, 1_769_860_800), "2026-01-31T12:00:00Z (now)");
        assert_eq!(moment(at, 1_769_860_800 + 119), "2026-01-31T12:00:00Z (119s ago)");
        assert_eq!(moment(at, 1_769_860_800 + 7_199), "2026-01-31T12:00:00Z (119m ago)");
        assert_eq!(moment(at, 1_769_860_800 - 60), "2026-01-31T12:00:00Z (in 60s)");
        assert_eq!(moment(at, 1_769_860_800 + 3 * 86_400), "2026-01-31T12:00:00Z (3d ago)");
    }

    #[test]
    fn times_are_spans_dates_or_moments() {
        let now_s = 1_769_860_800;
        for (given, expected) in [
            ("2h", "2026-01-31T10:00:00Z"),
            ("90s", "2026-01-31T11:58:30Z"),
            ("2026-01-30", "2026-01-30T00:00:00Z"),
            ("2026-01-30T01:00:00+01:00", "2026-01-30T00:00:00Z"),
        ] {
            assert_eq!(since("--since", given, now_s).ok().unwrap(), expected, "{given}");
        }
        for wrong in ["", "h", "-2h", "yesterday", "2x", "9999999999999999999d"] {
            assert!(since("--since", wrong, now_s).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_came_from_outside_cannot_steer_the_terminal() {
        let value = json!({ "a": "x\u{1b}[2Jy\nz", "n": 3 });
        assert_eq!(text(&value, "/a"), "x\u{fffd}[2Jy z");
        assert_eq!((text(&value, "/n"), text(&value, "/none")), ("3".into(), "-".into()));
        assert_eq!((size(1_023), size(1_536)), ("1023 B".into(), "1.5 KiB".into()));
    }
}

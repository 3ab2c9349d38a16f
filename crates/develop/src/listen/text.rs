//! Texts as they are shown: harmless, readable, and no longer than there is room.
//!
//! Invariants: nothing that a terminal would obey, nothing that turns the order of characters round
//! and nothing invisible is left of what came from outside; cutting never tears a character.

use std::fmt::Write as _;

use bytes::Bytes;
use unicode_width::UnicodeWidthChar as _;

/// How much of a body is made readable, in bytes.
pub const SHOWN_BODY_BYTES: usize = 256 * 1024;
const HEX_BYTES_SHOWN: usize = 4 * 1024;
const HEX_PER_LINE: usize = 16;
/// The longest line of a body that is shown in one piece, in characters.
const LINE_CHARACTERS_MAX: usize = 2_000;

/// Replaces what a terminal would obey, and what would hide or reorder other text, by what can be
/// seen. Line ends stay only if `lines`.
#[must_use]
pub fn harmless(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' if lines => out.push('\n'),
            '\t' => out.push_str("    "),
            // Unicode has a picture of each of these.
            '\0'..='\u{1f}' => out.push(picture(u32::from(character))),
            '\u{7f}' => out.push('\u{2421}'),
            _ if is_harmful(character) => {
                // Writing to a string does not fail.
                let _ = write!(out, "<U+{:04X}>", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

fn picture(control: u32) -> char {
    char::from_u32(0x2400 + control).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// C1 controls, marks of direction, and characters without any width of their own that join or hide
/// others.
fn is_harmful(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// How many columns a text takes.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

/// A text cut to a number of columns, with `…` where something is missing.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for character in text.chars() {
        let width = character.width().unwrap_or(0);
        if used + width + 1 > most {
            break;
        }
        used += width;
        out.push(character);
    }
    if most > 0 {
        out.push('…');
    }
    out
}

/// A text cut or filled up to exactly so many columns.
#[must_use]
pub fn padded(text: &str, width: usize) -> String {
    let mut out = cut(text, width);
    let missing = width.saturating_sub(columns(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

/// What a body turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Nothing.
    Empty,
    /// JSON, shown indented.
    Json,
    /// Names and values of a form.
    Form,
    /// Text.
    Text,
    /// Anything else, shown as hexadecimal digits.
    Binary,
}

impl BodyKind {
    /// The word shown beside the size.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Json => "JSON",
            Self::Form => "form",
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }
}

/// A body as lines that can be shown.
#[must_use]
pub fn body_lines(body: &Bytes, content_type: &str) -> (BodyKind, Vec<String>) {
    if body.is_empty() {
        return (BodyKind::Empty, Vec::new());
    }
    if let Some(lines) = json_lines(body) {
        return (BodyKind::Json, lines);
    }
    let shown = &body[..body.len().min(SHOWN_BODY_BYTES)];
    // A character may have been cut in two at the end of what is shown.
    let text = match std::str::from_utf8(shown) {
        Ok(text) => Some(text),
        Err(error) if shown.len() - error.valid_up_to() < 4 && body.len() > shown.len() => {
            std::str::from_utf8(&shown[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let Some(text) = text.filter(|text| !text.contains('\0')) else {
        return (BodyKind::Binary, hex_lines(body));
    };
    if content_type.starts_with("application/x-www-form-urlencoded") {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        let lines = pairs.map(|(name, value)| harmless(&format!("{name} = {value}"), false));
        return (BodyKind::Form, ended(lines.collect(), body.len(), shown.len()));
    }
    let lines = text.lines().flat_map(|line| folded(&harmless(line, false))).collect();
    (BodyKind::Text, ended(lines, body.len(), text.len()))
}

/// JSON that is not too large to be indented at once.
fn json_lines(body: &Bytes) -> Option<Vec<String>> {
    if body.len() > SHOWN_BODY_BYTES || !matches!(body.trim_ascii_start().first()?, b'{' | b'[') {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = serde_json::to_string_pretty(&value).ok()?;
    Some(text.lines().flat_map(|line| folded(&harmless(line, false))).collect())
}

fn folded(line: &str) -> Vec<String> {
    if line.len() <= LINE_CHARACTERS_MAX {
        return vec![line.to_owned()];
    }
    let characters: Vec<char> = line.chars().collect();
    characters.chunks(LINE_CHARACTERS_MAX).map(|piece| piece.iter().collect()).collect()
}

fn hex_lines(body: &Bytes) -> Vec<String> {
    let shown = &body[..body.len().min(HEX_BYTES_SHOWN)];
    let lines = shown.chunks(HEX_PER_LINE).enumerate().map(|(at, chunk)| {
        let mut line = format!("{:08x}  ", at * HEX_PER_LINE);
        for place in 0..HEX_PER_LINE {
            match chunk.get(place) {
                Some(byte) => line.push_str(&hex::encode([*byte])),
                None => line.push_str("  "),
            }
            line.push_str(if place == HEX_PER_LINE / 2 - 1 { "  " } else { " " });
        }
        let printable =
            |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' };
        line.push(' ');
        line.extend(chunk.iter().map(printable));
        line
    });
    ended(lines.collect(), body.len(), shown.len())
}

fn ended(mut lines: Vec<String>, whole: usize, shown: usize) -> Vec<String> {
    if whole > shown {
        lines.push(format!("… and {} more", size(whole - shown)));
    }
    lines
}

/// A number of bytes for people.
#[must_use]
pub fn size(bytes: usize) -> String {
    const KIB: f64 = 1024.0;
    let value = bytes as f64;
    if value < KIB {
        format!("{bytes} B")
    } else if value < KIB * KIB {
        format!("{:.1} KiB", value / KIB)
    } else {
        format!("{:.1} MiB", value / (KIB * KIB))
    }
}

/// A stretch of time for people.
#[must_use]
pub fn span(ms: i64) -> String {
    let s = ms.max(0) / 1_000;
    match s {
        0..=59 => format!("{s} s"),
        60..=3_599 => format!("{} min", s / 60),
        3_600..=86_399 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// A whole stretch of time in its largest unit, as people write it: `24 h`, `7 d`, `90 s`.
#[must_use]
pub fn whole_span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let fits = |(size, _): &&(u64, &str)| seconds >= 2 * size && seconds.is_multiple_of(*size);
    match units.iter().find(fits) {
        Some((size, unit)) => format!("{} {unit}", seconds / size),
        None => format!("{seconds} s"),
    }
}

/// How long a request took.
#[must_use]
pub fn took(us: u64) -> String {
    match us {
        0..=9_999 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        10_000..=999_999 => format!("{} ms", us / 1_000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

/// The time of day in a time zone, such as `14:03:27`.
#[must_use]
pub fn clock(ms: i64, zone: &jiff::tz::TimeZone) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map(|moment| moment.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string())
        .unwrap_or_else(|_| "--:--:--".to_owned())
}

/// A line for a shell that sends the same request again.
#[must_use]
pub fn curl(method: &str, url: &str, headers: &[(String, String)], body: &Bytes) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let mut line = format!("curl -sS -i -X {method} {}", quoted(url));
    let said =
        headers.iter().filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length"));
    for (name, value) in said {
        let _ = write!(line, " -H {}", quoted(&format!("{name}: {value}")));
    }
    match std::str::from_utf8(body) {
        Ok("") => line,
        Ok(text) if !text.contains('\0') => {
            let _ = write!(line, " --data-binary {}", quoted(text));
            line
        }
        _ => {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(body);
            format!("echo {encoded} | base64 -d | {line} --data-binary @-")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile =
            "\u{1b}[31mred\u{1b}]0;title\u{7}\r\u{8}\u{9b}31m\u{202e}txt.exe\u{200b}\u{feff}";
        let shown = harmless(hostile, false);
        assert!(!shown.chars().any(char::is_control), "{shown}");
        assert!(
            shown.starts_with("␛[31mred␛]0;title␇␍␈<U+009B>31m<U+202E>txt.exe<U+200B><U+FEFF>")
        );
        assert_eq!(harmless("a\nb", true), "a\nb");
        assert_eq!(harmless("a\nb\tc", false), "a␊b    c");
        assert_eq!(harmless("grüße 漢字 🎉", false), "grüße 漢字 🎉");
    }

    #[test]
    fn texts_are_cut_at_columns() {
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(padded("漢", 4), "漢  ");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn bodies_are_made_readable() {
        let lines = |body: &[u8], kind: &str| body_lines(&Bytes::copy_from_slice(body), kind);
        assert_eq!(lines(b"", "").0, BodyKind::Empty);
        let (kind, json) = lines(br#" {"b":1,"a":12345678901234567890123}"#, "text/plain");
        assert_eq!(kind, BodyKind::Json);
        assert_eq!(json[1], "  \"b\": 1,");
        let (kind, form) = lines(b"a=1&b=x+y%0a", "application/x-www-form-urlencoded");
        assert_eq!((kind, &form[1][..]), (BodyKind::Form, "b = x y␊"));
        assert_eq!(lines(b"hello\nyou", "").1, ["hello", "you"]);
        let (kind, hex) = lines(&[0xff, 0, b'a'], "");
        assert_eq!(kind, BodyKind::Binary);
        assert!(hex[0].starts_with("00000000  ff 00 61"), "{}", hex[0]);
        assert!(hex[0].ends_with("..a"), "{}", hex[0]);
        let long = "é".repeat(SHOWN_BODY_BYTES);
        let (kind, lines) = lines(long.as_bytes(), "");
        assert_eq!(kind, BodyKind::Text);
        assert_eq!(lines.last().unwrap(), "… and 256.0 KiB more");
    }

    #[test]
    fn a_curl_line_survives_a_shell() {
        let headers = [("x-a".to_owned(), "it's".to_owned()), ("host".to_owned(), "h".to_owned())];
        let line = curl("POST", "http://localhost/", &headers, &Bytes::from_static(b"{'}"));
        assert_eq!(
            line,
            r"curl -sS -i -X POST 'http://localhost/' -H 'x-a: it'\''s' --data-binary '{'\''}'"
        );
        let line = curl("PUT", "http://localhost/", &[], &Bytes::from_static(&[0xff]));
        assert!(line.starts_with("echo /w== | base64 -d | curl"), "{line}");
    }

    #[test]
    fn times_and_sizes() {
        assert_eq!(
            (took(950), took(12_300), took(2_500_000)),
            ("0.9 ms".into(), "12 ms".into(), "2.5 s".into())
        );
        assert_eq!(
            (span(59_000), span(3_660_000), span(90_000_000)),
            ("59 s".into(), "1 h 1 min".into(), "1 d 1 h".into())
        );
        assert_eq!(
            (size(10), size(1_536), size(10 << 20)),
            ("10 B".into(), "1.5 KiB".into(), "10.0 MiB".into())
        );
        assert_eq!(
            (whole_span(86_400), whole_span(7 * 86_400), whole_span(90)),
            ("24 h".into(), "7 d".into(), "90 s".into())
        );
        assert_eq!(clock(0, &jiff::tz::TimeZone::UTC), "00:00:00");
    }
}

//! Printing a JSON text again in the style of another program.
//!
//! Invariants: one pass, writing as it reads, so that memory is the output and one entry a member; a key
//! that came twice keeps its first place and its last value, as in JavaScript, PHP and Python. Styles that
//! are not said to print numbers again keep their text. Next: `scan` for the grammar.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::number::{self, Layout};
use super::scan::{self, DEPTH_MAX, Members, Scanner};

/// Whose way of writing JSON is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonStyle {
    /// The white space between values is left out; everything else stays as it came.
    Compact,
    /// RFC 8785: members sorted by UTF-16 units, strings and numbers as in JavaScript.
    Jcs,
    /// JavaScript's `JSON.stringify`: keys that are array indexes come first.
    Js,
    /// PHP's `json_encode`: slashes escaped, characters beyond ASCII as `\uXXXX`, floats as PHP prints them.
    Php,
    /// Python's `json.dumps`: `", "` and `": "`, characters beyond ASCII as `\uXXXX`, floats as Python prints them.
    Python,
    /// Go's `json.Marshal`: `<`, `>`, `&` and two line separators as `\uXXXX`; numbers keep their text.
    Go,
}

/// Flags of PHP's `json_encode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhpFlag {
    /// `JSON_UNESCAPED_SLASHES`.
    UnescapedSlashes,
    /// `JSON_UNESCAPED_UNICODE`.
    UnescapedUnicode,
    /// `JSON_PRESERVE_ZERO_FRACTION`.
    PreserveZeroFraction,
}

/// How to print.
#[derive(Clone, Copy)]
pub(super) struct Printing<'s> {
    pub style: JsonStyle,
    pub php_flags: &'s [PhpFlag],
    pub sort_keys: bool,
    /// Members of the outermost object that are left out.
    pub exclude: &'s [String],
}

impl Printing<'_> {
    pub fn of(style: JsonStyle) -> Self {
        Printing { style, php_flags: &[], sort_keys: false, exclude: &[] }
    }

    fn has(&self, flag: PhpFlag) -> bool {
        self.php_flags.contains(&flag)
    }
}

/// Prints a whole JSON text again; `None` when it is no JSON, or goes beyond the bounds of `scan`.
pub(super) fn rewrite(text: &str, printing: Printing<'_>) -> Option<Vec<u8>> {
    let mut writer =
        Writer { scanner: Scanner::new(text), out: Vec::with_capacity(text.len()), printing };
    writer.value(0)?;
    writer.scanner.at_end().then_some(writer.out)
}

struct Writer<'b, 's> {
    scanner: Scanner<'b>,
    out: Vec<u8>,
    printing: Printing<'s>,
}

impl<'b> Writer<'b, '_> {
    fn value(&mut self, depth: usize) -> Option<()> {
        self.scanner.count()?;
        let first = self.scanner.peek()?;
        if matches!(first, b'{' | b'[') && depth >= DEPTH_MAX {
            return None;
        }
        match first {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => {
                let quoted = self.scanner.string()?;
                self.string(quoted)
            }
            _ => {
                let text = self.scanner.scalar()?;
                self.scalar(text)
            }
        }
    }

    fn scalar(&mut self, text: &str) -> Option<()> {
        let layout = match self.printing.style {
            JsonStyle::Compact | JsonStyle::Go => None,
            JsonStyle::Jcs | JsonStyle::Js => Some(Layout::JavaScript),
            JsonStyle::Php => {
                Some(Layout::Php { fraction: self.printing.has(PhpFlag::PreserveZeroFraction) })
            }
            JsonStyle::Python => Some(Layout::Python),
        };
        let is_number = !text.starts_with(['t', 'f', 'n']);
        match layout {
            Some(layout) if is_number => {
                self.out.extend_from_slice(number::print(text, layout)?.as_bytes());
            }
            _ => self.out.extend_from_slice(text.as_bytes()),
        }
        Some(())
    }

    fn string(&mut self, quoted: &str) -> Option<()> {
        if self.printing.style == JsonStyle::Compact {
            // Half a surrogate pair is no text in any style.
            scan::unquote(quoted)?;
            self.out.extend_from_slice(quoted.as_bytes());
        } else {
            let text = scan::unquote(quoted)?;
            write_string(&mut self.out, &text, self.printing);
        }
        Some(())
    }

    fn separator(&mut self) {
        let separator: &[u8] = if self.printing.style == JsonStyle::Python { b", " } else { b"," };
        self.out.extend_from_slice(separator);
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.scanner.take(b'[')?;
        self.out.push(b'[');
        if self.scanner.take(b']').is_none() {
            loop {
                self.value(depth + 1)?;
                if self.scanner.take(b',').is_none() {
                    break self.scanner.take(b']')?;
                }
                self.separator();
            }
        }
        self.out.push(b']');
        Some(())
    }

    /// Members are written as they come, and put in order afterwards if the order is another.
    fn object(&mut self, depth: usize) -> Option<()> {
        self.scanner.take(b'{')?;
        let start = self.out.len();
        self.out.push(b'{');
        let mut members: Members<'b, Range<usize>> = Members::default();
        let mut written = 0;
        if self.scanner.take(b'}').is_none() {
            loop {
                let quoted = self.scanner.string_key()?;
                let key = scan::unquote(quoted)?;
                let before = self.out.len();
                if written > 0 {
                    self.separator();
                }
                let from = self.out.len();
                self.string(quoted)?;
                self.out.push(b':');
                if self.printing.style == JsonStyle::Python {
                    self.out.push(b' ');
                }
                self.value(depth + 1)?;
                if depth == 0 && self.printing.exclude.iter().any(|name| *name == key) {
                    self.out.truncate(before);
                } else {
                    written += 1;
                    members.insert(key, from..self.out.len());
                }
                if self.scanner.take(b',').is_none() {
                    break self.scanner.take(b'}')?;
                }
            }
        }
        let mut members = members.list;
        let doubles = written != members.len();
        if self.put_in_order(&mut members) || doubles {
            let pieces = self.out.split_off(start);
            self.out.push(b'{');
            for (position, (_, range)) in members.into_iter().enumerate() {
                if position > 0 {
                    self.separator();
                }
                self.out.extend_from_slice(&pieces[range.start - start..range.end - start]);
            }
        }
        self.out.push(b'}');
        Some(())
    }

    /// Sorts members if the style wants it; whether anything moved.
    fn put_in_order(&self, members: &mut [(Cow<'b, str>, Range<usize>)]) -> bool {
        let by: fn(&str, &str) -> Ordering = match self.printing.style {
            JsonStyle::Jcs => by_utf16,
            JsonStyle::Js if self.printing.sort_keys => by_utf16,
            _ if self.printing.sort_keys => str::cmp,
            JsonStyle::Js => by_array_index,
            _ => return false,
        };
        if members.is_sorted_by(|a, b| by(&a.0, &b.0).is_le()) {
            return false;
        }
        members.sort_by(|a, b| by(&a.0, &b.0));
        true
    }
}

/// The order of JavaScript's `sort`, which RFC 8785 takes over.
pub(super) fn by_utf16(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// Array indexes first and by number, everything else as it was.
fn by_array_index(a: &str, b: &str) -> Ordering {
    match (array_index(a), array_index(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

fn array_index(key: &str) -> Option<u32> {
    let plain = key == "0" || key.bytes().next().is_some_and(|byte| matches!(byte, b'1'..=b'9'));
    // The last one of 32 bits is a length and no index.
    key.parse().ok().filter(|index| plain && *index != u32::MAX)
}

/// Writes a text as a JSON string.
fn write_string(out: &mut Vec<u8>, text: &str, printing: Printing<'_>) {
    out.push(b'"');
    let mut buffer = [0; 4];
    for character in text.chars() {
        let short: &[u8] = match character {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            '\u{8}' => b"\\b",
            '\t' => b"\\t",
            '\n' => b"\\n",
            '\u{c}' => b"\\f",
            '\r' => b"\\r",
            '/' if is_escaped_slash(printing) => b"\\/",
            other if is_escaped(other, printing) => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
                continue;
            }
            other => other.encode_utf8(&mut buffer).as_bytes(),
        };
        out.extend_from_slice(short);
    }
    out.push(b'"');
}

fn is_escaped_slash(printing: Printing<'_>) -> bool {
    printing.style == JsonStyle::Php && !printing.has(PhpFlag::UnescapedSlashes)
}

fn is_escaped(character: char, printing: Printing<'_>) -> bool {
    let line_separator = matches!(character, '\u{2028}' | '\u{2029}');
    let by_style = match printing.style {
        JsonStyle::Compact | JsonStyle::Jcs | JsonStyle::Js => false,
        JsonStyle::Php if printing.has(PhpFlag::UnescapedUnicode) => line_separator,
        JsonStyle::Php => !character.is_ascii(),
        JsonStyle::Python => !character.is_ascii() || character == '\u{7f}',
        JsonStyle::Go => line_separator || matches!(character, '<' | '>' | '&'),
    };
    by_style || character < ' '
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documents, and what the programs named in the file print for them.
    const PRINTED: &str = include_str!("../../tests/data/json_styles.json");

    fn print(text: &str, printing: Printing<'_>) -> String {
        let bytes = rewrite(text, printing).unwrap_or_else(|| panic!("{text}"));
        String::from_utf8(bytes).expect("what is printed is text")
    }

    #[test]
    fn every_style_prints_what_its_program_prints() {
        let file: serde_json::Value = serde_json::from_str(PRINTED).expect("a JSON file");
        let flags =
            [PhpFlag::UnescapedUnicode, PhpFlag::UnescapedSlashes, PhpFlag::PreserveZeroFraction];
        let php_flags = Printing { php_flags: &flags, ..Printing::of(JsonStyle::Php) };
        for row in file["documents"].as_array().expect("documents") {
            let text = row["text"].as_str().expect("a text");
            for (name, printing) in [
                ("js", Printing::of(JsonStyle::Js)),
                ("jcs", Printing::of(JsonStyle::Jcs)),
                ("php", Printing::of(JsonStyle::Php)),
                ("php_flags", php_flags),
                ("python", Printing::of(JsonStyle::Python)),
            ] {
                assert_eq!(print(text, printing), row[name].as_str().expect(name), "{name} {text}");
            }
        }
    }

    #[test]
    fn compact_and_go_keep_numbers_and_order() {
        let text = r#" { "b" : 1.50 , "a" : [ 1E3 , "<\/é> &" ] , "b" : -0 , "signature" : "x" } "#;
        assert_eq!(
            print(text, Printing::of(JsonStyle::Compact)),
            r#"{"b":-0,"a":[1E3,"<\/é> &"],"signature":"x"}"#
        );
        let exclude = ["signature".to_owned()];
        let go = Printing { exclude: &exclude, ..Printing::of(JsonStyle::Go) };
        assert_eq!(print(text, go), r#"{"b":-0,"a":[1E3,"\u003c/é\u003e \u0026"]}"#);
        let first = Printing { exclude: &["b".to_owned()], ..Printing::of(JsonStyle::Compact) };
        assert_eq!(print(text, first), r#"{"a":[1E3,"<\/é> &"],"signature":"x"}"#);
        let sorted = Printing { sort_keys: true, ..Printing::of(JsonStyle::Python) };
        assert_eq!(
            print(r#"{"b":{"d":1,"c":2},"a":0}"#, sorted),
            r#"{"a": 0, "b": {"c": 2, "d": 1}}"#
        );
    }

    #[test]
    fn what_is_no_json_or_no_text_is_refused() {
        let deep = "[".repeat(65) + &"]".repeat(65);
        for style in [JsonStyle::Compact, JsonStyle::Jcs, JsonStyle::Php] {
            for text in ["", "{", "[1,]", "{} x", r#""\ud83d""#, r#"{"\ud83d":1}"#, deep.as_str()] {
                assert!(rewrite(text, Printing::of(style)).is_none(), "{text}");
            }
        }
        assert!(rewrite("1e999", Printing::of(JsonStyle::Jcs)).is_none());
    }
}

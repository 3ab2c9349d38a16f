//! Cutting JSON text into its raw pieces, without a tree.
//!
//! Invariants: every piece is a slice of the input, so that numbers and strings keep the text they came
//! with; the grammar is RFC 8259 exactly; depth and the number of members are bounded, because senders who
//! prove nothing yet may post anything. Next: `rewrite`, which prints the pieces in another style.

use std::borrow::Cow;

/// How deep arrays and objects may nest.
pub(super) const DEPTH_MAX: usize = 64;

/// How many values one document may hold; more is no webhook that anybody signs member by member.
pub(super) const VALUES_MAX: usize = 500_000;

/// A position in a JSON text.
pub(super) struct Scanner<'b> {
    text: &'b str,
    position: usize,
    values: usize,
}

impl<'b> Scanner<'b> {
    pub fn new(text: &'b str) -> Self {
        Scanner { text, position: 0, values: 0 }
    }

    /// The next byte that is no white space, without taking it.
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.position) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.position += 1;
        }
        None
    }

    /// Takes this byte if it is next.
    pub fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.position += 1)
    }

    /// Whether nothing but white space is left.
    pub fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// The text from a position to where the scanner stands.
    pub fn since(&self, start: usize) -> &'b str {
        &self.text[start..self.position]
    }

    /// A string with its quotes.
    pub fn string(&mut self) -> Option<&'b str> {
        self.take(b'"')?;
        let start = self.position - 1;
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.position)?;
            self.position += 1;
            match byte {
                b'"' => return Some(&self.text[start..self.position]),
                b'\\' => {
                    let escape = *bytes.get(self.position)?;
                    self.position += 1;
                    match escape {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            let digits = bytes.get(self.position..self.position + 4)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return None;
                            }
                            self.position += 4;
                        }
                        _ => return None,
                    }
                }
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    pub fn scalar(&mut self) -> Option<&'b str> {
        let first = self.peek()?;
        let start = self.position;
        let rest = &self.text[start..];
        let length = match first {
            b't' => word(rest, "true")?,
            b'f' => word(rest, "false")?,
            b'n' => word(rest, "null")?,
            _ => number_length(rest.as_bytes())?,
        };
        self.position += length;
        Some(&self.text[start..self.position])
    }

    /// Counts a value; `None` when there are too many.
    pub fn count(&mut self) -> Option<()> {
        self.values += 1;
        (self.values <= VALUES_MAX).then_some(())
    }

    /// Any value, as it stands.
    pub fn value(&mut self, depth: usize) -> Option<&'b str> {
        self.count()?;
        let first = self.peek()?;
        let start = self.position;
        match first {
            b'"' => self.string(),
            b'{' | b'[' => {
                let close = if first == b'{' { b'}' } else { b']' };
                self.take(first)?;
                if depth >= DEPTH_MAX {
                    return None;
                }
                if self.take(close).is_none() {
                    loop {
                        if first == b'{' {
                            self.string_key()?;
                        }
                        self.value(depth + 1)?;
                        if self.take(b',').is_none() {
                            break self.take(close)?;
                        }
                    }
                }
                Some(self.since(start))
            }
            _ => self.scalar(),
        }
    }

    /// A key and its colon; the key keeps its quotes.
    pub fn string_key(&mut self) -> Option<&'b str> {
        let key = self.string()?;
        self.take(b':')?;
        Some(key)
    }
}

fn word(rest: &str, word: &str) -> Option<usize> {
    rest.starts_with(word).then_some(word.len())
}

/// The length of the number at the start of the text.
fn number_length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let count = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut end = if bytes.get(start) == Some(&b'0') { start + 1 } else { digits(start)? };
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = digits(end + 1 + sign)?;
    }
    Some(end)
}

/// The content of a string that stands in quotes; `None` for half a surrogate pair, which is no text.
pub(super) fn unquote(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(quoted).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// What a value is, one level deep.
pub(super) enum Shape<'b> {
    /// Members in the order in which their keys came first, each with its last value.
    Object(Vec<(Cow<'b, str>, &'b str)>),
    /// Elements as they stand.
    Array(Vec<&'b str>),
    /// The content of a string.
    Text(Cow<'b, str>),
    /// `null`.
    Null,
    /// `true`, `false` or a number, as it stands.
    Scalar(&'b str),
}

/// Takes one level of a whole JSON text apart.
pub(super) fn shape(text: &str) -> Option<Shape<'_>> {
    let mut scanner = Scanner::new(text);
    let shape = match scanner.peek()? {
        b'{' => {
            scanner.take(b'{')?;
            let mut members = Members::default();
            if scanner.take(b'}').is_none() {
                loop {
                    let key = unquote(scanner.string_key()?)?;
                    scanner.peek()?;
                    let value = scanner.value(1)?;
                    members.insert(key, value);
                    if scanner.take(b',').is_none() {
                        break scanner.take(b'}')?;
                    }
                }
            }
            Shape::Object(members.list)
        }
        b'[' => {
            scanner.take(b'[')?;
            let mut elements = Vec::new();
            if scanner.take(b']').is_none() {
                loop {
                    scanner.peek()?;
                    elements.push(scanner.value(1)?);
                    if scanner.take(b',').is_none() {
                        break scanner.take(b']')?;
                    }
                }
            }
            Shape::Array(elements)
        }
        b'"' => Shape::Text(unquote(scanner.string()?)?),
        b'n' => {
            scanner.scalar()?;
            Shape::Null
        }
        _ => Shape::Scalar(scanner.scalar()?),
    };
    scanner.at_end().then_some(shape)
}

/// Members by key: the first place and the last value, as JavaScript, PHP and Python have it.
pub(super) struct Members<'b, V> {
    pub list: Vec<(Cow<'b, str>, V)>,
    places: std::collections::HashMap<Cow<'b, str>, usize>,
}

impl<V> Default for Members<'_, V> {
    fn default() -> Self {
        Members { list: Vec::new(), places: std::collections::HashMap::new() }
    }
}

impl<'b, V> Members<'b, V> {
    pub fn insert(&mut self, key: Cow<'b, str>, value: V) {
        match self.places.get(&key) {
            Some(place) => self.list[*place].1 = value,
            None => {
                self.places.insert(key.clone(), self.list.len());
                self.list.push((key, value));
            }
        }
    }
}

/// The value at a path, as it stands; the same steps as in places.
pub(super) fn find<'b>(text: &'b str, path: &[String]) -> Option<&'b str> {
    let mut here = text.trim_matches([' ', '\t', '\n', '\r']);
    // The whole document must be JSON, not only the branch that is taken.
    let mut whole = Scanner::new(here);
    whole.value(0)?;
    if !whole.at_end() {
        return None;
    }
    for step in path {
        here = match shape(here)? {
            Shape::Object(members) => {
                members.iter().find(|(key, _)| key.as_ref() == step.as_str())?.1
            }
            Shape::Array(elements) => {
                let index = if step == "*" { 0 } else { step.parse::<usize>().ok()? };
                elements.get(index)?
            }
            _ => return None,
        };
    }
    Some(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_json(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.value(0).is_some() && scanner.at_end()
    }

    #[test]
    fn the_grammar_is_that_of_the_standard() {
        for text in [
            "0",
            "-0",
            "1.50",
            "1e9",
            "-1.5E-7",
            "true",
            " null ",
            "\"\"",
            "\"\\u00e9\\n/\\/\"",
            "[]",
            "[1, 2 ]",
            "{}",
            "{\"a\" : [ {} ] }",
            "\"\u{2028}\u{7f}\"",
        ] {
            assert!(is_json(text), "{text}");
        }
        for text in [
            "",
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "-",
            "tru",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "[1 2]",
            "{} {}",
            "NaN",
        ] {
            assert!(!is_json(text), "{text}");
        }
        assert!(is_json(&("[".repeat(64) + &"]".repeat(64))));
        assert!(!is_json(&("[".repeat(65) + &"]".repeat(65))));
        assert!(!is_json(&"[".repeat(1_000_000)));
        let many = format!("[{}0]", "0,".repeat(VALUES_MAX));
        assert!(!is_json(&many));
    }

    #[test]
    fn paths_find_the_raw_text() {
        let text =
            r#" {"a": {"b" : [ 1.00, "x\/y" ]}, "a.b": {"c":null}, "d":1, "d": {"e" : 2 } } "#;
        for (path, expected) in [
            (&["a", "b"][..], Some("[ 1.00, \"x\\/y\" ]")),
            (&["a", "b", "0"], Some("1.00")),
            (&["a", "b", "*"], Some("1.00")),
            (&["a", "b", "1"], Some("\"x\\/y\"")),
            (&["a", "b", "2"], None),
            (&["a.b", "c"], Some("null")),
            (&["d"], Some("{\"e\" : 2 }")),
            (&["d", "e", "f"], None),
        ] {
            let path: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
            assert_eq!(find(text, &path), expected, "{path:?}");
        }
        assert_eq!(find("{\"a\":1} trailing", &["a".to_owned()]), None);
    }
}

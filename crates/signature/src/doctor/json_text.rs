//! The same JSON as other programs would have written it: spaces, order of keys, escapes.
//!
//! Invariants: numbers keep their text, and keys their order unless a variant says otherwise, because what a
//! sender signs is text; documents that are nested too deep are left alone.

use std::fmt::Write as _;

const DEPTH_MAX: usize = 64;

/// A document whose strings are decoded and whose other values are text.
enum Node<'j> {
    Text(&'j str),
    String { raw: &'j str, decoded: String },
    Array(Vec<Node<'j>>),
    Object(Vec<(Node<'j>, Node<'j>)>),
}

/// How values are set apart.
#[derive(Clone, Copy)]
struct Layout {
    name: &'static str,
    colon: &'static str,
    comma: &'static str,
    indent: Option<&'static str>,
}

const LAYOUTS: [Layout; 7] = [
    Layout { name: "as compact JSON", colon: ":", comma: ",", indent: None },
    Layout {
        name: "as JSON with a space after each `:` and `,`",
        colon: ": ",
        comma: ", ",
        indent: None,
    },
    Layout { name: "as JSON with a space after each `:`", colon: ": ", comma: ",", indent: None },
    Layout { name: "as JSON indented by two spaces", colon: ": ", comma: ",", indent: Some("  ") },
    Layout {
        name: "as JSON indented by four spaces",
        colon: ": ",
        comma: ",",
        indent: Some("    "),
    },
    Layout { name: "as JSON indented by tabs", colon: ": ", comma: ",", indent: Some("\t") },
    Layout { name: "as JSON with a space after each `,`", colon: ":", comma: ", ", indent: None },
];

/// How strings are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strings {
    AsTheyAre,
    Unescaped,
    Escaped,
    EscapedCapital,
    Slashes,
    SlashesEscaped,
    Html,
}

const STRINGS: [(Strings, &str); 7] = [
    (Strings::AsTheyAre, ""),
    (Strings::Unescaped, " with nothing escaped that need not be"),
    (Strings::Escaped, " with `\\u` escapes in small letters"),
    (Strings::EscapedCapital, " with `\\u` escapes in capital letters"),
    (Strings::Slashes, " with escaped slashes (`\\/`)"),
    (Strings::SlashesEscaped, " with escaped slashes (`\\/`) and `\\u` escapes"),
    (Strings::Html, " with `<`, `>` and `&` escaped"),
];

/// What is different about the first form of the body that passes.
pub(super) fn find(body: &[u8], passes: &impl Fn(&[u8]) -> bool) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = Reader { rest: text.trim_start() };
    let mut node = reader.node(0)?;
    if !reader.rest.trim().is_empty() || !matches!(node, Node::Object(_) | Node::Array(_)) {
        return None;
    }
    for sorted in [false, true] {
        if sorted {
            node.sort();
        }
        for (strings, how) in STRINGS {
            for layout in LAYOUTS {
                for end in ["", "\n"] {
                    let mut written = String::with_capacity(body.len() * 2);
                    node.write(&mut written, layout, strings, 0);
                    written.push_str(end);
                    if written.as_bytes() != body && passes(written.as_bytes()) {
                        let order = if sorted { " with its keys sorted" } else { "" };
                        let end = if end.is_empty() { "" } else { " and a line feed at the end" };
                        return Some(format!("{}{how}{order}{end}", layout.name));
                    }
                }
            }
        }
    }
    None
}

impl Node<'_> {
    fn sort(&mut self) {
        match self {
            Node::Text(_) | Node::String { .. } => {}
            Node::Array(items) => items.iter_mut().for_each(Node::sort),
            Node::Object(members) => {
                members.sort_by(|(one, _), (other, _)| one.key().cmp(other.key()));
                members.iter_mut().for_each(|(_, value)| value.sort());
            }
        }
    }

    fn key(&self) -> &str {
        match self {
            Node::String { decoded, .. } => decoded,
            _ => "",
        }
    }

    fn write(&self, out: &mut String, layout: Layout, strings: Strings, depth: usize) {
        match self {
            Node::Text(text) => out.push_str(text),
            Node::String { raw, decoded } => write_string(out, raw, decoded, strings),
            Node::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    separate(out, layout, at, depth + 1);
                    item.write(out, layout, strings, depth + 1);
                }
                end(out, layout, items.is_empty(), depth);
                out.push(']');
            }
            Node::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    separate(out, layout, at, depth + 1);
                    key.write(out, layout, strings, depth + 1);
                    out.push_str(layout.colon);
                    value.write(out, layout, strings, depth + 1);
                }
                end(out, layout, members.is_empty(), depth);
                out.push('}');
            }
        }
    }
}

fn separate(out: &mut String, layout: Layout, at: usize, depth: usize) {
    if at > 0 {
        out.push_str(layout.comma);
    }
    line(out, layout, depth);
}

fn end(out: &mut String, layout: Layout, empty: bool, depth: usize) {
    if !empty {
        line(out, layout, depth);
    }
}

fn line(out: &mut String, layout: Layout, depth: usize) {
    if let Some(indent) = layout.indent {
        out.push('\n');
        (0..depth).for_each(|_| out.push_str(indent));
    }
}

fn write_string(out: &mut String, raw: &str, decoded: &str, strings: Strings) {
    out.push('"');
    if strings == Strings::AsTheyAre {
        out.push_str(raw);
        out.push('"');
        return;
    }
    let slashes = matches!(strings, Strings::Slashes | Strings::SlashesEscaped);
    let ascii =
        matches!(strings, Strings::Escaped | Strings::EscapedCapital | Strings::SlashesEscaped);
    for character in decoded.chars() {
        let escaped = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '/' if slashes => "\\/",
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if strings == Strings::Html => {
                unit(out, u16::try_from(u32::from(character)).unwrap_or_default(), false);
                continue;
            }
            character if character < ' ' || (ascii && !character.is_ascii()) => {
                for code in character.encode_utf16(&mut [0; 2]) {
                    unit(out, *code, strings == Strings::EscapedCapital);
                }
                continue;
            }
            character => {
                out.push(character);
                continue;
            }
        };
        out.push_str(escaped);
    }
    out.push('"');
}

fn unit(out: &mut String, code: u16, capital: bool) {
    // Writing to a string cannot fail.
    let _ = if capital { write!(out, "\\u{code:04X}") } else { write!(out, "\\u{code:04x}") };
}

/// Takes a document apart.
struct Reader<'j> {
    rest: &'j str,
}

impl<'j> Reader<'j> {
    fn node(&mut self, depth: usize) -> Option<Node<'j>> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.rest = self.rest.trim_start();
        match self.rest.as_bytes().first()? {
            b'"' => self.string(),
            b'[' => {
                let mut items = Vec::new();
                self.list(']', |reader| {
                    items.push(reader.node(depth + 1)?);
                    Some(())
                })?;
                Some(Node::Array(items))
            }
            b'{' => {
                let mut members = Vec::new();
                self.list('}', |reader| {
                    reader.rest = reader.rest.trim_start();
                    let key = reader.string()?;
                    reader.rest = reader.rest.trim_start().strip_prefix(':')?;
                    members.push((key, reader.node(depth + 1)?));
                    Some(())
                })?;
                Some(Node::Object(members))
            }
            _ => {
                let end = self.rest.find([',', ']', '}']).unwrap_or(self.rest.len());
                let (text, rest) = self.rest.split_at(end);
                self.rest = rest;
                let text = text.trim_end();
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
                (!text.is_empty() && text.bytes().all(plain)).then_some(Node::Text(text))
            }
        }
    }

    fn list(&mut self, close: char, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.rest = self.rest[1..].trim_start();
        if let Some(rest) = self.rest.strip_prefix(close) {
            self.rest = rest;
            return Some(());
        }
        loop {
            item(self)?;
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                return Some(());
            }
            self.rest = self.rest.strip_prefix(',')?;
        }
    }

    fn string(&mut self) -> Option<Node<'j>> {
        let inside = self.rest.strip_prefix('"')?;
        let mut escaped = false;
        let end = inside.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        let decoded = serde_json::from_str(&self.rest[..end + 2]).ok()?;
        self.rest = &inside[end + 1..];
        Some(Node::String { raw: &inside[..end], decoded })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(came: &str, signed: &str) -> Option<String> {
        find(came.as_bytes(), &|body| body == signed.as_bytes())
    }

    #[test]
    fn what_other_programs_write_is_found() {
        for (came, signed, wanted) in [
            (r#"{ "b": 1.0, "a" : [ ] }"#, r#"{"b":1.0,"a":[]}"#, "as compact JSON"),
            (
                r#"{"a":"x:,\"y","b":[1,2]}"#,
                r#"{"a": "x:,\"y", "b": [1, 2]}"#,
                "as JSON with a space after each `:` and `,`",
            ),
            (
                "{\"a\":[1,{}]}",
                "{\n  \"a\": [\n    1,\n    {}\n  ]\n}\n",
                "as JSON indented by two spaces and a line feed at the end",
            ),
            (
                r#"{"b":"ü","a":"é😀"}"#,
                r#"{"b":"\u00fc","a":"\u00e9\ud83d\ude00"}"#,
                "as compact JSON with `\\u` escapes in small letters",
            ),
            (r#"{"u":"a/b"}"#, r#"{"u":"a\/b"}"#, "as compact JSON with escaped slashes (`\\/`)"),
            (r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#, "as compact JSON with its keys sorted"),
            (
                r#"{"a":"<&>"}"#,
                r#"{"a":"\u003c\u0026\u003e"}"#,
                "as compact JSON with `<`, `>` and `&` escaped",
            ),
        ] {
            assert_eq!(found(came, signed).as_deref(), Some(wanted), "{came}");
        }
        for none in ["", "1", "x", "{", "{\"a\":}", "[1 2]", "{} x", "\"a\""] {
            assert_eq!(find(none.as_bytes(), &|_| true), None, "{none}");
        }
        assert_eq!(find("[".repeat(100_000).as_bytes(), &|_| true), None);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_or_left(text: String) {
            find(text.as_bytes(), &|_| false);
        }
    }
}

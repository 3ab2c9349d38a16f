//! JSON as a row of tokens that keep the sender's spelling: escapes, number forms, repeated keys.
//!
//! Invariants: only what `serde_json` accepts is split, so that the scanner need not judge; a token's
//! text is exactly what was sent; a layout is only chosen if it gives back the same bytes.
//!
//! Deliberately absent: values. A recording that went through numbers and maps would no longer be
//! what was sent, and many signatures and handlers notice.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Open,
    Close,
    Colon,
    Comma,
    /// A string, quotes included.
    Text,
    /// A number, `true`, `false` or `null`.
    Plain,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// The tokens of a JSON document; `None` if it is none, or nested too deeply to be walked.
pub(crate) fn tokens(text: &str) -> Option<Vec<Token>> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        at += 1;
        let kind = match bytes[start] {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'{' | b'[' => Kind::Open,
            b'}' | b']' => Kind::Close,
            b':' => Kind::Colon,
            b',' => Kind::Comma,
            b'"' => {
                while bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                Kind::Text
            }
            _ => {
                while at < bytes.len() && !b" \t\r\n,]}".contains(&bytes[at]) {
                    at += 1;
                }
                Kind::Plain
            }
        };
        found.push(Token { kind, start, end: at });
    }
    Some(found)
}

/// One step of the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// A way to a value, as people write it: `data.items[0].email`.
pub(crate) struct Shown<'p>(pub &'p [Step]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(formatter, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if place == 0 { "" } else { "." };
                    write!(formatter, "{dot}{key}")?;
                }
            }
        }
        Ok(())
    }
}

/// What a walk comes by: a member's name, or a value that holds no others.
pub(crate) enum Met {
    Name,
    Leaf,
}

/// Walks the tokens in order and tells each name and leaf with the way to it (a name with the way to
/// its object).
pub(crate) fn walk(text: &str, tokens: &[Token], mut meet: impl FnMut(Met, &[Step], Token)) {
    let mut path: Vec<Step> = Vec::new();
    // For each open container: whether it is an object.
    let mut open: Vec<bool> = Vec::new();
    let mut is_name = false;
    for (place, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Open => {
                let object = text.as_bytes()[token.start] == b'{';
                open.push(object);
                is_name = object;
                let empty = tokens.get(place + 1).is_some_and(|next| next.kind == Kind::Close);
                // Closing takes a step away, and the last name of an object is one.
                if !object || empty {
                    path.push(Step::Index(0));
                }
            }
            Kind::Close => {
                open.pop();
                path.pop();
                is_name = false;
            }
            Kind::Comma => match (open.last(), path.last_mut()) {
                (Some(true), _) => {
                    path.pop();
                    is_name = true;
                }
                (_, Some(Step::Index(index))) => *index += 1,
                _ => {}
            },
            Kind::Colon => is_name = false,
            Kind::Text if is_name => {
                meet(Met::Name, &path, *token);
                let raw = &text[token.start..token.end];
                path.push(Step::Key(unquoted(raw)));
            }
            Kind::Text | Kind::Plain => meet(Met::Leaf, &path, *token),
        }
    }
}

/// What a string says.
pub(crate) fn unquoted(raw: &str) -> String {
    // Lone surrogates are legal JSON that is no text; such a string stands for its spelling.
    serde_json::from_str(raw).unwrap_or_else(|_| raw.trim_matches('"').to_owned())
}

/// Where a sender puts white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// None at all.
    Compact,
    /// A space after each comma and colon, on one line.
    Spaced,
    /// Lines indented by two spaces.
    #[serde(rename = "indent-2")]
    Indent2,
    /// Lines indented by four spaces.
    #[serde(rename = "indent-4")]
    Indent4,
    /// Lines indented by tabs.
    Tabs,
}

impl Layout {
    const ALL: [Self; 5] = [Self::Compact, Self::Spaced, Self::Indent2, Self::Indent4, Self::Tabs];

    /// The layout in which a document was written; `None` if it is none of these.
    pub(crate) fn of(text: &str, tokens: &[Token]) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.write(text, tokens) == text)
    }

    const fn indent(self) -> Option<&'static str> {
        match self {
            Self::Compact | Self::Spaced => None,
            Self::Indent2 => Some("  "),
            Self::Indent4 => Some("    "),
            Self::Tabs => Some("\t"),
        }
    }

    /// The tokens with this layout's white space.
    pub(crate) fn write(self, text: &str, tokens: &[Token]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut depth = 0_usize;
        let line = |out: &mut String, depth: usize| {
            if let Some(indent) = self.indent() {
                out.push('\n');
                (0..depth).for_each(|_| out.push_str(indent));
            }
        };
        for (place, token) in tokens.iter().enumerate() {
            let raw = &text[token.start..token.end];
            let next = tokens.get(place + 1).map(|next| next.kind);
            let previous = place.checked_sub(1).map(|place| tokens[place].kind);
            match token.kind {
                Kind::Close if previous != Some(Kind::Open) => {
                    depth -= 1;
                    line(&mut out, depth);
                }
                Kind::Close => depth -= 1,
                _ => {}
            }
            out.push_str(raw);
            match token.kind {
                Kind::Open => {
                    depth += 1;
                    if next != Some(Kind::Close) {
                        line(&mut out, depth);
                    }
                }
                Kind::Comma if self == Self::Spaced => out.push(' '),
                Kind::Comma => line(&mut out, depth),
                Kind::Colon if self != Self::Compact => out.push(' '),
                _ => {}
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        walk(text, &tokens(text).unwrap(), |met, path, token| {
            let sign = if matches!(met, Met::Name) { "*" } else { "" };
            found.push(format!("{sign}{}={}", Shown(path), &text[token.start..token.end]));
        });
        found
    }

    #[test]
    fn every_leaf_has_its_way() {
        let text = r#"{"a": [1, {"b\"": "x"}, [], {}, [true]], "c": {"d": null}, "e": {}}"#;
        assert_eq!(
            leaves(text),
            [
                "*=\"a\"",
                "a[0]=1",
                "*a[1]=\"b\\\"\"",
                "a[1].b\"=\"x\"",
                "a[4][0]=true",
                "*=\"c\"",
                "*c=\"d\"",
                "c.d=null",
                "*=\"e\"",
            ]
        );
        assert_eq!(leaves("7"), ["=7"]);
        assert!(tokens("{").is_none());
    }

    #[test]
    fn layouts_give_back_what_they_are_found_in() {
        for (text, layout) in [
            (r#"{"a":[1,{"b":{}}],"c":[]}"#, Some(Layout::Compact)),
            (r#"{"a": [1, {"b": {}}], "c": []}"#, Some(Layout::Spaced)),
            ("{\n  \"a\": [\n    1\n  ],\n  \"c\": {}\n}", Some(Layout::Indent2)),
            ("{\n    \"a\": 1.0\n}", Some(Layout::Indent4)),
            ("{\n\t\"a\": \"\\u00e9\"\n}", Some(Layout::Tabs)),
            ("{ \"a\":1}", None),
        ] {
            let found = tokens(text).unwrap();
            assert_eq!(Layout::of(text, &found), layout, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_layout_can_be_read_back(values: Vec<(String, Vec<i32>)>) {
            let value = serde_json::json!({ "all": values });
            let compact = value.to_string();
            let split = tokens(&compact).unwrap();
            for layout in Layout::ALL {
                let written = layout.write(&compact, &split);
                let again = tokens(&written).unwrap();
                proptest::prop_assert_eq!(&Layout::Compact.write(&written, &again), &compact);
            }
        }
    }
}

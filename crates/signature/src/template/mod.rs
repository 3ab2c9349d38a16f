//! The small language inside entries: texts with `{variables}` and `{functions(…)}`.
//!
//! Invariants: parsing happens once, when an entry is read; evaluation (in `scope`) never parses.
//! Grammar: text, `{{` and `}}` for braces, `{expr}`; an expression is a variable, `'text'`, or
//! `function(expr+expr+…)`, of which one may stand inside another; `?` after a variable makes it empty
//! instead of missing. The variables and functions themselves are in `expr`.
//! A [`Place`] is the same language where a bare `header:x` needs no braces.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

mod expr;

pub use expr::{Expr, Function};

/// One value or a list of them; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(Vec<T>);

/// By hand, because an untagged enum would hide what is wrong with the text inside.
impl<'de, T: TryFrom<String, Error: fmt::Display>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Vec<String>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
                Ok(vec![text.to_owned()])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<String>, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                Ok(texts)
            }
        }

        let values = deserializer
            .deserialize_any(Texts)?
            .into_iter()
            .map(|text| T::try_from(text).map_err(D::Error::custom))
            .collect::<Result<Vec<T>, _>>()?;
        if values.is_empty() {
            return Err(D::Error::custom("the list is empty: give at least one"));
        }
        Ok(OneOrMany(values))
    }
}

impl<T> OneOrMany<T> {
    /// A list of one.
    pub fn one(value: T) -> Self {
        OneOrMany(vec![value])
    }
}

impl<T> std::ops::Deref for OneOrMany<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

/// A text with variables, as in a scheme's `message`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    parts: Vec<Expr>,
}

/// Where something is: `header:x-id`, `json:event.type`, or a template around several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place(Template);

impl Template {
    /// The template `{body}`.
    pub fn body() -> Self {
        Template { text: "{body}".to_owned(), parts: vec![Expr::Body] }
    }

    /// Parses a template; the error says what is wrong and what exists.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(position) = rest.find(['{', '}']) {
            literal.push_str(&rest[..position]);
            let brace = &rest[position..=position];
            let after = &rest[position + 1..];
            if after.starts_with(brace) {
                literal.push_str(brace);
                rest = &after[1..];
                continue;
            }
            if brace == "}" {
                return Err(format!("`{text}` has a `}}` without `{{`: write `}}}}` for a brace"));
            }
            let end = after.find('}').ok_or_else(|| {
                format!("`{text}` has a `{{` without `}}`: write `{{{{` for a brace")
            })?;
            if !literal.is_empty() {
                parts.push(Expr::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Expr::parse(&after[..end])?);
            rest = &after[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Expr::Literal(literal));
        }
        Ok(Template { text: text.to_owned(), parts })
    }

    /// The parts in order.
    pub fn parts(&self) -> &[Expr] {
        &self.parts
    }

    /// Every variable, including those inside functions.
    pub fn variables(&self) -> impl Iterator<Item = &Expr> {
        let mut found = Vec::new();
        for part in &self.parts {
            part.collect_variables(&mut found);
        }
        found.into_iter()
    }

    /// Whether the body, whole or as its sorted form fields, is part of the text. A checksum does not count:
    /// anybody can write another body with the same one.
    pub fn covers_body(&self) -> bool {
        self.parts.iter().any(Expr::covers_body)
    }

    /// Whether the template holds this variable.
    pub fn uses(&self, wanted: &Expr) -> bool {
        self.variables().any(|variable| variable == wanted)
    }
}

impl Place {
    /// Parses a place: a bare variable, or a template if there is a brace.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('{') {
            return Template::parse(text).map(Place);
        }
        Ok(Place(Template { text: text.to_owned(), parts: vec![Expr::parse(text)?] }))
    }

    /// The only variable, when the place is nothing else.
    pub fn single(&self) -> Option<&Expr> {
        match self.0.parts() {
            [Expr::Literal(_)] => None,
            [only] => Some(only),
            _ => None,
        }
    }
}

impl std::ops::Deref for Place {
    type Target = Template;

    fn deref(&self) -> &Template {
        &self.0
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Template::parse(&text)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Place::parse(&text)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.0.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_parse() {
        let template = Template::parse("v0:{ts}:{body}").expect("parses");
        assert_eq!(
            template.parts(),
            [
                Expr::Literal("v0:".to_owned()),
                Expr::Timestamp,
                Expr::Literal(":".to_owned()),
                Expr::Body
            ]
        );
        assert!(template.covers_body());
        let json = Template::parse(r#"{{"a":"{json_text(json:a.b+'x)')}"}}"#).expect("parses");
        assert_eq!(json.parts().len(), 3);
        assert_eq!(json.parts()[1].to_string(), "json_text(json:a.b+'x)')");
    }

    #[test]
    fn wrong_templates_say_what_is_wrong() {
        for (text, part) in [
            ("{bodi}", "is no variable"),
            ("{md4(body)}", "is no function"),
            ("{part:}", "lacks a name"),
            ("{body", "without `}`"),
            ("body}", "without `{`"),
            ("{header:}", "no header name"),
            ("{query:}", "lacks a name"),
            ("{sha256hex(body}", "closing parenthesis"),
            ("{lower(lower(lower(body)))}", "no further function"),
            ("{'x}", "closing quote"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_covers_the_body() {
        for (text, covers) in [
            ("{sha256hex(body)}", true),
            ("{upper(md5hex(body))}", true),
            ("{crc32(body)}", false),
            ("{json:a}{url}", false),
        ] {
            assert_eq!(Template::parse(text).expect("parses").covers_body(), covers, "{text}");
        }
    }

    #[test]
    fn bare_places() {
        assert!(Place::parse("header:X-Id").expect("parses").single().is_some());
        assert!(Place::parse("{json:a}.{json:b}").expect("parses").single().is_none());
        assert!(Place::parse("nonsense").is_err());
    }
}

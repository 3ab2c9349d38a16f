//! The small language inside entries: texts with `{variables}` and `{functions(…)}`.
//!
//! Invariants: parsing happens once, when an entry is read; evaluation (in `scope`) never parses.
//! Grammar: text, `{{` and `}}` for braces, `{expr}`; an expression is a variable, `'text'`, or
//! `function(expr+expr+…)`; `?` after a variable makes it empty instead of missing.
//! A [`Place`] is the same language where a bare `header:x` needs no braces.

use std::fmt;

use http::HeaderName;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::json_path::JsonPath;

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

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Text as it is.
    Literal(String),
    /// `body`: the raw bytes.
    Body,
    /// `ts`: the timestamp's text as it came.
    Timestamp,
    /// `method`.
    Method,
    /// `url`: the public URL in the form that is being tried.
    Url,
    /// `path`: the public URL's path.
    Path,
    /// `secret`: the secret that is being tried.
    Secret,
    /// `content_type`: the media type in lower case, without parameters.
    ContentType,
    /// `sorted_form`: names and values of a form body, sorted, doubles removed, nothing in between.
    SortedForm,
    /// `event_type`: when signing, the wanted event type.
    EventType,
    /// `delivery_id`: when signing, the wanted delivery id.
    DeliveryId,
    /// `header:NAME`.
    Header(HeaderName),
    /// `query:NAME`: the decoded first value.
    Query(String),
    /// `form:NAME`: the decoded first value in a form body.
    Form(String),
    /// `json:PATH`: the text of a string, the raw text of anything else in a JSON body.
    Json(JsonPath),
    /// `field:NAME`: a field beside the signature in the signature's text.
    Field(String),
    /// `credential:NAME`: a named credential.
    Credential(String),
    /// `VARIABLE?`.
    Optional(Box<Expr>),
    /// `FUNCTION(expr+expr)`.
    Call(Function, Vec<Expr>),
}

/// The functions of templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// SHA-256 in lower-case hex.
    Sha256Hex,
    /// SHA-256 in base64.
    Sha256Base64,
    /// SHA-1 in lower-case hex.
    Sha1Hex,
    /// HMAC with the first secret, in the first HMAC scheme's hash, in lower-case hex.
    HmacHex,
    /// The same in base64.
    HmacBase64,
    /// Escaped for the inside of a JSON string.
    JsonText,
    /// In lower case.
    Lower,
}

const FUNCTIONS: [(&str, Function); 7] = [
    ("sha256hex", Function::Sha256Hex),
    ("sha256b64", Function::Sha256Base64),
    ("sha1hex", Function::Sha1Hex),
    ("hmac_hex", Function::HmacHex),
    ("hmac_b64", Function::HmacBase64),
    ("json_text", Function::JsonText),
    ("lower", Function::Lower),
];

const VARIABLES: [(&str, Expr); 10] = [
    ("body", Expr::Body),
    ("ts", Expr::Timestamp),
    ("method", Expr::Method),
    ("url", Expr::Url),
    ("path", Expr::Path),
    ("secret", Expr::Secret),
    ("content_type", Expr::ContentType),
    ("sorted_form", Expr::SortedForm),
    ("event_type", Expr::EventType),
    ("delivery_id", Expr::DeliveryId),
];

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

    /// Whether the body, whole or as its sorted form fields, is part of the text.
    pub fn covers_body(&self) -> bool {
        self.variables().any(|variable| matches!(variable, Expr::Body | Expr::SortedForm))
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

impl Expr {
    fn parse(text: &str) -> Result<Expr, String> {
        let (expression, rest) = Expr::parse_prefix(text)?;
        if rest.is_empty() {
            Ok(expression)
        } else {
            Err(format!("`{rest}` in `{text}` is not understood"))
        }
    }

    fn parse_prefix(text: &str) -> Result<(Expr, &str), String> {
        if let Some(after) = text.strip_prefix('\'') {
            let end =
                after.find('\'').ok_or_else(|| format!("`{text}` lacks the closing quote"))?;
            return Ok((Expr::Literal(after[..end].to_owned()), &after[end + 1..]));
        }
        let end = text.find(['(', ')', '+']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let Some(arguments) = rest.strip_prefix('(') else {
            return Ok((Expr::parse_variable(name)?, rest));
        };
        let function = FUNCTIONS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, function)| *function)
            .ok_or_else(|| {
                let known: Vec<&str> = FUNCTIONS.iter().map(|(known, _)| *known).collect();
                format!("`{name}` is no function: use one of {}", known.join(", "))
            })?;
        let mut inner = Vec::new();
        let mut rest = arguments;
        loop {
            let (argument, after) = Expr::parse_argument(rest)?;
            inner.push(argument);
            if let Some(more) = after.strip_prefix('+') {
                rest = more;
            } else if let Some(after) = after.strip_prefix(')') {
                return Ok((Expr::Call(function, inner), after));
            } else {
                return Err(format!("`{text}` lacks a closing parenthesis"));
            }
        }
    }

    /// Functions do not nest: a bound on depth, and no entry has needed it.
    fn parse_argument(text: &str) -> Result<(Expr, &str), String> {
        let end = text.find(['(', ')', '+', '\'']).unwrap_or(text.len());
        if text[end..].starts_with('(') {
            return Err(format!("`{text}`: a function cannot be inside another"));
        }
        Expr::parse_prefix(text)
    }

    fn parse_variable(text: &str) -> Result<Expr, String> {
        if let Some(inner) = text.strip_suffix('?') {
            return Ok(Expr::Optional(Box::new(Expr::parse_variable(inner)?)));
        }
        if let Some((_, variable)) = VARIABLES.iter().find(|(name, _)| *name == text) {
            return Ok(variable.clone());
        }
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let named = |make: fn(String) -> Expr| {
            if name.is_empty() {
                Err(format!("`{text}` lacks a name after `{kind}:`"))
            } else {
                Ok(make(name.to_owned()))
            }
        };
        match kind {
            "header" => HeaderName::try_from(name)
                .map(Expr::Header)
                .map_err(|_| format!("`{name}` is no header name")),
            "json" => JsonPath::parse(name).map(Expr::Json),
            "query" => named(Expr::Query),
            "form" => named(Expr::Form),
            "field" => named(Expr::Field),
            "credential" => named(Expr::Credential),
            _ => Err(format!(
                "`{text}` is no variable: use body, ts, method, url, path, secret, content_type, sorted_form, \
                 header:NAME, query:NAME, json:PATH, form:NAME, field:NAME or credential:NAME"
            )),
        }
    }

    fn collect_variables<'a>(&'a self, found: &mut Vec<&'a Expr>) {
        match self {
            Expr::Literal(_) => {}
            Expr::Optional(inner) => inner.collect_variables(found),
            Expr::Call(_, arguments) => {
                for argument in arguments {
                    argument.collect_variables(found);
                }
            }
            variable => found.push(variable),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = VARIABLES.iter().find(|(_, variable)| variable == self) {
            return formatter.write_str(name);
        }
        match self {
            Expr::Literal(text) => write!(formatter, "'{text}'"),
            Expr::Header(name) => write!(formatter, "header:{name}"),
            Expr::Query(name) => write!(formatter, "query:{name}"),
            Expr::Form(name) => write!(formatter, "form:{name}"),
            Expr::Json(path) => write!(formatter, "json:{path}"),
            Expr::Field(name) => write!(formatter, "field:{name}"),
            Expr::Credential(name) => write!(formatter, "credential:{name}"),
            Expr::Optional(inner) => write!(formatter, "{inner}?"),
            Expr::Call(function, arguments) => {
                let name = FUNCTIONS
                    .iter()
                    .find(|(_, known)| known == function)
                    .map_or("", |(name, _)| *name);
                write!(formatter, "{name}(")?;
                for (position, argument) in arguments.iter().enumerate() {
                    let plus = if position == 0 { "" } else { "+" };
                    write!(formatter, "{plus}{argument}")?;
                }
                formatter.write_str(")")
            }
            _ => Ok(()),
        }
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
            ("{body", "without `}`"),
            ("body}", "without `{`"),
            ("{header:}", "no header name"),
            ("{query:}", "lacks a name"),
            ("{sha256hex(body}", "closing parenthesis"),
            ("{lower(lower(body))}", "inside another"),
            ("{'x}", "closing quote"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn bare_places() {
        assert!(Place::parse("header:X-Id").expect("parses").single().is_some());
        assert!(Place::parse("{json:a}.{json:b}").expect("parses").single().is_none());
        assert!(Place::parse("nonsense").is_err());
    }
}

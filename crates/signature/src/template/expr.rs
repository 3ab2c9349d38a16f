//! The variables and functions of templates, and how they are written.
//!
//! Invariants: whatever parses is written again the same way; a function may contain another, which contains
//! none. Evaluating them is the business of `scope`.

use std::fmt;

use http::HeaderName;

use crate::json_path::JsonPath;

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
    /// `built`: the text that the scheme's `build` makes.
    Built,
    /// `rate_per_minute`: how many requests a minute the source takes; `*` when that is not limited.
    RatePerMinute,
    /// `host`: the host of the public URL, with the port if it has one.
    Host,
    /// `path_query`: the public URL's path and query.
    PathQuery,
    /// `first_key`, `first_key:A,B`: the first key of the JSON object that is none of these.
    FirstKey(Vec<String>),
    /// `token`: the claims of the JSON Web Token that is the whole body.
    Token,
    /// `header:NAME`.
    Header(HeaderName),
    /// `query:NAME`: the decoded first value.
    Query(String),
    /// `form:NAME`: the decoded first value in a form body.
    Form(String),
    /// `part:NAME`: the content of a part of a `multipart/form-data` body.
    Part(String),
    /// `json:PATH`: the text of a string, the raw text of anything else in the entry's payload.
    Json(JsonPath),
    /// `claim:PATH`: the same in the claims of the scheme's JSON Web Token.
    Claim(JsonPath),
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
    /// SHA-256 in base64 with the URL-safe alphabet and without padding.
    Sha256Base64url,
    /// SHA-1 in lower-case hex.
    Sha1Hex,
    /// SHA-384 in lower-case hex.
    Sha384Hex,
    /// SHA-512 in lower-case hex.
    Sha512Hex,
    /// SHA-512 in base64.
    Sha512Base64,
    /// MD5 in lower-case hex.
    Md5Hex,
    /// The checksum CRC-32 (of zip and PNG) as a decimal number.
    Crc32,
    /// HMAC with the first secret, in the first HMAC scheme's hash, in lower-case hex.
    HmacHex,
    /// The same in base64.
    HmacBase64,
    /// In base64.
    Base64,
    /// In base64 with the URL-safe alphabet and without padding.
    Base64url,
    /// Decoded from base64, either alphabet; missing when it is none.
    Unbase64,
    /// Escaped for the inside of a JSON string.
    JsonText,
    /// In lower case.
    Lower,
    /// In upper case.
    Upper,
    /// With `%20` and the like (and `+`) decoded.
    UrlDecode,
    /// With everything but letters, digits and `-_.~` written as `%20`.
    UrlEncode,
}

/// How deep functions may stand inside each other.
const NESTED_MAX: u8 = 2;

const FUNCTIONS: [(&str, Function); 19] = [
    ("sha256hex", Function::Sha256Hex),
    ("sha256b64", Function::Sha256Base64),
    ("sha256b64url", Function::Sha256Base64url),
    ("sha1hex", Function::Sha1Hex),
    ("sha384hex", Function::Sha384Hex),
    ("sha512hex", Function::Sha512Hex),
    ("sha512b64", Function::Sha512Base64),
    ("md5hex", Function::Md5Hex),
    ("crc32", Function::Crc32),
    ("hmac_hex", Function::HmacHex),
    ("hmac_b64", Function::HmacBase64),
    ("base64", Function::Base64),
    ("base64url", Function::Base64url),
    ("unbase64", Function::Unbase64),
    ("json_text", Function::JsonText),
    ("lower", Function::Lower),
    ("upper", Function::Upper),
    ("url_decode", Function::UrlDecode),
    ("url_encode", Function::UrlEncode),
];

const VARIABLES: [(&str, Expr); 16] = [
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
    ("built", Expr::Built),
    ("rate_per_minute", Expr::RatePerMinute),
    ("host", Expr::Host),
    ("path_query", Expr::PathQuery),
    ("first_key", Expr::FirstKey(Vec::new())),
    ("token", Expr::Token),
];

impl Function {
    fn named(name: &str) -> Result<Function, String> {
        let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
        found.map(|(_, function)| *function).ok_or_else(|| {
            let known = FUNCTIONS.map(|(known, _)| known).join(", ");
            format!("`{name}` is no function: use one of {known}")
        })
    }

    fn name(self) -> &'static str {
        FUNCTIONS.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| *name)
    }
}

impl Expr {
    pub(super) fn parse(text: &str) -> Result<Expr, String> {
        let (expression, rest) = Expr::parse_prefix(text, NESTED_MAX)?;
        if rest.is_empty() {
            Ok(expression)
        } else {
            Err(format!("`{rest}` in `{text}` is not understood"))
        }
    }

    /// Reads one expression; `depth` is how many functions may still be opened.
    fn parse_prefix(text: &str, depth: u8) -> Result<(Expr, &str), String> {
        if let Some(after) = text.strip_prefix('\'') {
            let end =
                after.find('\'').ok_or_else(|| format!("`{text}` lacks the closing quote"))?;
            return Ok((Expr::Literal(after[..end].to_owned()), &after[end + 1..]));
        }
        let end = text.find(['(', ')', '+', '\'']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let Some(arguments) = rest.strip_prefix('(') else {
            return Ok((Expr::parse_variable(name)?, rest));
        };
        // A bound on depth; no provider has needed more.
        let Some(depth) = depth.checked_sub(1) else {
            return Err(format!(
                "`{text}`: a function may be inside another, which takes no further function"
            ));
        };
        let function = Function::named(name)?;
        let mut inner = Vec::new();
        let mut rest = arguments;
        loop {
            let (argument, after) = Expr::parse_prefix(rest, depth)?;
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
            "claim" => JsonPath::parse(name).map(Expr::Claim),
            "part" => named(Expr::Part),
            "first_key" => named(|names| {
                Expr::FirstKey(names.split(',').map(|name| name.trim().to_owned()).collect())
            }),
            "query" => named(Expr::Query),
            "form" => named(Expr::Form),
            "field" => named(Expr::Field),
            "credential" => named(Expr::Credential),
            _ => Err(format!(
                "`{text}` is no variable: use {}, header:NAME, query:NAME, json:PATH, form:NAME, part:NAME, \
                 field:NAME, claim:PATH or credential:NAME",
                VARIABLES.map(|(name, _)| name).join(", ")
            )),
        }
    }

    /// Whether the whole body is part of this, or a hash of it.
    pub(super) fn covers_body(&self) -> bool {
        match self {
            Expr::Body | Expr::SortedForm => true,
            Expr::Call(Function::Crc32, _) => false,
            Expr::Call(_, arguments) => arguments.iter().any(Expr::covers_body),
            Expr::Optional(inner) => inner.covers_body(),
            _ => false,
        }
    }

    pub(super) fn collect_variables<'a>(&'a self, found: &mut Vec<&'a Expr>) {
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
            Expr::FirstKey(names) => write!(formatter, "first_key:{}", names.join(",")),
            Expr::Part(name) => write!(formatter, "part:{name}"),
            Expr::Json(path) => write!(formatter, "json:{path}"),
            Expr::Claim(path) => write!(formatter, "claim:{path}"),
            Expr::Field(name) => write!(formatter, "field:{name}"),
            Expr::Credential(name) => write!(formatter, "credential:{name}"),
            Expr::Optional(inner) => write!(formatter, "{inner}?"),
            Expr::Call(function, arguments) => {
                let name = function.name();
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

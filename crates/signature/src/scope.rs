//! Evaluating templates against one request.
//!
//! Invariants: raw bytes are spliced, never re-encoded; nothing is parsed unless a variable needs it; a
//! header that came more than once is never joined or picked from, it is reported. Next: `verifier`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::builders::BuildSpec;
use crate::candidates::{field, token_field};
use crate::functions;
use crate::hashing::{MacKey, hash};
use crate::json_path::first_key;
use crate::jwt;
use crate::multipart;
use crate::request::RequestView;
use crate::scheme::{Charset, Condition, Digest, SignatureSpec};
use crate::template::{Expr, Function, Place, Template};
use crate::url_text;

/// Everything a template may read.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub request: RequestView<'a>,
    /// The public URL in the form that is being tried.
    pub url: &'a str,
    pub named: &'a BTreeMap<String, String>,
    pub timestamp: Option<&'a str>,
    /// The signature's text and how it is split, for `field:`.
    pub signature: Option<(&'a str, &'a SignatureSpec)>,
    pub secret: Option<&'a [u8]>,
    /// The signature's text is a token, so that its fields are the members of the token's header.
    pub is_token: bool,
    /// The key with which challenges are answered.
    pub hmac: Option<&'a MacKey>,
    /// Where the JSON document is; the body when absent.
    pub payload: Option<&'a [Place]>,
    /// How `{built}` is made.
    pub build: Option<&'a BuildSpec>,
    /// The claims of a token, as JSON.
    pub claims: Option<&'a [u8]>,
    pub rate_per_minute: Option<u64>,
    pub event_type: Option<&'a str>,
    pub delivery_id: Option<&'a str>,
}

/// Why a variable has no value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Absent<'a> {
    /// It is not in the request.
    Missing(&'a Expr),
    /// The header, parameter, field or part came more than once.
    Repeated(&'a Expr),
}

pub(crate) type Value<'a> = Result<Cow<'a, [u8]>, Absent<'a>>;

impl<'a> Scope<'a> {
    pub fn new(
        request: RequestView<'a>,
        url: &'a str,
        named: &'a BTreeMap<String, String>,
    ) -> Self {
        Scope {
            request,
            url,
            named,
            timestamp: None,
            signature: None,
            secret: None,
            is_token: false,
            hmac: None,
            payload: None,
            build: None,
            claims: None,
            rate_per_minute: None,
            event_type: None,
            delivery_id: None,
        }
    }

    /// One variable's bytes.
    pub fn value(&self, expr: &'a Expr) -> Value<'a> {
        let found = match expr {
            Expr::Literal(text) => Some(Cow::Borrowed(text.as_bytes())),
            Expr::Body => Some(Cow::Borrowed(self.request.body)),
            Expr::Timestamp => self.timestamp.map(borrowed),
            Expr::Method => Some(borrowed(self.request.method)),
            Expr::Url => Some(borrowed(self.url)),
            Expr::Path => Some(borrowed(url_text::path(self.url))),
            Expr::Secret => self.secret.map(Cow::Borrowed),
            Expr::ContentType => content_type(&self.request).map(bytes),
            Expr::SortedForm => Some(Cow::Owned(sorted_form(&self.request))),
            Expr::EventType => self.event_type.map(borrowed),
            Expr::DeliveryId => self.delivery_id.map(borrowed),
            Expr::Header(name) => {
                let mut values = self.request.headers.get_all(name).iter();
                let first = values.next();
                if values.next().is_some() {
                    return Err(Absent::Repeated(expr));
                }
                first.map(|value| Cow::Borrowed(value.as_bytes()))
            }
            Expr::Query(name) => {
                let query = url_text::query(self.request.url).unwrap_or_default();
                return only(query.as_bytes(), name, expr);
            }
            Expr::Form(name) => return only(self.form_body(), name, expr),
            Expr::Part(name) => {
                if multipart::is_repeated(&self.request, name) {
                    return Err(Absent::Repeated(expr));
                }
                multipart::part(&self.request, name).map(Cow::Borrowed)
            }
            Expr::Json(path) => match self.payload() {
                Some(Cow::Borrowed(document)) => path.find(document).map(bytes),
                Some(Cow::Owned(document)) => path.find(&document).map(|text| owned(&text)),
                None => None,
            },
            Expr::FirstKey(except) => self
                .payload()
                .and_then(|document| first_key(&document, except))
                .map(|key| owned(&key)),
            Expr::Claim(path) => self.claims.and_then(|claims| path.find(claims)).map(bytes),
            Expr::Token => std::str::from_utf8(self.request.body)
                .ok()
                .and_then(|text| jwt::Token::parse(text.trim()))
                .map(|token| Cow::Owned(token.claims().to_vec())),
            Expr::Built => match self.build {
                Some(spec) => return spec.build(self),
                None => None,
            },
            Expr::RatePerMinute => Some(match self.rate_per_minute {
                Some(rate) => Cow::Owned(rate.to_string().into_bytes()),
                None => borrowed("*"),
            }),
            Expr::Host => url_text::host(self.url).map(borrowed),
            Expr::PathQuery => Some(borrowed(url_text::path_query(self.url))),
            Expr::Field(name) => self.signature.and_then(|(text, spec)| {
                if self.is_token {
                    token_field(text, spec, name).map(|value| owned(&value))
                } else {
                    field(text, spec, name).map(bytes)
                }
            }),
            Expr::Credential(name) => self.named.get(name).map(|value| borrowed(value)),
            Expr::Optional(inner) => match self.value(inner) {
                Err(Absent::Missing(_)) => Some(Cow::Borrowed([].as_slice())),
                other => return other,
            },
            Expr::Call(function, arguments) => return self.call(*function, arguments, expr),
        };
        found.ok_or(Absent::Missing(expr))
    }

    /// The whole template as one run of bytes.
    pub fn render(&self, template: &'a Template) -> Value<'a> {
        if let [only] = template.parts() {
            return self.value(only);
        }
        let mut whole = Vec::new();
        for part in template.parts() {
            whole.extend_from_slice(&self.value(part)?);
        }
        Ok(Cow::Owned(whole))
    }

    /// The whole template as text; `None` when something is missing or not UTF-8.
    pub fn text(&self, template: &'a Template) -> Option<Cow<'a, str>> {
        match self.render(template).ok()? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        }
    }

    /// Whether a condition holds.
    pub fn holds(&self, condition: &'a Condition) -> bool {
        let value = match self.render(&condition.at) {
            Ok(value) => value,
            // A repeated header is there, and equals nothing.
            Err(Absent::Repeated(_)) => return condition.present == Some(true),
            Err(Absent::Missing(_)) => return condition.present == Some(false),
        };
        if condition.present == Some(false) {
            return false;
        }
        if condition.empty.is_some_and(|empty| empty != value.is_empty()) {
            return false;
        }
        if let Some(wanted) = &condition.equals
            && !wanted.iter().any(|wanted| wanted.as_bytes() == &*value)
        {
            return false;
        }
        if let Some(wanted) = &condition.starts_with
            && !wanted.iter().any(|wanted| value.starts_with(wanted.as_bytes()))
        {
            return false;
        }
        if let Some(name) = &condition.equals_credential {
            let same =
                self.named.get(name).is_some_and(|wanted| same_secret(wanted.as_bytes(), &value));
            if !same {
                return false;
            }
        }
        condition.charset.is_none_or(|set| fits(set, &value))
    }

    /// The raw form, or nothing when the body does not say that it is one.
    pub fn form_body(&self) -> &'a [u8] {
        form_bytes(&self.request)
    }

    /// The JSON document that `json:` reads: the first of the entry's places that is there.
    pub fn payload(&self) -> Option<Cow<'a, [u8]>> {
        let Some(places) = self.payload else {
            return Some(Cow::Borrowed(self.request.body));
        };
        // The places themselves see the body as it came.
        let outer = Scope { payload: None, ..*self };
        places.iter().find_map(|place| outer.render(place).ok())
    }

    fn call(&self, function: Function, arguments: &'a [Expr], whole: &'a Expr) -> Value<'a> {
        let input = match arguments {
            [only] => self.value(only)?,
            several => {
                let mut input = Vec::new();
                for argument in several {
                    input.extend_from_slice(&self.value(argument)?);
                }
                Cow::Owned(input)
            }
        };
        functions::apply(function, &input, self.hmac).map(Cow::Owned).ok_or(Absent::Missing(whole))
    }
}

fn borrowed(text: &str) -> Cow<'_, [u8]> {
    Cow::Borrowed(text.as_bytes())
}

/// The value of a parameter that must come once: whoever adds a second one hopes that somebody reads that.
fn only<'a>(pairs: &'a [u8], name: &str, expr: &'a Expr) -> Value<'a> {
    let mut values = url::form_urlencoded::parse(pairs).filter(|(key, _)| key == name);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Absent::Repeated(expr)),
        (Some((_, value)), None) => Ok(bytes(value)),
        (None, None) => Err(Absent::Missing(expr)),
    }
}

fn owned<'b>(text: &str) -> Cow<'b, [u8]> {
    Cow::Owned(text.as_bytes().to_vec())
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// Compares without telling how long the wanted text is or where the first difference lies.
pub(crate) fn same_secret(wanted: &[u8], given: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    let wanted = hash(Digest::Sha256, wanted);
    let given = hash(Digest::Sha256, given);
    wanted.as_ref().ct_eq(given.as_ref()).into()
}

fn fits(set: Charset, value: &[u8]) -> bool {
    let longest = if set == Charset::Hex { 64 } else { 256 };
    (1..=longest).contains(&value.len()) && value.iter().all(|byte| set.holds(*byte))
}

impl Charset {
    /// Whether a byte is one of the set's.
    pub(crate) fn holds(self, byte: u8) -> bool {
        match self {
            Charset::Digits => byte.is_ascii_digit(),
            Charset::Hex => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
            Charset::Token => {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'-' | b'_' | b'.' | b'=' | b'+' | b'/')
            }
        }
    }
}

/// The media type without parameters, in lower case.
pub(crate) fn content_type<'a>(request: &RequestView<'a>) -> Option<Cow<'a, str>> {
    let value = request.headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or(value).trim();
    Some(if essence.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(essence.to_ascii_lowercase())
    } else {
        Cow::Borrowed(essence)
    })
}

/// Whether the body says that it is a form.
pub(crate) fn is_form(request: &RequestView<'_>) -> bool {
    content_type(request).is_some_and(|kind| kind == "application/x-www-form-urlencoded")
}

/// The body if it says that it is a form, else nothing.
fn form_bytes<'a>(request: &RequestView<'a>) -> &'a [u8] {
    if is_form(request) { request.body } else { &[] }
}

/// Names and values sorted by name, then value, doubles removed, joined without separators. Names are
/// ordered by UTF-16 units, which is what JavaScript's sort does and senders therefore sign.
fn sorted_form(request: &RequestView<'_>) -> Vec<u8> {
    let mut pairs: Vec<_> = url::form_urlencoded::parse(form_bytes(request)).collect();
    pairs.sort_by(|a, b| {
        let by_name = a.0.encode_utf16().cmp(b.0.encode_utf16());
        by_name.then_with(|| a.1.encode_utf16().cmp(b.1.encode_utf16()))
    });
    pairs.dedup();
    let mut joined = Vec::with_capacity(request.body.len());
    for (name, value) in pairs {
        joined.extend_from_slice(name.as_bytes());
        joined.extend_from_slice(value.as_bytes());
    }
    joined
}

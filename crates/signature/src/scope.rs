//! Evaluating templates against one request.
//!
//! Invariants: raw bytes are spliced, never re-encoded; nothing is parsed unless a variable needs it; a
//! header that came more than once is never joined or picked from, it is reported. Next: `verifier`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ring::{digest, hmac};

use crate::encoding;
use crate::request::RequestView;
use crate::scheme::{Charset, Condition, Encoding, SplitSpec};
use crate::template::{Expr, Function, Template};
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
    pub signature: Option<(&'a str, &'a SplitSpec)>,
    pub secret: Option<&'a [u8]>,
    pub hmac: Option<&'a hmac::Key>,
    pub event_type: Option<&'a str>,
    pub delivery_id: Option<&'a str>,
}

/// Why a variable has no value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Absent<'a> {
    /// It is not in the request.
    Missing(&'a Expr),
    /// The header came more than once, or holds bytes that are no text.
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
            hmac: None,
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
            Expr::Query(name) => url_text::query_value(self.request.url, name).map(bytes),
            Expr::Form(name) => url::form_urlencoded::parse(self.form_body())
                .find(|(key, _)| key == name)
                .map(|(_, value)| bytes(value)),
            Expr::Json(path) => path.find(self.request.body).map(bytes),
            Expr::Field(name) => {
                self.signature.and_then(|(text, split)| field(text, split, name)).map(borrowed)
            }
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
        if let Some(name) = &condition.equals_credential {
            let same =
                self.named.get(name).is_some_and(|wanted| same_secret(wanted.as_bytes(), &value));
            if !same {
                return false;
            }
        }
        condition.charset.is_none_or(|set| fits(set, &value))
    }

    fn form_body(&self) -> &'a [u8] {
        form_bytes(&self.request)
    }

    fn call(&self, function: Function, arguments: &'a [Expr], whole: &'a Expr) -> Value<'a> {
        let mut input = Vec::new();
        for argument in arguments {
            input.extend_from_slice(&self.value(argument)?);
        }
        let tag = |encoding| {
            let key = self.hmac.ok_or(Absent::Missing(whole))?;
            let tag = hmac::sign(key, &input);
            Ok(encoding::encode(tag.as_ref(), encoding))
        };
        let hash = |algorithm, encoding| {
            encoding::encode(digest::digest(algorithm, &input).as_ref(), encoding)
        };
        let text = match function {
            Function::Sha256Hex => hash(&digest::SHA256, Encoding::Hex),
            Function::Sha256Base64 => hash(&digest::SHA256, Encoding::Base64),
            Function::Sha1Hex => hash(&digest::SHA1_FOR_LEGACY_USE_ONLY, Encoding::Hex),
            Function::HmacHex => tag(Encoding::Hex)?,
            Function::HmacBase64 => tag(Encoding::Base64)?,
            Function::JsonText => json_text(&String::from_utf8_lossy(&input)),
            Function::Lower => String::from_utf8_lossy(&input).to_lowercase(),
        };
        Ok(Cow::Owned(text.into_bytes()))
    }
}

fn borrowed(text: &str) -> Cow<'_, [u8]> {
    Cow::Borrowed(text.as_bytes())
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
    let wanted = digest::digest(&digest::SHA256, wanted);
    let given = digest::digest(&digest::SHA256, given);
    wanted.as_ref().ct_eq(given.as_ref()).into()
}

fn fits(set: Charset, value: &[u8]) -> bool {
    if value.is_empty() || value.len() > 256 {
        return false;
    }
    value.iter().all(|byte| match set {
        Charset::Digits => byte.is_ascii_digit(),
        Charset::Token => {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=' | b'+' | b'/')
        }
    })
}

/// The content of a JSON string for this text, without the quotes.
fn json_text(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
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

/// The body if it says that it is a form, else nothing.
fn form_bytes<'a>(request: &RequestView<'a>) -> &'a [u8] {
    match content_type(request) {
        Some(kind) if kind == "application/x-www-form-urlencoded" => request.body,
        _ => &[],
    }
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

/// The items of a signature's text.
pub(crate) fn items<'a>(
    text: &'a str,
    split: Option<&'a SplitSpec>,
) -> impl Iterator<Item = &'a str> {
    let separator = split.and_then(|split| split.items.as_deref());
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let item = match separator.and_then(|separator| text.split_once(separator)) {
            Some((item, after)) => {
                rest = Some(after);
                item
            }
            None => {
                rest = None;
                text
            }
        };
        Some(item.trim())
    })
}

/// The first field of this name in a signature's text.
pub(crate) fn field<'a>(text: &'a str, split: &'a SplitSpec, name: &str) -> Option<&'a str> {
    let pair = split.pair.as_deref()?;
    items(text, Some(split)).find_map(|item| {
        let (key, value) = item.split_once(pair)?;
        (key.trim() == name).then(|| value.trim())
    })
}

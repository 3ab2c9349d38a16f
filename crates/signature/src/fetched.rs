//! Keys that the provider publishes: what to fetch for a request, and what came back.
//!
//! Invariants: https only, no user in the URL, and no other port or address than the entry names; whatever a
//! request puts into a URL is escaped behind a host that the entry or the operator has fixed, and a host that
//! the request names must be on the entry's list; `Debug` shows no header, body or secret. A certificate is
//! taken for its key, name and dates. Deliberately absent: fetching, caching ([`KeyRequest::cache_key`]) and
//! verifying a certificate's chain, which are the caller's. Next: `certificate`, `typed_key`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::functions::url_decode;
use crate::json_path::JsonPath;
use crate::scheme::Scheme;
use crate::scope::{Absent, Scope};
use crate::template::{Expr, Place, Template};
use crate::verdict::Refusal;

/// How long keys are kept when the entry does not say, in seconds.
const MAX_AGE_S: u64 = 86_400;

/// The longest URL that is asked, in bytes.
const URL_MAX: usize = 2048;

/// How many keys of a set are looked at.
const KEYS_MAX: usize = 64;

/// Where keys are fetched, and what comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchSpec {
    /// The URL. What a request contributes behind the host is escaped.
    pub url: Template,
    /// The method; GET when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The body; none when empty.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub body: Template,
    /// What the answer is.
    pub format: KeyFormat,
    /// Where the key is in a JSON answer, as a path; the whole answer when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Where the request names the key; a token's `kid` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Place>,
    /// The hosts that a request may name; `*` stands for one label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// How the URL's path must end, such as `.pem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_ends: Option<String>,
    /// How the URL's path must begin, such as `/certs/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// The name that a certificate must carry; `*` stands for one label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How long keys are kept, in seconds; a day when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u64>,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Template>,
    /// How to get a bearer token first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OauthSpec>,
}

/// What the answer with the key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyFormat {
    /// A set of JWKs (RFC 7517), or a list of them.
    Jwks,
    /// One key: PEM, DER in base64, or a JWK.
    Key,
    /// A certificate or a chain in PEM, or one in DER; the first one's key counts.
    Certificate,
}

/// The client-credentials grant of OAuth 2, for providers that hand keys to their customers only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthSpec {
    /// Where tokens are given.
    pub url: String,
    /// The client's id, usually `credential:client_id`.
    pub client_id: Place,
    /// The client's secret, usually `credential:client_secret`.
    pub client_secret: Place,
    /// The scope to ask for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
}

fn is_empty(template: &Template) -> bool {
    template.parts().is_empty()
}

/// What to fetch before a request can be judged.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRequest {
    /// The URL, as the URL standard writes it.
    pub url: String,
    /// The method.
    pub method: String,
    /// Headers to send; may hold secrets.
    pub headers: Vec<(String, String)>,
    /// The body to send; may hold secrets.
    pub body: Vec<u8>,
    /// What the answer is.
    pub format: KeyFormat,
    /// Where the key is in a JSON answer.
    pub at: Option<String>,
    /// The name that a certificate must carry.
    pub subject: Option<String>,
    /// How long the answer may be kept, in seconds.
    pub max_age_s: u64,
    /// How to get a bearer token first.
    pub oauth: Option<OauthRequest>,
}

/// How to get a bearer token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OauthRequest {
    /// Where tokens are given.
    pub url: String,
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// The scope to ask for; none when empty.
    pub scope: String,
}

impl fmt::Debug for KeyRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyRequest")
            .field("method", &self.method)
            .field("host", &self.host())
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OauthRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OauthRequest").field("url", &self.url).finish_non_exhaustive()
    }
}

impl KeyRequest {
    /// The host that is asked, for logs.
    pub fn host(&self) -> &str {
        let after = self.url.split_once("://").map_or("", |(_, after)| after);
        after.split(['/', '?', '#']).next().unwrap_or_default()
    }

    /// The key or certificate in an answer: the answer itself, or what stands in it at the entry's path.
    pub fn key_in<'a>(&self, answer: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let Some(at) = &self.at else { return Some(Cow::Borrowed(answer)) };
        let found = JsonPath::parse(at).ok()?.find(answer)?;
        Some(Cow::Owned(found.into_owned().into_bytes()))
    }

    /// The same text for requests with the same answer. Holds no secret.
    pub fn cache_key(&self) -> String {
        let mut context = Context::new(&SHA256);
        let mut add = |part: &[u8]| {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        };
        add(self.method.as_bytes());
        add(self.url.as_bytes());
        add(&self.body);
        add(&[self.format as u8]);
        add(self.at.as_deref().unwrap_or_default().as_bytes());
        add(self.subject.as_deref().unwrap_or_default().as_bytes());
        for (name, value) in &self.headers {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        if let Some(oauth) = &self.oauth {
            for part in [&oauth.url, &oauth.client_id, &oauth.client_secret, &oauth.scope] {
                add(part.as_bytes());
            }
        }
        hex::encode(context.finish())
    }
}

impl FetchSpec {
    /// What contradicts itself, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        if let Some(at) = &self.at
            && let Err(message) = JsonPath::parse(at)
        {
            return Some(message);
        }
        if self.hosts.is_empty() && !host_is_fixed(&self.url) {
            return Some(
                "the host of `fetch.url` comes from the request: name the allowed ones in `hosts`"
                    .to_owned(),
            );
        }
        if let Some(host) = self.hosts.iter().find(|host| is_bad_host(host)) {
            return Some(format!("`{host}` in `hosts` is too wide or no host name"));
        }
        let secure = |url: &str| {
            url::Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.host().is_some())
        };
        match &self.oauth {
            Some(oauth) if !secure(&oauth.url) => {
                Some("`fetch.oauth.url` must begin with https://".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether the value comes from the entry or the operator, and not from the request.
fn is_ours(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) | Expr::Credential(_) => true,
        Expr::Optional(inner) => is_ours(inner),
        Expr::Call(_, arguments) => arguments.iter().all(is_ours),
        _ => false,
    }
}

/// Whether everything up to the path is the entry's or the operator's.
fn host_is_fixed(url: &Template) -> bool {
    let mut before = String::new();
    for part in url.parts() {
        match part {
            Expr::Literal(text) => before.push_str(text),
            // Stands for what the operator gives, which may be the whole beginning.
            ours if is_ours(ours) => {
                if before.is_empty() {
                    before.push_str("https://");
                }
                before.push('x');
            }
            _ => return path_has_begun(&before),
        }
    }
    true
}

fn path_has_begun(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'))
}

/// What to fetch for this request.
pub(crate) fn key_request<'a>(
    spec: &'a FetchSpec,
    scope: &Scope<'a>,
) -> Result<KeyRequest, Refusal> {
    let url = key_url(spec, scope)?;
    let mut headers = Vec::with_capacity(spec.headers.len());
    for (name, template) in &spec.headers {
        let value = text(scope, template)?;
        if value.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(Refusal::MissingPart);
        }
        headers.push((name.to_ascii_lowercase(), value));
    }
    let oauth = match &spec.oauth {
        Some(oauth) => Some(OauthRequest {
            url: oauth.url.clone(),
            client_id: text(scope, &oauth.client_id)?,
            client_secret: text(scope, &oauth.client_secret)?,
            scope: oauth.scope.clone(),
        }),
        None => None,
    };
    Ok(KeyRequest {
        url,
        method: spec.method.as_deref().unwrap_or("GET").to_ascii_uppercase(),
        headers,
        body: scope.render(&spec.body).map_err(refusal)?.into_owned(),
        format: spec.format,
        at: spec.at.clone(),
        subject: spec.subject.clone(),
        max_age_s: spec.max_age_s.unwrap_or(MAX_AGE_S),
        oauth,
    })
}

fn refusal(absent: Absent<'_>) -> Refusal {
    match absent {
        Absent::Missing(_) => Refusal::MissingPart,
        Absent::Repeated(_) => Refusal::RepeatedHeader,
    }
}

fn text<'a>(scope: &Scope<'a>, template: &'a Template) -> Result<String, Refusal> {
    let bytes = scope.render(template).map_err(refusal)?;
    String::from_utf8(bytes.into_owned()).map_err(|_| Refusal::MissingPart)
}

fn key_url<'a>(spec: &'a FetchSpec, scope: &Scope<'a>) -> Result<String, Refusal> {
    let mut url = String::new();
    let mut host_is_ours = true;
    for part in spec.url.parts() {
        let value = scope.value(part).map_err(refusal)?;
        let value = std::str::from_utf8(&value).map_err(|_| Refusal::UntrustedKeyUrl)?;
        if is_ours(part) {
            url.push_str(value);
        } else if path_has_begun(&url) {
            // A step up or nothing at all would ask for something else than a key.
            if matches!(value, "" | "." | "..") {
                return Err(Refusal::UntrustedKeyUrl);
            }
            escape(&mut url, value);
        } else {
            host_is_ours = false;
            url.push_str(value);
        }
    }
    let parsed = safe_url(&url).ok_or(Refusal::UntrustedKeyUrl)?;
    let host_fits = (host_is_ours && spec.hosts.is_empty()) || is_at(&spec.hosts, &parsed);
    // Where the request names the host, parameters could turn a harmless address into another's answer.
    let plain = spec.hosts.is_empty() || (parsed.query().is_none() && parsed.fragment().is_none());
    let path = url_decode(parsed.path().as_bytes());
    let path = std::str::from_utf8(&path).map_err(|_| Refusal::UntrustedKeyUrl)?;
    let begins = spec.path_prefix.as_deref().is_none_or(|prefix| path.starts_with(prefix));
    let ends = spec.path_ends.as_deref().is_none_or(|end| path.ends_with(end));
    let climbs = !spec.hosts.is_empty() && path.contains("..");
    if host_fits && plain && begins && ends && !climbs {
        Ok(parsed.into())
    } else {
        Err(Refusal::UntrustedKeyUrl)
    }
}

/// Everything but what needs no escape anywhere in a URL.
fn escape(url: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            url.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

/// An https URL without a user and a fragment; `None` for anything else.
fn safe_url(url: &str) -> Option<url::Url> {
    // The standard's reader repairs these; nobody who means well writes them.
    if url.len() > URL_MAX || url.bytes().any(|byte| byte <= b' ' || byte == b'\\') {
        return None;
    }
    let parsed = url::Url::parse(url).ok()?;
    let plain = parsed.username().is_empty() && parsed.password().is_none();
    let usual = parsed.scheme() == "https" && parsed.fragment().is_none();
    (plain && usual).then_some(parsed)
}

/// A pattern's host, and its port: the usual one if it names none.
fn host_and_port(pattern: &str) -> (&str, u16) {
    let with_port = pattern.rsplit_once(':');
    let parsed = with_port.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    parsed.unwrap_or((pattern, 443))
}

/// Whether a URL leads to one of these hosts, at the port that stands there. An address must be
/// written out.
fn is_at(hosts: &[String], url: &url::Url) -> bool {
    let named = matches!(url.host(), Some(url::Host::Domain(_)));
    url.host_str().is_some_and(|host| {
        hosts.iter().any(|pattern| {
            let (wanted, port) = host_and_port(pattern);
            let fits = if named { host_matches(wanted, host) } else { wanted == host };
            fits && url.port_or_known_default() == Some(port)
        })
    })
}

/// Whether a pattern for hosts is too wide, or can be no host.
pub(crate) fn is_bad_host(pattern: &str) -> bool {
    let (host, _port) = host_and_port(pattern);
    host.split('.').count() < 2
        || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-*".contains(&byte))
        // A star for the whole registered name would allow everybody.
        || host.rsplit('.').take(2).any(|label| label.contains('*'))
}

/// Whether a URL that a request brought leads to one of these hosts, by https; `*` stands for one label.
pub(crate) fn host_allowed(hosts: &[String], url: &str) -> bool {
    safe_url(url).is_some_and(|url| is_at(hosts, &url))
}

/// Whether a host name fits a pattern in which a label `*` stands for any one label of letters, digits and
/// hyphens. Labels that begin with `s3` are none: below a cloud's name they belong to its customers' storage.
pub(crate) fn host_matches(pattern: &str, host: &str) -> bool {
    let mut wanted = pattern.split('.');
    let mut labels = host.split('.');
    loop {
        match (wanted.next(), labels.next()) {
            (None, None) => return true,
            (Some("*"), Some(label)) if is_own_label(label) => {}
            (Some(wanted), Some(label)) if wanted.eq_ignore_ascii_case(label) => {}
            _ => return false,
        }
    }
}

fn is_own_label(label: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty() && label.bytes().all(usual) && !label.starts_with("s3")
}

/// Keys that came for a [`KeyRequest`].
#[derive(Debug, Clone)]
pub struct FetchedKeys {
    cache_key: String,
    keys: Vec<FetchedKey>,
    usable_until_s: Option<i64>,
}

#[derive(Debug, Clone)]
struct FetchedKey {
    id: Option<String>,
    text: String,
}

/// Why an answer with keys cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The answer is not what the entry says that it is.
    #[error("the answer holds no {expected}: check the URL of the provider's keys")]
    Unusable {
        /// What was expected.
        expected: &'static str,
    },
    /// The certificate is another's.
    #[error("the certificate does not carry the provider's name")]
    WrongSubject,
    /// The certificate is not valid yet, or not any more.
    #[error("the certificate is not valid at this time")]
    OutOfDate,
}

impl KeyError {
    /// A stable code for logs.
    pub fn code(self) -> &'static str {
        match self {
            KeyError::Unusable { .. } => "key_answer_unusable",
            KeyError::WrongSubject => "key_wrong_subject",
            KeyError::OutOfDate => "key_out_of_date",
        }
    }
}

impl FetchedKeys {
    /// Reads an answer at this time (unix seconds). Whether the keys fit the scheme shows when they are used.
    pub fn parse(request: &KeyRequest, answer: &[u8], now_s: i64) -> Result<FetchedKeys, KeyError> {
        let mut usable_until_s = None;
        let answer =
            &*request.key_in(answer).ok_or(KeyError::Unusable { expected: "key at its path" })?;
        let keys = match request.format {
            KeyFormat::Jwks => {
                jwks(answer).ok_or(KeyError::Unusable { expected: "set of keys" })?
            }
            KeyFormat::Key => vec![one_key(answer).ok_or(KeyError::Unusable { expected: "key" })?],
            KeyFormat::Certificate => {
                let certificate =
                    certificate(answer).ok_or(KeyError::Unusable { expected: "certificate" })?;
                let named = request.subject.as_deref().is_none_or(|wanted| {
                    certificate.names.iter().any(|name| host_matches(wanted, name))
                });
                if !named {
                    return Err(KeyError::WrongSubject);
                }
                if now_s < certificate.not_before_s || now_s > certificate.not_after_s {
                    return Err(KeyError::OutOfDate);
                }
                usable_until_s = Some(certificate.not_after_s);
                vec![FetchedKey { id: None, text: STANDARD.encode(certificate.spki) }]
            }
        };
        Ok(FetchedKeys { cache_key: request.cache_key(), keys, usable_until_s })
    }

    /// Until when the keys may be used (unix seconds), if they say so themselves.
    pub fn usable_until_s(&self) -> Option<i64> {
        self.usable_until_s
    }

    /// Whether these are the keys for this request.
    pub(crate) fn answers(&self, request: &KeyRequest) -> bool {
        self.cache_key == request.cache_key()
    }

    /// The keys with this id, and those without one, as texts for `keys::prepare_public`; all when no id is
    /// wanted. Which of them the scheme can use is decided there.
    pub(crate) fn keys(&self, key_id: Option<&str>, _scheme: &Scheme) -> Vec<String> {
        self.keys
            .iter()
            .filter(|key| match (&key.id, key_id) {
                (Some(id), Some(wanted)) => id == wanted,
                _ => true,
            })
            .map(|key| key.text.clone())
            .collect()
    }
}

/// The public signing keys of a set.
fn jwks(answer: &[u8]) -> Option<Vec<FetchedKey>> {
    let set: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let list = set.as_array().or_else(|| set.get("keys")?.as_array())?;
    let keys: Vec<FetchedKey> = list.iter().filter_map(jwk).take(KEYS_MAX).collect();
    (!keys.is_empty()).then_some(keys)
}

/// One JWK, unless it is for encryption or a shared secret.
fn jwk(value: &serde_json::Value) -> Option<FetchedKey> {
    let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str);
    let signs = text("use").is_none_or(|usage| usage == "sig");
    let public = matches!(text("kty"), Some("RSA" | "EC" | "OKP"));
    (signs && public)
        .then(|| FetchedKey { id: text("kid").map(str::to_owned), text: value.to_string() })
}

fn one_key(answer: &[u8]) -> Option<FetchedKey> {
    let text = std::str::from_utf8(answer).ok()?.trim();
    if text.starts_with('{') {
        // The id was in the request that asked for this one key.
        let key = jwk(&serde_json::from_str(text).ok()?)?;
        return Some(FetchedKey { id: None, ..key });
    }
    // Answers that are a single JSON text keep their quotes when no path is given.
    let plain = match text.starts_with('"') {
        true => serde_json::from_str(text).ok()?,
        false => text.to_owned(),
    };
    (!plain.is_empty()).then_some(FetchedKey { id: None, text: plain })
}

fn certificate(answer: &[u8]) -> Option<Certificate> {
    match std::str::from_utf8(answer).ok().and_then(Certificate::first_of_pem) {
        Some(certificate) => certificate,
        None => Certificate::parse(answer).or_else(|| {
            let der = crate::encoding::base64_any(answer)?;
            Certificate::parse(&der)
        }),
    }
}

#[cfg(test)]
mod tests;

//! A test request to a source: made as `becket trigger` makes them, received as any other.
//!
//! Invariants: the request takes the whole way of receiving, so what it shows is what the provider would
//! see; nothing that is a secret of the source is in what is told about it.
//!
//! Deliberately absent: making and signing requests, which is `becket_develop::trigger`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine as _;
use becket_api::{SourceTest, SourceTested, TestRefusal};
use becket_develop::trigger::{self, Order, Prepared, Sample, TriggerError};
use becket_ingress::{Outcome, Peer, Told};
use becket_signature::{CredentialKind, Entry, Refusal, SignError};
use becket_store::Application;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::assemble::receiving_verifier;
use super::gateway::{Gateway, SourceInForce};

/// Delivery ids of test requests begin with this, where the provider sends one.
pub(super) const DELIVERY_ID_PREFIX: &str = "becket-test-";
/// What stands in the place of a secret.
const HIDDEN: &str = "[secret]";
/// Shorter texts are in half of all requests without meaning anything.
const SECRET_CHARACTERS_MIN: usize = 4;
const DEFAULT_BODY: &[u8] = br#"{"test":true}"#;

/// Makes a request and lets the source receive it.
pub(super) async fn test(
    gateway: &Gateway,
    source: &Application,
    test: SourceTest,
) -> Result<SourceTested, TestRefusal> {
    let Some(ingress) = gateway.ingress.get() else { return Err(TestRefusal::Closed) };
    let current = gateway.current.load_full();
    let known = current.sources.get(&source.key).ok_or(TestRefusal::NotInForce)?;
    let entry = current.loaded.config.entry_of(&known.rules).ok_or(TestRefusal::NotInForce)?;
    let (token, _) = known.url_tokens.first().ok_or(TestRefusal::NotInForce)?;
    let sample = sample_of(&entry, &test)?;
    let verifier = receiving_verifier(&known.rules, entry.clone())
        .map_err(|error| TestRefusal::CannotSign(error.to_string()))?;
    let url = becket_api::Directory::receiving_url(gateway, source);
    let mut random = [0; 32];
    gateway.noise.fill(&mut random);
    let delivery_id = format!("{DELIVERY_ID_PREFIX}{}", hex::encode(&random[..12]));
    let now_s = gateway.clock.now_ms().div_euclid(1_000);
    let order = Order {
        verifier: &verifier,
        sample: &sample,
        changes: &[],
        headers: &[],
        delivery_id: Some(&delivery_id),
        url: &url,
        tamper: None,
        at_s: now_s,
    };
    let prepared =
        trigger::prepare(&order, random).map_err(|error| refusal(error, &entry, known))?;
    if prepared.verdict.is_none() {
        return Err(TestRefusal::CannotSign(only_provider(&entry)));
    }
    let (parts, path) = head_of(&prepared, &url, token)?;
    let peer = Peer {
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        tls: url.starts_with("https://"),
    };
    let body = Full::new(Bytes::from(prepared.body.clone()));
    let (reply, told) = ingress.receive_and_tell(&parts, body, peer).await;
    let secrets = Secrets::of(known);
    Ok(SourceTested {
        status: reply.status().as_u16(),
        event: told.event,
        outcome: told.outcome.as_str().to_owned(),
        detail: detail(&told),
        method: prepared.method.clone(),
        path: secrets.blot(&path),
        headers: prepared.headers.iter().map(|(name, value)| secrets.header(name, value)).collect(),
        body: secrets.blot(&String::from_utf8_lossy(&prepared.body)),
    })
}

/// What the request is made from.
fn sample_of(entry: &Entry, test: &SourceTest) -> Result<Sample, TestRefusal> {
    let unusable = |error: TriggerError| TestRefusal::NoSample(error.to_string());
    if let Some(body) = &test.body {
        let kind = test.content_type.as_deref().unwrap_or("application/json");
        let bytes = body.clone().into_bytes();
        return trigger::with_body(entry, test.event_type.as_deref(), bytes, kind)
            .map_err(unusable);
    }
    let listed = trigger::listed(entry).map_err(unusable)?;
    let wanted = match (&test.event_type, test.sample) {
        (Some(event), _) => event.clone(),
        (None, Some(number)) => {
            let Some(sample) = entry.samples().get(number) else {
                let count = entry.samples().len();
                let words = format!("there is no sample {number}: `{}` has {count}", entry.slug);
                return Err(TestRefusal::NoSample(words));
            };
            sample.event_type.clone().unwrap_or_else(|| "sample".to_owned())
        }
        (None, None) => match listed.first() {
            Some(first) => first.name.clone(),
            None => {
                let bytes = DEFAULT_BODY.to_vec();
                return trigger::with_body(entry, None, bytes, "application/json")
                    .map_err(unusable);
            }
        },
    };
    if let Some(sample) = trigger::sample(entry, &wanted).map_err(unusable)? {
        return Ok(sample);
    }
    let near = trigger::nearest(entry, &wanted).map_err(unusable)?;
    let mut words = format!("`{}` has no sample of `{wanted}`", entry.slug);
    match near.is_empty() {
        true => words.push_str("; give a body of your own"),
        false => words.push_str(&format!("; it has {}", near.join(", "))),
    }
    Err(TestRefusal::NoSample(words))
}

/// The request's head as it would come in, and its path with the query.
fn head_of(
    prepared: &Prepared,
    url: &str,
    token: &str,
) -> Result<(http::request::Parts, String), TestRefusal> {
    let unusable = |what: String| TestRefusal::CannotSign(what);
    // Some schemes sign in the query; behind a proxy the public path is another than ours.
    let rest = prepared.url.strip_prefix(url).unwrap_or_default();
    let path = format!("/in/{token}{rest}");
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?']).next().unwrap_or_default();
    let mut request = Request::builder().method(prepared.method.as_str()).uri(&path);
    if let Some(headers) = request.headers_mut() {
        *headers = prepared.header_map().map_err(|error| unusable(error.to_string()))?;
        if let Ok(host) = http::HeaderValue::from_str(host) {
            headers.insert(http::header::HOST, host);
        }
    }
    let (parts, ()) = request.body(()).map_err(|error| unusable(error.to_string()))?.into_parts();
    Ok((parts, path))
}

/// Why nothing can be signed, in the operator's words.
fn refusal(error: TriggerError, entry: &Entry, known: &SourceInForce) -> TestRefusal {
    match error {
        TriggerError::Sign(SignError::MissingCredential { .. } | SignError::PrivateKey { .. })
            if is_asymmetric(entry) =>
        {
            TestRefusal::CannotSign(only_provider(entry))
        }
        TriggerError::Sign(SignError::MissingCredential { .. }) => {
            let what = match known.rules.secrets.is_empty() {
                true => "the source has no secret yet: give it the one that the provider shows",
                false => "a credential of the source is missing",
            };
            TestRefusal::CannotSign(what.to_owned())
        }
        TriggerError::Sign(SignError::Unsupported { .. }) => {
            TestRefusal::CannotSign(only_provider(entry))
        }
        TriggerError::Sample { .. } => TestRefusal::NoSample(error.to_string()),
        other => TestRefusal::CannotSign(other.to_string()),
    }
}

fn is_asymmetric(entry: &Entry) -> bool {
    let mut kinds = entry.credentials().iter().map(|spec| spec.kind);
    !kinds.any(|kind| kind == CredentialKind::Secret)
}

fn only_provider(entry: &Entry) -> String {
    format!(
        "{} signs with a key that only {} has: send a test from its own pages",
        entry.name, entry.name
    )
}

/// What the sender is not told and the operator may know.
fn detail(told: &Told) -> Option<String> {
    let words = match told.outcome {
        Outcome::Accepted | Outcome::Handshake => return None,
        Outcome::Duplicate => {
            "a request with this delivery id, or this body, has been accepted before".to_owned()
        }
        Outcome::Filtered => "the source does not keep this event type".to_owned(),
        Outcome::AddressRefused => {
            "the source takes requests only from its networks, and a test comes from the gateway \
             itself (127.0.0.1)"
                .to_owned()
        }
        outcome => match told.code {
            Some(code) => explained(code),
            None => outcome.as_str().replace('_', " "),
        },
    };
    Some(words)
}

/// A code in words, with what is behind it.
fn explained(code: &str) -> String {
    let words = code.replace('_', " ");
    match Refusal::ALL.iter().any(|refusal| refusal.code() == code) {
        true => format!("it could not be verified: {words}"),
        false => words,
    }
}

/// What must not be shown.
struct Secrets(Vec<String>);

impl Secrets {
    fn of(known: &SourceInForce) -> Self {
        let rules = &known.rules;
        let given = rules.secrets.iter().chain(rules.credentials.values());
        let plain: Vec<String> = given
            .map(|secret| secret.expose().to_owned())
            .filter(|secret| secret.chars().count() >= SECRET_CHARACTERS_MIN)
            .collect();
        let mut all = Vec::new();
        for secret in plain {
            // A password may stand behind a user's name; the name is not the secret.
            if let Some((_, password)) = secret.split_once(':')
                && password.len() >= SECRET_CHARACTERS_MIN
            {
                all.push(password.to_owned());
            }
            all.push(base64::engine::general_purpose::STANDARD.encode(&secret));
            all.push(percent_encoded(&secret));
            all.push(secret);
        }
        // The longest first, so that no rest of one is left.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Self(all)
    }

    fn blot(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN))
    }

    fn header(&self, name: &str, value: &str) -> (String, String) {
        let value = match (name, value.split_once(' ')) {
            ("authorization", Some((scheme, _))) => format!("{scheme} {HIDDEN}"),
            ("authorization", None) => HIDDEN.to_owned(),
            _ => self.blot(value),
        };
        (name.to_owned(), value)
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

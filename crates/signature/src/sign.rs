//! Making requests that pass verification: for `becket sign`, test deliveries and round-trip tests.
//!
//! Invariants: the same templates as in verification; the first scheme that fits the request signs, with the
//! first secret. Asymmetric schemes take a private key as the secret. Deliberately absent: RSA signing.

use http::{HeaderMap, HeaderName, HeaderValue};
use ring::rand::SystemRandom;
use ring::{digest, signature};

use crate::encoding;
use crate::error::SignError;
use crate::keys::{self, Key, key_bytes};
use crate::request::{RequestView, SignRequest, Signed};
use crate::scheme::{Class, EcdsaForm, Scheme, SignatureSpec, TimestampUnit, UrlVariant};
use crate::scope::{Absent, Scope};
use crate::template::{Expr, Place, Template};
use crate::timestamp;
use crate::url_text;
use crate::verifier::{Verifier, composed_secret, hmac_tag, plain_hash};

/// A request in the making.
struct Draft {
    method: String,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
    event_type: Option<String>,
    delivery_id: String,
    timestamp: Option<String>,
}

impl Verifier {
    /// Signs a request at this time (unix seconds). For Ed25519 the secret is a seed (hex, base64, `whsk_`) or
    /// PKCS#8 PEM, for ECDSA PKCS#8 PEM.
    pub fn sign(&self, request: &SignRequest<'_>, now_s: i64) -> Result<Signed, SignError> {
        for scheme in &self.entry.schemes {
            let mut draft = self.draft(request, now_s)?;
            if !self.applies(&draft, &scheme.sign.when) {
                continue;
            }
            self.add_demanded(&mut draft, scheme)?;
            let field = add_timestamp(&mut draft, scheme, now_s)?;
            if !self.applies(&draft, &scheme.when) {
                continue;
            }
            if let Some(spec) = &scheme.signature {
                let bytes = self.signature_bytes(&draft, scheme)?;
                let text = signature_text(spec, &bytes, field);
                if let (Some(Expr::Json(_)), true) =
                    (spec.at.first().and_then(|at| at.single()), scheme.signs_body())
                {
                    return Err(SignError::Unsupported {
                        class: "a signature inside the signed body",
                    });
                }
                put(&mut draft, spec.at.first(), text, None)?;
            }
            return Ok(draft.finish());
        }
        Err(SignError::NoScheme { slug: self.entry.slug.clone() })
    }

    fn draft(&self, request: &SignRequest<'_>, now_s: i64) -> Result<Draft, SignError> {
        let delivery_id = request.delivery_id.map_or_else(
            || {
                let mut context = digest::Context::new(&digest::SHA256);
                context.update(&now_s.to_be_bytes());
                context.update(request.body);
                format!("msg_{}", &hex::encode(context.finish())[..24])
            },
            str::to_owned,
        );
        let mut draft = Draft {
            method: request.method.to_owned(),
            url: request.url.to_owned(),
            headers: HeaderMap::new(),
            body: request.body.to_vec(),
            event_type: request.event_type.map(str::to_owned),
            delivery_id: delivery_id.clone(),
            timestamp: None,
        };
        if !request.content_type.is_empty() {
            draft.set_header(&http::header::CONTENT_TYPE, request.content_type.to_owned())?;
        }
        let facts = [
            (&self.entry.event_type, request.event_type),
            (&self.entry.delivery_id, Some(delivery_id.as_str())),
        ];
        for (fact, value) in facts {
            let place = fact.as_ref().and_then(|fact| fact.at.first());
            if let (Some(Expr::Header(name)), Some(value)) = (place.and_then(Place::single), value)
            {
                draft.set_header(name, value.to_owned())?;
            }
        }
        Ok(draft)
    }

    fn applies(&self, draft: &Draft, conditions: &[crate::scheme::Condition]) -> bool {
        let scope = self.draft_scope(draft, &draft.url);
        conditions.iter().all(|condition| scope.holds(condition))
    }

    fn draft_scope<'a>(&'a self, draft: &'a Draft, url: &'a str) -> Scope<'a> {
        let request = RequestView {
            method: &draft.method,
            url: &draft.url,
            headers: &draft.headers,
            body: &draft.body,
        };
        Scope {
            timestamp: draft.timestamp.as_deref(),
            event_type: draft.event_type.as_deref(),
            delivery_id: Some(&draft.delivery_id),
            hmac: self.challenge_key(),
            ..Scope::new(request, url, &self.credentials.named)
        }
    }

    fn add_demanded(&self, draft: &mut Draft, scheme: &Scheme) -> Result<(), SignError> {
        for (name, template) in &scheme.sign.set_query {
            let value = self.text(draft, template)?;
            append_query(&mut draft.url, name, &value);
        }
        for (name, template) in &scheme.sign.set_headers {
            let value = self.text(draft, template)?;
            let name = HeaderName::try_from(name).map_err(|_| unusable_header(name))?;
            draft.set_header(&name, value)?;
        }
        Ok(())
    }

    fn text(&self, draft: &Draft, template: &Template) -> Result<String, SignError> {
        let scope = self.draft_scope(draft, &draft.url);
        let bytes = scope.render(template).map_err(missing)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn signature_bytes(&self, draft: &Draft, scheme: &Scheme) -> Result<Vec<u8>, SignError> {
        let secret = self
            .credentials
            .secrets
            .first()
            .cloned()
            .or_else(|| composed_secret(scheme, &self.credentials.named))
            .ok_or_else(|| SignError::MissingCredential {
                slug: self.entry.slug.clone(),
                needed: if scheme.class.is_asymmetric() {
                    "a private key"
                } else {
                    "a shared secret"
                },
            })?;
        let url = url_text::registered(self.public_url.as_deref(), &draft.url);
        let variant = scheme.url_variants.first().copied();
        let url = url_text::variant(&url, variant.unwrap_or(UrlVariant::Exact));
        let scope = self.draft_scope(draft, &url);
        let unusable = |message: String| SignError::PrivateKey { message };
        let missing_part = |_| match scope.render(&scheme.message) {
            Err(absent) => missing(absent),
            Ok(_) => SignError::Unsupported { class: scheme.class.name() },
        };
        match scheme.class {
            Class::None => Ok(Vec::new()),
            Class::Token | Class::Basic => {
                keys::transform(&secret, &scheme.key).map(|bytes| bytes.to_vec()).map_err(unusable)
            }
            Class::Hmac | Class::Hash => {
                match keys::prepare_secret(&secret, scheme).map_err(unusable)? {
                    Key::Hmac(key) => hmac_tag(&scope, &scheme.message, &key)
                        .map(|tag| tag.as_ref().to_vec())
                        .map_err(missing_part),
                    Key::Bytes(bytes) => {
                        let scope = Scope { secret: Some(&bytes), ..scope };
                        plain_hash(&scope, scheme)
                            .map(|hash| hash.as_ref().to_vec())
                            .map_err(missing_part)
                    }
                    Key::TokenHash(_) | Key::Public(_) => {
                        Err(SignError::Unsupported { class: scheme.class.name() })
                    }
                }
            }
            Class::Ed25519 => {
                let message = scope.render(&scheme.message).map_err(missing)?;
                Ok(ed25519(&secret)?.sign(&message).as_ref().to_vec())
            }
            Class::EcdsaP256 => {
                let message = scope.render(&scheme.message).map_err(missing)?;
                ecdsa(&secret, scheme, &message)
            }
            Class::RsaPkcs1 | Class::RsaPss => {
                Err(SignError::Unsupported { class: scheme.class.name() })
            }
        }
    }
}

impl Draft {
    fn set_header(&mut self, name: &HeaderName, value: String) -> Result<(), SignError> {
        let value = HeaderValue::try_from(value).map_err(|_| unusable_header(name.as_str()))?;
        self.headers.insert(name, value);
        Ok(())
    }

    fn finish(self) -> Signed {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        Signed { headers, url: self.url, body: self.body }
    }
}

fn unusable_header(name: &str) -> SignError {
    SignError::MissingPart { part: format!("header:{name} (its value cannot be sent)") }
}

fn missing(absent: Absent<'_>) -> SignError {
    let (Absent::Missing(expr) | Absent::Repeated(expr)) = absent;
    SignError::MissingPart { part: expr.to_string() }
}

/// Writes the timestamp where the scheme reads it; a field of the signature's text is returned instead.
fn add_timestamp<'s>(
    draft: &mut Draft,
    scheme: &'s Scheme,
    now_s: i64,
) -> Result<Option<(&'s str, String)>, SignError> {
    let Some(spec) = &scheme.timestamp else {
        return Ok(None);
    };
    let text = timestamp::print(now_s, spec.unit);
    draft.timestamp = Some(text.clone());
    if let Some(Expr::Field(name)) = spec.at.single() {
        return Ok(Some((name, text)));
    }
    put(draft, Some(&spec.at), text, Some(spec.unit))?;
    Ok(None)
}

/// Writes a text at a place of the request.
fn put(
    draft: &mut Draft,
    place: Option<&Place>,
    text: String,
    unit: Option<TimestampUnit>,
) -> Result<(), SignError> {
    match place.and_then(Place::single) {
        Some(Expr::Header(name)) => draft.set_header(name, text),
        Some(Expr::Query(name)) => {
            append_query(&mut draft.url, name, &text);
            Ok(())
        }
        Some(Expr::Form(name)) => {
            let pair = url::form_urlencoded::Serializer::new(String::new())
                .append_pair(name, &text)
                .finish();
            if !draft.body.is_empty() {
                draft.body.push(b'&');
            }
            draft.body.extend_from_slice(pair.as_bytes());
            Ok(())
        }
        Some(Expr::Json(path)) => {
            let number = matches!(unit, Some(TimestampUnit::S | TimestampUnit::Ms));
            let value = match text.parse::<i64>() {
                Ok(whole) if number => serde_json::Value::from(whole),
                _ => serde_json::Value::from(text),
            };
            draft.body = set_json(&draft.body, path.segments(), value).ok_or_else(|| {
                SignError::MissingPart { part: format!("json:{path} (the body is no JSON object)") }
            })?;
            Ok(())
        }
        _ => Err(SignError::Unsupported { class: "a place that is made of several parts" }),
    }
}

fn set_json(body: &[u8], path: &[String], value: serde_json::Value) -> Option<Vec<u8>> {
    let mut document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let mut here = &mut document;
    for step in path {
        here = here
            .as_object_mut()?
            .entry(step.as_str())
            .or_insert_with(|| serde_json::Value::Object(serde_json::Map::new()));
    }
    *here = value;
    serde_json::to_vec(&document).ok()
}

fn append_query(url: &mut String, name: &str, value: &str) {
    let pair =
        url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(&pair);
}

fn signature_text(spec: &SignatureSpec, bytes: &[u8], timestamp: Option<(&str, String)>) -> String {
    let signature = format!("{}{}", spec.prefix, encoding::encode(bytes, spec.encoding));
    let Some(split) = &spec.split else {
        return signature;
    };
    let (Some(pair), Some(key)) =
        (&split.pair, split.wanted.as_ref().and_then(|wanted| wanted.first()))
    else {
        return signature;
    };
    let item = format!("{key}{pair}{signature}");
    match timestamp {
        Some((name, text)) => {
            let items = split.items.as_deref().unwrap_or(",");
            format!("{name}{pair}{text}{items}{item}")
        }
        None => item,
    }
}

fn ed25519(secret: &str) -> Result<signature::Ed25519KeyPair, SignError> {
    let unusable = |message: &str| SignError::PrivateKey { message: message.to_owned() };
    let secret = secret.trim();
    let text = secret.strip_prefix("whsk_").unwrap_or(secret);
    let bytes = key_bytes(text).map_err(|message| unusable(&message))?;
    let pair = match bytes.len() {
        32 => signature::Ed25519KeyPair::from_seed_unchecked(&bytes),
        64 => signature::Ed25519KeyPair::from_seed_and_public_key(&bytes[..32], &bytes[32..]),
        _ => signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes),
    };
    pair.map_err(|_| {
        unusable("it is no Ed25519 key: give a seed of 32 bytes in hex or base64, or PKCS#8 PEM")
    })
}

fn ecdsa(secret: &str, scheme: &Scheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
    let unusable = |message: &str| SignError::PrivateKey { message: message.to_owned() };
    let form = scheme.signature.as_ref().map(|spec| spec.form);
    let algorithm = match form {
        Some(EcdsaForm::Raw) => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        _ => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
    };
    let bytes = key_bytes(secret).map_err(|message| unusable(&message))?;
    let random = SystemRandom::new();
    let pair = signature::EcdsaKeyPair::from_pkcs8(algorithm, &bytes, &random)
        .map_err(|_| unusable("it is no P-256 key: give PKCS#8 PEM (`BEGIN PRIVATE KEY`)"))?;
    pair.sign(&random, message)
        .map(|signed| signed.as_ref().to_vec())
        .map_err(|_| unusable("the system gave no randomness"))
}

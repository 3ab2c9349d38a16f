//! Making requests that pass verification: for `becket sign`, test deliveries and round-trip tests.
//!
//! Invariants: the same templates as in verification; the first scheme that fits the request signs, with the
//! first secret. Asymmetric schemes take a private key as the secret. What a scheme demands of a request and the
//! caller did not give (headers, parameters, fields, claims) is made up; the event's own document is only
//! changed where the scheme reads its time or its signature. Next: `draft`, which writes into requests.

use ring::{digest, signature};

use crate::builders::{BuildSpec, CanonicalHeaders};
use crate::candidates::compose;
use crate::draft::{Draft, set_json, unusable_header};
use crate::encoding;
use crate::entry::FactSpec;
use crate::error::SignError;
use crate::judging::{hmac_tag, plain_hash};
use crate::jwt::{self, Token};
use crate::keys::{self, Key, key_bytes};
use crate::preparing::composed_secret;
use crate::request::{SignRequest, Signed};
use crate::rsa_signing;
use crate::scheme::{Class, Condition, Digest, EcdsaForm, Scheme, SignatureSpec, UrlVariant};
use crate::scope::{Absent, Scope, is_form};
use crate::template::{Expr, Place, Template};
use crate::timestamp;
use crate::url_text;
use crate::verifier::Verifier;

/// How long a token that is made here is valid, in seconds.
const TOKEN_LIFE_S: i64 = 300;

impl Verifier {
    /// Signs a request at this time (unix seconds). For Ed25519 the secret is a seed (hex, base64, `whsk_`) or
    /// PKCS#8 PEM, for ECDSA and RSA PKCS#8 PEM.
    pub fn sign(&self, request: &SignRequest<'_>, now_s: i64) -> Result<Signed, SignError> {
        let mut problem = None;
        for scheme in &self.entry.schemes {
            // What could not be signed must not go out unsigned.
            if problem.is_some() && scheme.class == Class::None {
                continue;
            }
            match self.sign_with(scheme, request, now_s) {
                Ok(Some(signed)) => return Ok(signed),
                Ok(None) => {}
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        Err(problem.unwrap_or_else(|| SignError::NoScheme { slug: self.entry.slug.clone() }))
    }

    /// `None` when the scheme is not for this kind of request.
    fn sign_with(
        &self,
        scheme: &Scheme,
        request: &SignRequest<'_>,
        now_s: i64,
    ) -> Result<Option<Signed>, SignError> {
        let mut draft = self.draft(request, now_s)?;
        if !self.all_hold(&draft, scheme, &scheme.sign.when) {
            return Ok(None);
        }
        draft.wrap_payload(self.entry.payload.as_deref());
        if scheme.signs_forms_only() && !draft.body.is_empty() && !is_form(&draft.view()) {
            return Ok(None);
        }
        self.add_demanded(&mut draft, scheme)?;
        self.fill_conditions(&mut draft, scheme, &scheme.when)?;
        self.add_timestamp(&mut draft, scheme, now_s)?;
        self.fill_message(&mut draft, scheme)?;
        self.fill_required(&mut draft, scheme)?;
        if let Some(spec) = &scheme.signature {
            self.add_signature(&mut draft, scheme, spec, now_s)?;
        }
        Ok(self.all_hold(&draft, scheme, &scheme.when).then(|| draft.finish()))
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
            headers: http::HeaderMap::new(),
            body: request.body.to_vec(),
            event_type: request.event_type.map(str::to_owned),
            delivery_id: delivery_id.clone(),
            timestamp: None,
            fields: Vec::new(),
        };
        if !request.content_type.is_empty() {
            draft.set_header(&http::header::CONTENT_TYPE, request.content_type.to_owned())?;
        }
        let first =
            |fact: &Option<FactSpec>| fact.as_ref().and_then(|fact| fact.at.first()).cloned();
        let type_at = first(&self.entry.event_type);
        if let (Some(Expr::Header(name)), Some(value)) =
            (type_at.as_ref().and_then(Place::single), request.event_type)
        {
            draft.set_header(name, value.to_owned())?;
        }
        // Of an id that is put together the first header is the one that may be chosen.
        let id_at = first(&self.entry.delivery_id);
        let chosen = id_at.as_ref().and_then(|place| {
            place.variables().find_map(|variable| match variable {
                Expr::Header(name) => Some(name),
                _ => None,
            })
        });
        if let Some(name) = chosen {
            draft.set_header(name, delivery_id)?;
        }
        Ok(draft)
    }

    /// Evaluates against the draft, with the fields that it has so far.
    fn with_scope<R>(
        &self,
        draft: &Draft,
        scheme: &Scheme,
        call: impl FnOnce(&Scope<'_>) -> R,
    ) -> R {
        let url = url_text::registered(self.public_url.as_deref(), &draft.url);
        let variant = scheme.url_variants.first().copied();
        let url = url_text::variant(&url, variant.unwrap_or(UrlVariant::Exact));
        let spec = scheme.signature.as_ref();
        let text = spec.map(|spec| compose(spec, &draft.fields, "", self.wanted_key(spec)));
        call(&Scope {
            timestamp: draft.timestamp.as_deref(),
            event_type: draft.event_type.as_deref(),
            delivery_id: Some(&draft.delivery_id),
            hmac: self.challenge_key(),
            signature: text.as_deref().zip(spec),
            build: scheme.build.as_ref(),
            ..self.base_scope(&draft.view(), &url)
        })
    }

    /// The key by which a signature is found among others.
    fn wanted_key<'a>(&'a self, spec: &'a SignatureSpec) -> &'a str {
        let Some(split) = &spec.split else { return "" };
        let named =
            split.wanted_credential.as_ref().and_then(|name| self.credentials.named.get(name));
        match (&split.wanted, named) {
            (Some(wanted), _) => wanted.first().map_or("", String::as_str),
            (None, Some(value)) => value,
            (None, None) => "",
        }
    }

    fn all_hold(&self, draft: &Draft, scheme: &Scheme, conditions: &[Condition]) -> bool {
        self.with_scope(draft, scheme, |scope| {
            conditions.iter().all(|condition| scope.holds(condition))
        })
    }

    fn text(
        &self,
        draft: &Draft,
        scheme: &Scheme,
        template: &Template,
    ) -> Result<String, SignError> {
        self.with_scope(draft, scheme, |scope| {
            let bytes = scope.render(template).map_err(missing)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        })
    }

    fn put(&self, draft: &mut Draft, place: &Place, text: String) -> Result<(), SignError> {
        draft.put(place, text, None, self.entry.payload.as_deref())
    }

    fn add_demanded(&self, draft: &mut Draft, scheme: &Scheme) -> Result<(), SignError> {
        for (name, template) in &scheme.sign.set_query {
            let value = self.text(draft, scheme, template)?;
            draft.put_query(name, &value);
        }
        for (name, template) in &scheme.sign.set_headers {
            let value = self.text(draft, scheme, template)?;
            let name =
                http::HeaderName::try_from(name).map_err(|_| unusable_header(name.as_str()))?;
            draft.set_header(&name, value)?;
        }
        Ok(())
    }

    /// Makes conditions on headers, parameters and fields hold; others are for the caller to meet.
    fn fill_conditions(
        &self,
        draft: &mut Draft,
        scheme: &Scheme,
        conditions: &[Condition],
    ) -> Result<(), SignError> {
        for condition in conditions {
            let of_signature =
                scheme.signature.as_ref().is_some_and(|spec| spec.at.contains(&condition.at));
            let fillable =
                matches!(
                    condition.at.single(),
                    Some(Expr::Header(name)) if name != http::header::CONTENT_TYPE
                ) || matches!(condition.at.single(), Some(Expr::Query(_) | Expr::Field(_)));
            if of_signature
                || !fillable
                || self.all_hold(draft, scheme, std::slice::from_ref(condition))
            {
                continue;
            }
            let named = condition.equals_credential.as_ref();
            let value = condition
                .equals
                .iter()
                .chain(&condition.starts_with)
                .find_map(|texts| texts.first())
                .or_else(|| named.and_then(|name| self.credentials.named.get(name)))
                .cloned()
                .or_else(|| (condition.present == Some(true)).then(|| draft.delivery_id.clone()));
            if let Some(value) = value {
                self.put(draft, &condition.at, value)?;
            }
        }
        Ok(())
    }

    /// Writes the timestamp where the scheme reads it; one in the claims is written with them.
    fn add_timestamp(
        &self,
        draft: &mut Draft,
        scheme: &Scheme,
        now_s: i64,
    ) -> Result<(), SignError> {
        let Some(spec) = &scheme.timestamp else {
            return Ok(());
        };
        if matches!(spec.at.single(), Some(Expr::Claim(_))) {
            return Ok(());
        }
        let text = timestamp::print(now_s, spec.unit);
        draft.timestamp = Some(text.clone());
        draft.put(&spec.at, text, Some(spec.unit), self.entry.payload.as_deref())
    }

    /// Makes up the headers, parameters and fields that are part of the signed text and not there.
    fn fill_message(&self, draft: &mut Draft, scheme: &Scheme) -> Result<(), SignError> {
        if let Some(BuildSpec::CanonicalHeaders(spec)) = &scheme.build {
            self.list_headers(draft, spec)?;
        }
        let built = scheme.build.as_ref().map(|build| build.variables()).unwrap_or_default();
        let key_id = scheme.public_key.fetch.as_ref().and_then(|fetch| fetch.key_id.as_ref());
        let key_id = key_id.into_iter().flat_map(|place| place.variables());
        for variable in scheme.message.variables().chain(built).chain(key_id) {
            let fillable = matches!(variable, Expr::Header(_) | Expr::Query(_) | Expr::Field(_));
            let there = self.with_scope(draft, scheme, |scope| scope.value(variable).is_ok());
            if !fillable || (there && !matches!(variable, Expr::Field(_))) {
                continue;
            }
            match variable {
                Expr::Header(name) => {
                    let value = draft.delivery_id.clone();
                    draft.set_header(name, value)?;
                }
                Expr::Query(name) => {
                    let value = draft.delivery_id.clone();
                    draft.put_query(name, &value);
                }
                Expr::Field(name) if !draft.fields.iter().any(|(known, _)| known == name) => {
                    let value = draft.delivery_id.clone();
                    draft.set_field(name, value);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Lists the headers that are signed where the scheme reads the list, and makes up those it always signs.
    fn list_headers(&self, draft: &mut Draft, spec: &CanonicalHeaders) -> Result<(), SignError> {
        let names = spec.names.iter().chain(&spec.must).map(|name| String::from(name.clone()));
        let names: Vec<String> = names.collect();
        for name in names.iter().filter_map(|name| http::HeaderName::try_from(name).ok()) {
            if name != http::header::HOST && !draft.headers.contains_key(&name) {
                let value = draft.delivery_id.clone();
                draft.set_header(&name, value)?;
            }
        }
        match &spec.names_at {
            None => Ok(()),
            Some(place) => {
                let listed = if names.is_empty() {
                    "content-type".to_owned()
                } else {
                    names.join(&spec.names_separator)
                };
                self.put(draft, place, listed)
            }
        }
    }

    /// Writes what must hold besides the signature; what is demanded of claims is written with them.
    fn fill_required(&self, draft: &mut Draft, scheme: &Scheme) -> Result<(), SignError> {
        for rule in &scheme.require {
            let of_claim = rule.at.variables().any(|variable| matches!(variable, Expr::Claim(_)));
            if of_claim || !self.all_hold(draft, scheme, &rule.when) {
                continue;
            }
            let wanted = self.text(draft, scheme, &rule.equals)?;
            let found = self.text(draft, scheme, &rule.at).ok();
            if found.is_none_or(|found| !found.eq_ignore_ascii_case(&wanted)) {
                self.put(draft, &rule.at, wanted)?;
            }
        }
        Ok(())
    }

    fn add_signature(
        &self,
        draft: &mut Draft,
        scheme: &Scheme,
        spec: &SignatureSpec,
        now_s: i64,
    ) -> Result<(), SignError> {
        let encoded = if scheme.class == Class::Jwt {
            self.token(draft, scheme, spec, now_s)?
        } else {
            let bytes = self.signature_bytes(draft, scheme)?;
            encoding::encode(&bytes, spec.encoding)
        };
        let mut text = compose(spec, &draft.fields, &encoded, self.wanted_key(spec));
        let place = &spec.at[0];
        // What the text must begin with may hold more than the signature's own prefix.
        let beginning = scheme
            .when
            .iter()
            .filter(|condition| condition.at == *place)
            .find_map(|condition| condition.starts_with.as_ref()?.first());
        if let Some(beginning) = beginning.filter(|beginning| !text.starts_with(beginning.as_str()))
        {
            text.insert_str(0, beginning);
        }
        let before = self.with_scope(draft, scheme, |scope| {
            scope.render(&scheme.message).map(std::borrow::Cow::into_owned).ok()
        });
        self.put(draft, place, crate::candidates::wrapped(text, spec.wrap))?;
        let after = self.with_scope(draft, scheme, |scope| {
            scope.render(&scheme.message).map(std::borrow::Cow::into_owned).ok()
        });
        // Tokens have no message, or one of their own; every other must not change by being signed.
        let signs = !matches!(scheme.class, Class::Jwt | Class::Token | Class::Basic);
        if signs && before != after {
            return Err(SignError::Unsupported { class: "a signature inside the signed text" });
        }
        Ok(())
    }

    fn secret(&self, scheme: &Scheme) -> Result<String, SignError> {
        self.credentials
            .secrets
            .first()
            .cloned()
            .or_else(|| composed_secret(scheme, &self.credentials.named))
            .ok_or_else(|| SignError::MissingCredential {
                slug: self.entry.slug.clone(),
                needed: if scheme.takes_secrets() { "a shared secret" } else { "a private key" },
            })
    }

    /// A token with the claims that the scheme demands; a token that is the whole body carries the event.
    fn token(
        &self,
        draft: &Draft,
        scheme: &Scheme,
        signature: &SignatureSpec,
        now_s: i64,
    ) -> Result<String, SignError> {
        let spec = scheme.jwt.as_ref().ok_or(SignError::Unsupported { class: "jwt" })?;
        let secret = self.secret(scheme)?;
        let bytes = if spec.algorithms.first().is_some_and(|name| name.is_symmetric()) {
            keys::transform(&secret, &scheme.key)
                .map_err(|message| SignError::PrivateKey { message })?
                .to_vec()
        } else {
            Vec::new()
        };
        if spec.detached.is_some() {
            let payload = self.text(draft, scheme, &scheme.message)?;
            return jwt::sign(spec, &bytes, &secret, &payload, None);
        }
        let is_body = signature.at[0].single() == Some(&Expr::Body);
        let mut claims = if is_body && draft.body.trim_ascii_start().starts_with(b"{") {
            draft.body.clone()
        } else if let Some(token) = std::str::from_utf8(&draft.body)
            .ok()
            .and_then(|text| Token::parse(text.trim()))
            .filter(|_| is_body)
        {
            // A token of somebody else's: its claims are the event.
            token.claims().to_vec()
        } else {
            serde_json::json!({ "iat": now_s, "exp": now_s.saturating_add(TOKEN_LIFE_S) })
                .to_string()
                .into_bytes()
        };
        let mut write = |place: &Place, value: serde_json::Value, replace: bool| {
            let mut claim = place.variables().filter(|variable| matches!(variable, Expr::Claim(_)));
            let (Some(Expr::Claim(path)), None) = (claim.next(), claim.next()) else {
                return Err(SignError::Unsupported { class: "a claim made of several parts" });
            };
            if !replace && path.find(&claims).is_some() {
                return Ok(());
            }
            claims = set_claim(&claims, path.segments(), value)
                .ok_or_else(|| SignError::MissingPart { part: format!("claim:{path}") })?;
            Ok(())
        };
        for rule in &scheme.require {
            let reads_claims = |template: &Template| {
                template.variables().any(|read| matches!(read, Expr::Claim(_)))
            };
            if !reads_claims(&rule.at) || !self.all_hold(draft, scheme, &rule.when) {
                continue;
            }
            if !reads_claims(&rule.equals) {
                write(&rule.at, self.text(draft, scheme, &rule.equals)?.into(), true)?;
            } else {
                // A claim that is compared with claims only has to be there.
                write(&rule.at, draft.delivery_id.clone().into(), false)?;
            }
        }
        if let Some(time) = &scheme.timestamp {
            let text = timestamp::print(now_s, time.unit);
            let value = text.parse::<i64>().map_or(text.into(), serde_json::Value::from);
            write(&time.at, value, true)?;
        }
        jwt::sign(spec, &bytes, &secret, &String::from_utf8_lossy(&claims), None)
    }

    fn signature_bytes(&self, draft: &Draft, scheme: &Scheme) -> Result<Vec<u8>, SignError> {
        let secret = self.secret(scheme)?;
        let unusable = |message: String| SignError::PrivateKey { message };
        self.with_scope(draft, scheme, |scope| {
            let missing_part = |_| match scope.render(&scheme.message) {
                Err(absent) => missing(absent),
                Ok(_) => SignError::Unsupported { class: scheme.class.name() },
            };
            let message = || scope.render(&scheme.message).map_err(missing);
            match scheme.class {
                Class::None | Class::Jwt => Ok(Vec::new()),
                Class::Token | Class::Basic => keys::transform(&secret, &scheme.key)
                    .map(|bytes| bytes.to_vec())
                    .map_err(unusable),
                Class::Hmac | Class::Hash => {
                    match keys::prepare_secret(&secret, scheme).map_err(unusable)?.swap_remove(0) {
                        Key::Hmac(key) => hmac_tag(scope, &scheme.message, &key)
                            .map(|tag| tag.as_ref().to_vec())
                            .map_err(missing_part),
                        Key::Bytes(bytes) => {
                            let scope = Scope { secret: Some(&bytes), ..*scope };
                            plain_hash(&scope, scheme)
                                .map(|hash| hash.as_ref().to_vec())
                                .map_err(missing_part)
                        }
                        Key::TokenHash(_) | Key::Public(_) | Key::Jwt(_) => {
                            Err(SignError::Unsupported { class: scheme.class.name() })
                        }
                    }
                }
                Class::Ed25519 => Ok(ed25519(&secret)?.sign(&message()?).as_ref().to_vec()),
                Class::EcdsaP256 | Class::EcdsaP384 => {
                    rsa_signing::ecdsa(ecdsa(scheme)?, &secret, &message()?)
                }
                Class::RsaPkcs1 | Class::RsaPss => rsa_signing::rsa_sign(
                    scheme.class,
                    scheme.digest.unwrap_or(Digest::Sha256),
                    &secret,
                    &message()?,
                ),
            }
        })
    }
}

fn missing(absent: Absent<'_>) -> SignError {
    let (Absent::Missing(expr) | Absent::Repeated(expr)) = absent;
    SignError::MissingPart { part: expr.to_string() }
}

/// Claims are made here, lists too: a step that is an index begins one.
fn set_claim(claims: &[u8], path: &[String], value: serde_json::Value) -> Option<Vec<u8>> {
    match path {
        [head @ .., index] if index == "*" || index == "0" => {
            set_json(claims, head, serde_json::Value::Array(vec![value]))
        }
        path => set_json(claims, path, value),
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

/// How an ECDSA scheme is signed.
fn ecdsa(scheme: &Scheme) -> Result<&'static signature::EcdsaSigningAlgorithm, SignError> {
    let form = scheme.signature.as_ref().map(|spec| spec.form).unwrap_or_default();
    match (scheme.class, scheme.digest, form) {
        (Class::EcdsaP256, None | Some(Digest::Sha256), EcdsaForm::Der) => {
            Ok(&signature::ECDSA_P256_SHA256_ASN1_SIGNING)
        }
        (Class::EcdsaP256, None | Some(Digest::Sha256), EcdsaForm::Raw) => {
            Ok(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)
        }
        (Class::EcdsaP384, None | Some(Digest::Sha384), EcdsaForm::Der) => {
            Ok(&signature::ECDSA_P384_SHA384_ASN1_SIGNING)
        }
        (Class::EcdsaP384, None | Some(Digest::Sha384), EcdsaForm::Raw) => {
            Ok(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)
        }
        _ => Err(SignError::Unsupported { class: "ecdsa with this digest" }),
    }
}

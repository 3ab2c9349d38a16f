//! What an entry must satisfy beyond its grammar, so that mistakes show when it is read and not at night.

use crate::answers::HandshakeRule;
use crate::candidates::PLACES_MAX;
use crate::entry::{Entry, Proof, Status};
use crate::error::EntryError;
use crate::fetched::{self, FetchSpec};
use crate::scheme::{Charset, Class, Condition, Digest, EcdsaForm, Scheme, SignatureSpec, Wrap};
use crate::template::{Expr, Function};

impl Entry {
    /// Checks what spans fields; part of [`Entry::from_toml`] and of making a verifier.
    pub fn check(&self) -> Result<(), EntryError> {
        self.problem().map_or(Ok(()), |message| {
            Err(EntryError::Inconsistent { slug: self.slug.clone(), message })
        })
    }

    fn problem(&self) -> Option<String> {
        let letters = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
        };
        if self.slug.is_empty() || self.slug.len() > 64 || !self.slug.bytes().all(letters) {
            return Some("`slug` must be 1 to 64 of a-z, 0-9, `_` and `-`".to_owned());
        }
        if !(400..500).contains(&self.failure_status) {
            return Some("`failure_status` must be 400 to 499".to_owned());
        }
        let acks = self.ack.iter().flat_map(|ack| ack.headers.values().chain([&ack.body]));
        if acks.flat_map(|template| template.parts()).any(|part| !keyed_hashes(part).is_empty()) {
            return Some("`ack` must not contain keyed hashes: use a handshake".to_owned());
        }
        let facts = self.event_type.iter().chain(&self.delivery_id).flat_map(|fact| fact.at.iter());
        let payload = self.payload.iter().flat_map(|places| places.iter());
        if facts.chain(payload).any(|place| place.uses(&Expr::Token))
            && !self
                .schemes
                .iter()
                .all(|scheme| scheme.class == Class::Jwt && scheme.is_whole_body())
        {
            return Some(
                "`token` is only proven where the body is the signature of class jwt".to_owned(),
            );
        }
        if let Some(ack) = &self.ack
            && !(200..300).contains(&ack.status)
        {
            return Some("`ack.status` must be 200 to 299".to_owned());
        }
        if let Some(problem) = self.proof_problem() {
            return Some(problem);
        }
        if self.schemes.is_empty() {
            return Some(
                "there is no `[[scheme]]`: write one, with `class = \"none\"` to verify nothing"
                    .to_owned(),
            );
        }
        self.schemes
            .iter()
            .find_map(|scheme| {
                scheme_problem(scheme)
                    .map(|problem| format!("scheme `{}`: {problem}", scheme.label()))
            })
            .or_else(|| {
                self.handshakes.iter().find_map(|rule| {
                    handshake_problem(rule, &self.schemes)
                        .map(|problem| format!("handshake `{}`: {problem}", rule.name))
                })
            })
    }
}

impl Entry {
    /// What is proven must say by what.
    fn proof_problem(&self) -> Option<String> {
        match (self.status, self.proof) {
            (Status::Declared, Some(_)) => {
                Some("`proof` has no meaning unless `status` is \"proven\"".to_owned())
            }
            (_, Some(Proof::Shared)) if self.like.is_none() => Some(
                "`proof = \"shared\"` needs `like`: the slug of the entry that is proven"
                    .to_owned(),
            ),
            (_, proof) if self.like.is_some() && proof != Some(Proof::Shared) => {
                Some("`like` belongs to `proof = \"shared\"`".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether the digest is one that the class can work with; the text says which are.
fn digest_problem(scheme: &Scheme) -> Option<String> {
    let needs = matches!(scheme.class, Class::Hmac | Class::Hash | Class::RsaPkcs1 | Class::RsaPss);
    let Some(digest) = scheme.digest else {
        return needs
            .then(|| "`digest` is missing: sha1, sha256, sha384 or sha512 (or md5)".to_owned());
    };
    let raw = scheme.signature.as_ref().is_some_and(|spec| spec.form == EcdsaForm::Raw);
    let fits = match scheme.class {
        Class::Hmac | Class::Hash => true,
        Class::RsaPkcs1 => digest != Digest::Md5,
        Class::RsaPss => !matches!(digest, Digest::Md5 | Digest::Sha1),
        Class::EcdsaP256 => matches!(digest, Digest::Sha1 | Digest::Sha256),
        Class::EcdsaP384 => digest == Digest::Sha384 || (digest == Digest::Sha256 && !raw),
        _ => return Some(format!("`digest` has no meaning for {}", scheme.class.name())),
    };
    let name = format!("{digest:?}").to_lowercase();
    (!fits).then(|| format!("{} with {name} is not supported", scheme.class.name()))
}

/// What belongs to one class only, and what it needs.
fn class_problem(scheme: &Scheme) -> Option<String> {
    match (&scheme.jwt, scheme.class) {
        (None, Class::Jwt) => {
            return Some("`[scheme.jwt]` is missing: pin the algorithms, such as HS256".to_owned());
        }
        (Some(spec), Class::Jwt) => {
            if let Some(problem) = spec.problem() {
                return Some(problem);
            }
        }
        (Some(_), class) => {
            return Some(format!("`jwt` has no meaning for {}", class.name()));
        }
        _ => {}
    }
    if scheme.public_key.fetch.is_some() && !scheme.takes_public_keys() {
        return Some(format!("`public_key.fetch` has no meaning for {}", scheme.class.name()));
    }
    if let Some(problem) = scheme.public_key.fetch.as_ref().and_then(FetchSpec::problem) {
        return Some(problem);
    }
    let uses_built = scheme.message.uses(&Expr::Built);
    if uses_built && scheme.build.is_none() {
        return Some("`message` contains {built} and there is no `[scheme.build]`".to_owned());
    }
    if !uses_built && scheme.build.is_some() {
        return Some("`build` has no meaning unless `message` contains {built}".to_owned());
    }
    if let Some(build) = &scheme.build {
        if build.variables().contains(&&Expr::Built) {
            return Some("`build` reads itself".to_owned());
        }
        return build.problem();
    }
    None
}

fn split_problem(signature: &SignatureSpec) -> Option<String> {
    let Some(split) = &signature.split else {
        return None;
    };
    let wants = split.wanted.is_some() || split.wanted_credential.is_some();
    let problem = if signature.wrap == Some(Wrap::Base64Json) {
        (split.pair.is_some() || split.items.is_some()).then_some(
            "the members of a `base64_json` are fields already: `split` takes only `wanted`",
        )
    } else if !split.columns.is_empty() && (split.pair.is_none() || split.wanted.is_none()) {
        Some("`split.columns` needs `pair` and `wanted`")
    } else if !split.columns.is_empty()
        && split
            .wanted
            .iter()
            .flat_map(|wanted| wanted.iter())
            .any(|name| !split.columns.contains(name))
    {
        Some("`split.wanted` is none of `split.columns`")
    } else if split.pair.is_some() != wants {
        Some("`split.pair` and `split.wanted` belong together")
    } else if !split.positions.is_empty() && split.items.is_none() {
        Some("`split.positions` needs `items`")
    } else if split
        .items
        .iter()
        .flat_map(|items| items.iter())
        .chain(&split.pair)
        .any(String::is_empty)
    {
        Some("a separator of `split` is empty")
    } else {
        None
    };
    problem.map(str::to_owned)
}

fn scheme_problem(scheme: &Scheme) -> Option<String> {
    if let Some(problem) = digest_problem(scheme).or_else(|| class_problem(scheme)) {
        return Some(problem);
    }
    if scheme.class == Class::Hash && !scheme.reads(&Expr::Secret) {
        return Some("a hash proves nothing unless `message` contains {secret}".to_owned());
    }
    let Some(signature) = &scheme.signature else {
        return (scheme.class != Class::None)
            .then(|| "`signature` is missing: say where it is with `at`".to_owned());
    };
    if scheme.class == Class::None {
        return Some("`signature` has no meaning for none".to_owned());
    }
    if signature.at.len() > PLACES_MAX {
        return Some(format!("`signature.at` has more than {PLACES_MAX} places"));
    }
    if let Some(problem) = split_problem(signature) {
        return Some(problem);
    }
    let reads_fields = |expr: &Expr| matches!(expr, Expr::Field(_));
    let fields = scheme.message.variables().any(reads_fields)
        || scheme.timestamp.as_ref().is_some_and(|spec| spec.at.variables().any(reads_fields));
    let has_fields = scheme.class == Class::Jwt
        || signature.wrap == Some(Wrap::Base64Json)
        || signature
            .split
            .as_ref()
            .is_some_and(|split| split.pair.is_some() || !split.positions.is_empty());
    if fields && !has_fields {
        return Some("`field:` needs `signature.split` with `pair`".to_owned());
    }
    if scheme.message.uses(&Expr::Timestamp) && scheme.timestamp.is_none() {
        return Some("`message` contains {ts} and there is no `timestamp`".to_owned());
    }
    timestamp_problem(scheme)
}

/// A timestamp that the signature does not cover could be renewed by anybody.
fn timestamp_problem(scheme: &Scheme) -> Option<String> {
    let spec = scheme.timestamp.as_ref()?;
    if matches!(scheme.class, Class::Token | Class::Basic) {
        return Some(format!(
            "`timestamp` has no meaning for {}: nothing signs it",
            scheme.class.name()
        ));
    }
    let signed = scheme.reads(&Expr::Timestamp) || scheme.signs(&spec.at);
    (!signed).then(|| {
        "`timestamp` is not part of `message`, so that anybody could renew it: add {ts}".to_owned()
    })
}

fn handshake_problem(rule: &HandshakeRule, schemes: &[Scheme]) -> Option<String> {
    if rule.when.is_empty() {
        return Some("`when` is empty, so that every request would be answered".to_owned());
    }
    // A few senders ask without their password first and want to be told so.
    if !(200..300).contains(&rule.respond.status) && rule.respond.status != 401 {
        return Some("`respond.status` must be 200 to 299, or 401".to_owned());
    }
    if let Some(visit) = &rule.visit {
        if !rule.verify_first {
            return Some(
                "`visit` needs `verify_first`, or anybody could make the gateway visit URLs"
                    .to_owned(),
            );
        }
        if visit.hosts.is_empty() || visit.hosts.iter().any(|host| fetched::is_bad_host(host)) {
            return Some(
                "`visit.hosts` must name the provider's hosts; `*` stands for one label, and not for \
                 the registered name"
                    .to_owned(),
            );
        }
    }
    if rule.verify_first {
        return None;
    }
    let brings = |condition: &Condition| {
        condition.present != Some(false)
            && condition.at.variables().any(|place| !matches!(place, Expr::Credential(_)))
    };
    if (200..300).contains(&rule.respond.status) && !rule.when.iter().any(brings) {
        return Some(
            "`when` only asks for what is absent, so that every unsigned event would be answered and dropped: name \
             something that the handshake brings, or an empty body"
                .to_owned(),
        );
    }
    // Answering with a keyed hash of whatever is sent would sign forgeries for anybody.
    let templates = std::iter::once(&rule.respond.body).chain(rule.respond.headers.values());
    let hashed = templates.flat_map(|template| template.parts()).flat_map(keyed_hashes);
    for argument in hashed.flatten() {
        if matches!(argument, Expr::Literal(_) | Expr::Credential(_)) {
            continue;
        }
        let charset = rule
            .when
            .iter()
            .filter(|condition| condition.at.single() == Some(argument))
            .find_map(|condition| condition.charset);
        let bounded = charset
            .is_some_and(|charset| schemes.iter().all(|scheme| never_consists_of(scheme, charset)));
        if !bounded {
            return Some(
                "it answers with a keyed hash without `verify_first`: bound the hashed text with a `charset` condition, and make sure that no scheme signs such texts (a literal in `message`, or `when` with `starts_with`), or anybody could have messages signed"
                    .to_owned(),
            );
        }
    }
    None
}

/// What is hashed with the key, in every call however deep it stands.
fn keyed_hashes(expr: &Expr) -> Vec<&[Expr]> {
    let Expr::Call(function, arguments) = expr else {
        return Vec::new();
    };
    let mut found: Vec<&[Expr]> = arguments.iter().flat_map(keyed_hashes).collect();
    if matches!(function, Function::HmacHex | Function::HmacBase64) {
        found.push(arguments);
    }
    found
}

/// Whether no text that this scheme signs with the shared secret consists of these characters alone.
fn never_consists_of(scheme: &Scheme, charset: Charset) -> bool {
    if scheme.class != Class::Hmac {
        return true;
    }
    let outside = |text: &str| text.bytes().any(|byte| !charset.holds(byte));
    let literal = scheme.message.parts().iter().any(|part| match part {
        Expr::Literal(text) => outside(text),
        _ => false,
    });
    let begins = |condition: &Condition| {
        let read =
            condition.at.single().is_some_and(|variable| scheme.message.parts().contains(variable));
        let texts = condition.starts_with.as_deref().unwrap_or_default();
        read && !texts.is_empty() && texts.iter().all(|text| outside(text))
    };
    literal || scheme.when.iter().any(begins)
}

//! What an ID token says, what is demanded of it, and which role that comes to (OpenID Connect Core 1.0,
//! section 3.1.3.7).

use becket_api::{Person, PersonRole, SignInError};
use serde::Deserialize;
use serde_json::Value;

use crate::config::{Grant, GrantRole, Oidc};

/// How far clocks may differ, in seconds.
const LEEWAY_S: i64 = 60;
/// A token is made when somebody comes back, so it is no older than this.
const AGE_MAX_S: i64 = 600;
const NAME_CHARACTERS_MAX: usize = 100;
const SUBJECT_BYTES_MAX: usize = 255;

/// The claims of a token whose signature has been verified. A name that comes twice is an error of serde's.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    exp: f64,
    iat: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<Value>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    preferred_username: Option<String>,
    /// Everything else, among it the claim with the roles.
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

impl Claims {
    /// Whether the token is for this gateway, for this sign-in, and now.
    pub(super) fn check(
        &self,
        settings: &Oidc,
        nonce: &str,
        now_s: i64,
    ) -> Result<(), SignInError> {
        let unproven = |what: &str| Err(SignInError::Unproven(format!("the ID token {what}")));
        let audience = self.aud.all();
        if self.iss != settings.issuer.as_str() {
            return unproven("is another issuer's");
        }
        if !audience.contains(&settings.client_id) {
            return unproven("is for somebody else");
        }
        // With several audiences only the party that it was made for may use it.
        let party = self.azp.as_deref();
        let fits = party.map_or(audience.len() == 1, |party| party == settings.client_id);
        if !fits {
            return unproven("was made for another party");
        }
        let (now, leeway) = (now_s as f64, LEEWAY_S as f64);
        let times = [Some(self.exp), Some(self.iat), self.nbf];
        if times.into_iter().flatten().any(|time| !time.is_finite()) {
            return unproven("has a time that is none");
        }
        if self.exp + leeway <= now {
            return unproven("has expired");
        }
        if self.iat - leeway > now || self.nbf.is_some_and(|nbf| nbf - leeway > now) {
            return unproven("is of the future: are the clocks right?");
        }
        if self.iat + AGE_MAX_S as f64 <= now {
            return unproven("is too old");
        }
        if self.nonce.as_deref() != Some(nonce) {
            return unproven("belongs to another sign-in");
        }
        if self.sub.is_empty() || self.sub.len() > SUBJECT_BYTES_MAX {
            return unproven("does not say who it is");
        }
        Ok(())
    }

    /// Who it is, and what they may do.
    pub(super) fn person(&self, settings: &Oidc) -> Result<Person, SignInError> {
        let granted: Vec<&Grant> =
            settings.grants.iter().filter(|grant| self.fits(grant, &settings.role_claim)).collect();
        let role = granted.iter().map(|grant| role_of(grant.role)).max();
        let Some(role) = role else {
            return Err(SignInError::Unmapped(format!(
                "no [[oidc.grant]] fits {:?}",
                self.shown()
            )));
        };
        let payloads = role == PersonRole::Admin || granted.iter().any(|grant| grant.payloads);
        Ok(Person { subject: self.sub.clone(), name: self.shown(), role, payloads })
    }

    fn fits(&self, grant: &Grant, role_claim: &str) -> bool {
        let email = self.verified_email();
        let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        match (&grant.group, &grant.email, &grant.email_domain) {
            (Some(group), None, None) => self.values(role_claim).contains(&group.as_str()),
            (None, Some(wanted), None) => email.is_some_and(|email| same(email, wanted)),
            (None, None, Some(domain)) => email
                .and_then(|email| email.rsplit_once('@'))
                .is_some_and(|(_, of)| same(of, domain)),
            _ => false,
        }
    }

    /// The address of e-mail, if the provider has verified it; some write the truth as a text.
    fn verified_email(&self) -> Option<&str> {
        let verified = match &self.email_verified {
            Some(Value::Bool(verified)) => *verified,
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        self.email.as_deref().filter(|_| verified)
    }

    /// The values of a claim: a text, or a list of them. A claim of exactly this name wins over the way
    /// through objects that dots describe.
    fn values(&self, claim: &str) -> Vec<&str> {
        let mut names = claim.split('.');
        let first = names.next().and_then(|name| self.others.get(name));
        let found = self
            .others
            .get(claim)
            .or_else(|| names.try_fold(first?, |value, name| value.get(name)));
        match found {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// A name for people, which is not taken for anything else.
    fn shown(&self) -> String {
        let names = [&self.name, &self.preferred_username, &self.email];
        let name = names.into_iter().flatten().find(|name| !name.trim().is_empty());
        let name = name.unwrap_or(&self.sub).trim();
        name.chars().filter(|one| !one.is_control()).take(NAME_CHARACTERS_MAX).collect()
    }
}

const fn role_of(role: GrantRole) -> PersonRole {
    match role {
        GrantRole::Viewer => PersonRole::Viewer,
        GrantRole::Developer => PersonRole::Developer,
        GrantRole::Admin => PersonRole::Admin,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW_S: i64 = 1_800_000_000;

    fn settings() -> Oidc {
        let text = r#"
            [oidc]
            issuer = "https://id.example.com"
            client_id = "becket"
            role_claim = "realm_access.roles"
            [[oidc.grant]]
            group = "look"
            role = "viewer"
            payloads = true
            [[oidc.grant]]
            group = "build"
            role = "developer"
            [[oidc.grant]]
            email = "Ann@Example.com"
            role = "admin"
            [[oidc.grant]]
            email_domain = "example.org"
            role = "viewer"
        "#;
        crate::config::parse(text).expect("the file is right").config.oidc.expect("it is there")
    }

    fn good() -> Value {
        json!({
            "iss": "https://id.example.com", "sub": "248289761001", "aud": "becket",
            "exp": NOW_S + 300, "iat": NOW_S, "nonce": "n", "name": "Ann",
            "realm_access": { "roles": ["look"] },
        })
    }

    fn judged(claims: Value) -> Result<Person, SignInError> {
        let claims: Claims = serde_json::from_value(claims)
            .map_err(|error| SignInError::Unproven(error.to_string()))?;
        claims.check(&settings(), "n", NOW_S)?;
        claims.person(&settings())
    }

    fn with(name: &str, value: Value) -> Result<Person, SignInError> {
        let mut claims = good();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        judged(claims)
    }

    #[test]
    fn a_good_token_is_somebody() {
        let person = judged(good()).unwrap();
        assert_eq!((person.name.as_str(), person.role), ("Ann", PersonRole::Viewer));
        assert!(person.payloads);
        for (name, value) in [
            ("aud", json!(["becket"])),
            ("azp", json!("becket")),
            ("exp", json!(NOW_S - 59)),
            ("iat", json!(NOW_S + 59)),
            ("nbf", json!(NOW_S)),
        ] {
            assert!(with(name, value.clone()).is_ok(), "{name} {value}");
        }
    }

    #[test]
    fn everything_else_is_nobody() {
        for (name, value) in [
            ("iss", json!("https://id.example.com/")),
            ("iss", Value::Null),
            ("aud", json!("other")),
            ("aud", json!([])),
            ("aud", json!(["becket", "other"])),
            ("azp", json!("other")),
            ("exp", json!(NOW_S - 60)),
            ("exp", json!("soon")),
            ("exp", Value::Null),
            ("iat", json!(NOW_S + 61)),
            ("iat", json!(NOW_S - 600)),
            ("iat", Value::Null),
            ("nbf", json!(NOW_S + 61)),
            ("nonce", json!("m")),
            ("nonce", Value::Null),
            ("sub", json!("")),
            ("sub", json!("x".repeat(256))),
        ] {
            let refused = with(name, value.clone()).unwrap_err();
            assert!(matches!(refused, SignInError::Unproven(_)), "{name} {value}: {refused}");
        }
    }

    #[test]
    fn roles_come_from_grants_alone() {
        let refused = |name, value| matches!(with(name, value), Err(SignInError::Unmapped(_)));
        assert!(refused("realm_access", Value::Null));
        assert!(refused("realm_access", json!({ "roles": ["Look", 7, null] })));
        assert!(refused("realm_access", json!("look")));
        let both = with("realm_access", json!({ "roles": ["look", "build"] })).unwrap();
        assert_eq!((both.role, both.payloads), (PersonRole::Developer, true));
        let build = with("realm_access", json!({ "roles": "build" })).unwrap();
        assert_eq!((build.role, build.payloads), (PersonRole::Developer, false));
        // A claim whose own name has dots.
        let named = with("realm_access.roles", json!(["build"])).unwrap();
        assert_eq!(named.role, PersonRole::Developer);
    }

    #[test]
    fn only_verified_addresses_count() {
        let mut claims = good();
        claims["realm_access"] = json!({});
        claims["email"] = json!("ann@example.com");
        for unverified in [Value::Null, json!(false), json!("false"), json!(1)] {
            claims["email_verified"] = unverified;
            assert!(judged(claims.clone()).is_err(), "{claims}");
        }
        claims["email_verified"] = json!("true");
        let ann = judged(claims.clone()).unwrap();
        assert_eq!((ann.role, ann.payloads), (PersonRole::Admin, true));
        claims["email"] = json!("bob@EXAMPLE.org");
        assert_eq!(judged(claims.clone()).unwrap().role, PersonRole::Viewer);
        for other in
            ["bob@example.org.evil.com", "bob@evil-example.org", "example.org", "x@example.com"]
        {
            claims["email"] = json!(other);
            assert!(judged(claims.clone()).is_err(), "{other}");
        }
    }

    #[test]
    fn claims_that_come_twice_are_refused() {
        let text = good().to_string().replacen("\"sub\"", "\"sub\":\"other\",\"sub\"", 1);
        assert!(serde_json::from_str::<Claims>(&text).is_err());
    }
}

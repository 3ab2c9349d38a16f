//! `[oidc]`: the other place where people sign in, and who may do what when they come back.
//!
//! Nobody may do anything that no `[[oidc.grant]]` gives them. An address of e-mail counts only if the
//! place itself says that it has verified it.

use serde_json::{Value as Json, json};

use super::Config;
use super::kinds::{HttpUrl, choice};
use super::problem::Severity;
use super::reader::Reader;
use super::secret::Secret;
use super::table::table;
use super::value::Scalar;

table! {
    /// Where people sign in besides tokens, by OpenID Connect.
    pub struct Oidc {
        /// The issuer, exactly as its tokens say it, such as `https://accounts.google.com`.
        issuer: HttpUrl,
        /// What the issuer calls this gateway.
        client_id: String,
        /// The secret that goes with it; left out for a public client.
        client_secret: Option<Secret>,
        /// What people call the place, on the button.
        name: String = "single sign-on",
        /// What is asked for; `openid` has to be among it.
        scopes: Vec<String> = "openid, profile, email",
        /// The claim of the ID token that says in which groups or roles somebody is; dots lead into
        /// objects, such as `realm_access.roles`.
        role_claim: String = "groups",
        /// Who may do what; nobody may do anything without one.
        grants as "grant": Vec<Grant>,
    }
}

table! {
    /// Who may do what, by exactly one of `group`, `email` and `email_domain`.
    pub struct Grant {
        /// Everybody whose `role_claim` has this value.
        group: Option<String>,
        /// The person with this verified address.
        email: Option<String>,
        /// Everybody with a verified address in this domain.
        email_domain: Option<String>,
        /// `viewer`, `developer` or `admin`; of several grants the highest counts.
        role: GrantRole,
        /// Whether they see payloads: bodies, values of headers, responses. Admins always do.
        payloads: bool = "false",
    }
}

choice! {
    /// What somebody who signed in elsewhere may do.
    pub enum GrantRole ("role") {
        /// Looking at everything but secrets.
        Viewer = "viewer",
        /// Everything but who may do what.
        Developer = "developer",
        /// Everything.
        Admin = "admin",
    }
}

/// Checks the section.
pub(super) fn check(reader: &mut Reader<'_>, config: &Config) {
    let Some(oidc) = &config.oidc else { return };
    let mut wrong = |key: &str, message: String, hint: &str| {
        reader.report(Severity::Error, "wrong_value", &[key], message, Some(hint.to_owned()));
    };
    if !oidc.issuer.is_https() && !is_loopback(oidc.issuer.as_str()) {
        let message = "`oidc.issuer` is plain HTTP to another machine".to_owned();
        wrong("oidc.issuer", message, "whoever is in between could sign in as anybody: use https");
    }
    if oidc.issuer.as_str().contains(['?', '#']) {
        let message = "`oidc.issuer` has a query or a fragment".to_owned();
        wrong("oidc.issuer", message, "it is a plain URL, exactly as the issuer's tokens say it");
    }
    for (key, empty) in
        [("oidc.client_id", oidc.client_id.is_empty()), ("oidc.name", oidc.name.is_empty())]
    {
        if empty {
            wrong(key, format!("`{key}` is empty"), "take it from where the client is registered");
        }
    }
    if !oidc.scopes.iter().any(|scope| scope == "openid") {
        let message = "`oidc.scopes` lacks `openid`".to_owned();
        wrong("oidc.scopes", message, "without it the issuer sends no ID token");
    }
    for (number, grant) in oidc.grants.iter().enumerate() {
        let given = [&grant.group, &grant.email, &grant.email_domain];
        let given: Vec<&String> = given.into_iter().flatten().collect();
        let key = format!("oidc.grant[{number}]");
        if given.len() != 1 || given.iter().any(|text| text.is_empty()) {
            let message =
                format!("`{key}` needs exactly one of `group`, `email` and `email_domain`");
            wrong(&key, message, "write one [[oidc.grant]] for each group, person or domain");
        }
        if grant.email_domain.as_ref().is_some_and(|domain| domain.contains('@')) {
            let message = format!("`{key}.email_domain` is a domain, without `@`");
            wrong(&key, message, "such as `example.com`; one person is an `email`");
        }
    }
    if oidc.grants.is_empty() {
        let message = "`[oidc]` lets nobody in: it has no [[oidc.grant]]".to_owned();
        let hint = "give a group, a person or a domain a role".to_owned();
        reader.report(Severity::Warning, "nobody_may", &["oidc"], message, Some(hint));
    }
}

/// Whether a URL of this form leads to this machine.
fn is_loopback(url: &str) -> bool {
    let host = url.split('/').nth(2).unwrap_or_default();
    if host.starts_with("[::1]") {
        return true;
    }
    let name = host.split(':').next().unwrap_or_default();
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[oidc]\nissuer = \"https://id.example.com\"\nclient_id = \"becket\"\n";

    #[test]
    fn a_section_without_grants_lets_nobody_in() {
        let loaded = super::super::parse(GOOD).expect("the file is right");
        let oidc = loaded.config.oidc.expect("it is there");
        assert!(oidc.grants.is_empty());
        assert_eq!(oidc.scopes, ["openid", "profile", "email"]);
        assert!(loaded.warnings.iter().any(|warning| warning.code == "nobody_may"));
        assert!(super::super::parse("").expect("nothing is right").config.oidc.is_none());
    }

    #[test]
    fn grants_name_one_kind_of_people() {
        let text = format!("{GOOD}[[oidc.grant]]\ngroup = \"ops\"\nrole = \"admin\"\n");
        let oidc = super::super::parse(&text).expect("the file is right").config.oidc;
        let grants = oidc.expect("it is there").grants;
        assert_eq!((grants[0].role, grants[0].payloads), (GrantRole::Admin, false));
        for wrong in [
            "[[oidc.grant]]\nrole = \"admin\"\n",
            "[[oidc.grant]]\ngroup = \"a\"\nemail = \"b@example.com\"\nrole = \"admin\"\n",
            "[[oidc.grant]]\ngroup = \"\"\nrole = \"admin\"\n",
            "[[oidc.grant]]\nemail_domain = \"@example.com\"\nrole = \"admin\"\n",
            "[[oidc.grant]]\ngroup = \"a\"\nrole = \"root\"\n",
        ] {
            assert!(super::super::parse(&format!("{GOOD}{wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        let with = |issuer: &str| {
            super::super::parse(&format!("[oidc]\nissuer = \"{issuer}\"\nclient_id = \"b\"\n"))
        };
        for good in ["https://a.example.com", "http://127.0.0.1:9/x", "http://localhost:1"] {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in [
            "http://a.example.com",
            "http://127.0.0.1.example.com",
            "https://a.example.com/?x=y",
            "https://a.example.com/#x",
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }
}

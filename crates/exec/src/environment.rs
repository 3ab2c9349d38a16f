//! The environment of a program, made from nothing.
//!
//! Invariants: names that begin with `BECKET_` are the gateway's and say what is written here, nothing
//! else; no variable of the gateway itself is passed on but those it hands over by name.

use becket_egress::action::ActionRequest;
use becket_egress::action::template::{Fields, Template, rfc3339};

use crate::ExecError;
use crate::arguments::{Unusable, parse_template, passable};
use crate::settings::EnvValue;
use crate::users::Account;

const HEADER: &str = "BECKET_HEADER_";

/// Variables of an endpoint, parsed.
pub(crate) struct Environment {
    base: Vec<(String, String)>,
    own: Vec<(String, Own)>,
}

enum Own {
    Fixed(String),
    Template(Template),
}

impl Environment {
    pub(crate) fn parse(
        base_env: &[(String, String)],
        account: &Account,
        env: &[(String, EnvValue)],
    ) -> Result<Self, ExecError> {
        let mut base = base_env.to_vec();
        // What belongs to the gateway's own user would be wrong for another.
        if let Some(home) = &account.home {
            base.retain(|(name, _)| name != "HOME");
            base.push(("HOME".to_owned(), home.clone()));
        }
        if let Some(name) = &account.name {
            base.push(("USER".to_owned(), name.clone()));
            base.push(("LOGNAME".to_owned(), name.clone()));
        }
        let mut own = Vec::with_capacity(env.len());
        for (name, value) in env {
            check_name(name)?;
            let unusable = |problem: String| ExecError::Variable { name: name.clone(), problem };
            let value = match value {
                EnvValue::Template(text) => Own::Template(parse_template(text).map_err(unusable)?),
                EnvValue::Fixed(text) => {
                    passable("it", text).map_err(|Unusable(problem)| unusable(problem))?;
                    Own::Fixed(text.clone())
                }
            };
            own.push((name.clone(), value));
        }
        Ok(Self { base, own })
    }

    /// The variables for one delivery; a later one of the same name counts.
    pub(crate) fn render(&self, fields: &Fields<'_>) -> Result<Vec<(String, String)>, Unusable> {
        let mut all = self.base.clone();
        of_event(fields.request(), &mut all);
        for (name, value) in &self.own {
            let value = match value {
                Own::Fixed(text) => text.clone(),
                Own::Template(template) => template.render_fields(fields),
            };
            passable(&format!("the variable {name}"), &value)?;
            all.push((name.clone(), value));
        }
        Ok(all)
    }
}

fn check_name(name: &str) -> Result<(), ExecError> {
    let problem = if name.starts_with("BECKET_") {
        "names that begin with BECKET_ are the gateway's; choose another"
    } else if name.is_empty() || name.contains(['=', '\0']) || name.contains(char::is_whitespace) {
        "a name is letters, digits and `_`"
    } else {
        return Ok(());
    };
    Err(ExecError::Variable { name: name.to_owned(), problem: problem.to_owned() })
}

fn of_event(request: &ActionRequest, all: &mut Vec<(String, String)>) {
    let content_type = request.headers.get(http::header::CONTENT_TYPE);
    let content_type = content_type.map_or_else(String::new, |value| text_of(value.as_bytes()));
    let event_type = request.event_type.clone().unwrap_or_default();
    for (name, value) in [
        ("BECKET_EVENT_ID", request.event_id.clone()),
        ("BECKET_EVENT_TYPE", event_type),
        ("BECKET_SOURCE", request.source.clone()),
        ("BECKET_ENDPOINT", request.endpoint.clone()),
        ("BECKET_ATTEMPT", request.attempt.to_string()),
        ("BECKET_RECEIVED_AT", rfc3339(request.received_at_ms)),
        ("BECKET_METHOD", request.method.clone()),
        ("BECKET_PATH", request.path.clone()),
        ("BECKET_CONTENT_TYPE", content_type),
    ] {
        all.push((name.to_owned(), value.replace('\0', "\u{fffd}")));
    }
    for name in request.headers.keys() {
        // `x-a_b` and `x-a-b` would be the same variable: a sender could pass one for the other.
        if name.as_str().contains('_') || is_credential(name.as_str()) {
            continue;
        }
        let values: Vec<String> =
            request.headers.get_all(name).iter().map(|value| text_of(value.as_bytes())).collect();
        let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = name.as_str().chars().map(fits).collect();
        all.push((format!("{HEADER}{name}"), values.join(", ")));
    }
}

/// Whether a header is a secret by its name, such as the token that proves the sender. The environment
/// is passed on to everything that a program starts: who needs one asks for it by a template.
fn is_credential(name: &str) -> bool {
    let words = ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey"];
    words.iter().any(|word| name.contains(word))
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::action::tests::request;

    fn made(env: &[(&str, EnvValue)], account: &Account, body: &str) -> Vec<(String, String)> {
        let env: Vec<_> = env.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
        let base =
            [("PATH".to_owned(), "/bin".to_owned()), ("HOME".to_owned(), "/root".to_owned())];
        let mut request = request(body);
        for (name, value) in [
            ("x-a_b", "trick"),
            ("x-a-b", "true"),
            ("x-many", "1"),
            ("x-many", "2"),
            ("x-gitlab-token", "hush"),
            ("authorization", "Bearer hush"),
        ] {
            let name: HeaderName = name.parse().unwrap();
            request.headers.append(name, HeaderValue::from_static(value));
        }
        Environment::parse(&base, account, &env).unwrap().render(&Fields::of(&request)).unwrap()
    }

    fn value<'a>(all: &'a [(String, String)], name: &str) -> Option<&'a str> {
        all.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn everything_about_the_event_is_there() {
        let secret = EnvValue::Fixed("{{body.ref}}".to_owned());
        let template = EnvValue::Template("ref={{body.ref}}".to_owned());
        let all =
            made(&[("TOKEN", secret), ("REF", template)], &Account::default(), r#"{"ref":"main"}"#);
        for (name, expected) in [
            ("PATH", "/bin"),
            ("HOME", "/root"),
            ("BECKET_EVENT_ID", "msg_1"),
            ("BECKET_EVENT_TYPE", "push"),
            ("BECKET_SOURCE", "github"),
            ("BECKET_ENDPOINT", "ep_1"),
            ("BECKET_ATTEMPT", "2"),
            ("BECKET_RECEIVED_AT", "2026-01-01T00:00:00.000Z"),
            ("BECKET_METHOD", "POST"),
            ("BECKET_PATH", "/in/github?x=1"),
            ("BECKET_CONTENT_TYPE", "application/json"),
            ("BECKET_HEADER_CONTENT_TYPE", "application/json"),
            ("BECKET_HEADER_X_A_B", "true"),
            ("BECKET_HEADER_X_MANY", "1, 2"),
            ("TOKEN", "{{body.ref}}"),
            ("REF", "ref=main"),
        ] {
            assert_eq!(value(&all, name), Some(expected), "{name}");
        }
        assert_eq!(all.len(), 16, "{all:?}");
    }

    #[test]
    fn another_user_has_another_home() {
        let account = Account {
            name: Some("deploy".to_owned()),
            home: Some("/var/deploy".to_owned()),
            ..Account::default()
        };
        let all = made(&[], &account, "");
        assert_eq!(value(&all, "HOME"), Some("/var/deploy"));
        assert_eq!(value(&all, "USER"), Some("deploy"));
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for name in ["BECKET_EVENT_ID", "BECKET_X", "", "A=B", "A B"] {
            let env = [(name.to_owned(), EnvValue::Fixed(String::new()))];
            let refused = Environment::parse(&[], &Account::default(), &env);
            assert_eq!(refused.err().map(|error| error.code()), Some("variable_unusable"));
        }
        let broken = [("A".to_owned(), EnvValue::Template("{{nope}}".to_owned()))];
        let error = Environment::parse(&[], &Account::default(), &broken).err().unwrap();
        assert!(error.to_string().starts_with("the variable `A` cannot be set: "), "{error}");
    }
}

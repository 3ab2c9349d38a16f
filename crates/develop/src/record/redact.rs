//! Takes out of a request what does not belong in a repository.
//!
//! Invariants: what is not hidden keeps its bytes; going through a second time changes nothing; each
//! change is told with its place, so that a reviewer sees what is missing.
//!
//! Deliberately absent: people's names and streets. No list of names finds them all; `--redact` names
//! the fields that a team wants hidden.

use super::json::{self, Kind, Met, Shown, Step};
use super::names::{FieldPath, class_of};
use super::pseudonym::{self, Class, Pseudonyms, is_pseudonym};
use super::texts;

/// What is hidden, and how.
pub struct Rules {
    /// Makes the pseudonyms.
    pub pseudonyms: Pseudonyms,
    /// Fields of the body that are hidden whatever they are called.
    pub redact: Vec<FieldPath>,
    /// Fields of the body that stay as they are, whatever they are called.
    pub keep: Vec<FieldPath>,
    /// Headers that are left out besides the usual ones, in lower case.
    pub headers: Vec<String>,
}

/// What was hidden where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `body: sender.email`, `header: x-user`, `path`.
    pub place: String,
    /// What it was.
    pub class: Class,
}

/// A body without what should not be kept, and what that was. Bytes that are no text stay.
pub(crate) fn body(body: &[u8], content_type: &str, rules: &Rules) -> (Vec<u8>, Vec<Change>) {
    let Ok(text) = std::str::from_utf8(body) else { return (body.to_vec(), Vec::new()) };
    let mut changes = Vec::new();
    let cleaned = if let Some(cleaned) = document(text, rules, &mut Vec::new(), &mut changes) {
        cleaned
    } else if is_form(content_type) {
        form(text, rules, &mut changes)
    } else {
        let (cleaned, found) = texts::cleaned(text, &rules.pseudonyms);
        let change = |class| Change { place: "body".to_owned(), class };
        changes.extend(found.into_iter().map(change));
        cleaned
    };
    (cleaned.into_bytes(), changes)
}

/// Whether a body of this type is a form.
pub(crate) fn is_form(content_type: &str) -> bool {
    content_type.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
}

/// A JSON object or list; `None` if the text is none. `around` is the way to the text itself.
fn document(
    text: &str,
    rules: &Rules,
    around: &mut Vec<Step>,
    changes: &mut Vec<Change>,
) -> Option<String> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let tokens = json::tokens(text)?;
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    let depth = around.len();
    json::walk(text, &tokens, |met, path, token| {
        let raw = &text[token.start..token.end];
        around.truncate(depth);
        around.extend_from_slice(path);
        let new = match met {
            Met::Name => name(raw, rules, around, changes),
            Met::Leaf => leaf(raw, token.kind, rules, around, changes),
        };
        if let Some(new) = new {
            out.push_str(&text[done..token.start]);
            out.push_str(&new);
            done = token.end;
        }
    });
    around.truncate(depth);
    out.push_str(&text[done..]);
    Some(out)
}

/// A member's name may itself be somebody's address.
fn name(raw: &str, rules: &Rules, path: &[Step], changes: &mut Vec<Change>) -> Option<String> {
    let (cleaned, found) = texts::cleaned(&json::unquoted(raw), &rules.pseudonyms);
    let class = *found.first()?;
    let place = format!("body: a name in {}", shown(path));
    changes.push(Change { place, class });
    Some(quoted(&cleaned))
}

fn leaf(
    raw: &str,
    kind: Kind,
    rules: &Rules,
    path: &mut Vec<Step>,
    changes: &mut Vec<Change>,
) -> Option<String> {
    if rules.keep.iter().any(|keep| keep.names(path)) {
        return None;
    }
    let asked = rules.redact.iter().any(|redact| redact.names(path));
    let named = class_by_name(path);
    if kind == Kind::Plain {
        let is_number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let new = pseudonym::number(raw);
        if !is_number || (named.is_none() && !asked) || new == raw {
            return None;
        }
        let class = named.unwrap_or(Class::Secret);
        changes.push(Change { place: format!("body: {}", shown(path)), class });
        return Some(new);
    }
    let value = json::unquoted(raw);
    let new = value_of_text(&value, asked, named, rules, path, changes)?;
    Some(quoted(&new))
}

/// What stands instead of a text; `None` if it stays.
fn value_of_text(
    value: &str,
    asked: bool,
    named: Option<Class>,
    rules: &Rules,
    path: &mut Vec<Step>,
    changes: &mut Vec<Change>,
) -> Option<String> {
    let mut note = |class: Class| {
        changes.push(Change { place: format!("body: {}", shown(path)), class });
    };
    let (cleaned, found) = texts::cleaned(value, &rules.pseudonyms);
    if asked || named.is_some() {
        if value.trim().is_empty() || is_pseudonym(value.trim()) {
            return None;
        }
        // A whole value that looks like an address stays one, so that it can still be parsed.
        let looks = (found.len() == 1 && is_pseudonym(&cleaned)).then(|| found[0]);
        let class = named.or(looks).unwrap_or(Class::Secret);
        note(class);
        return Some(rules.pseudonyms.of(class, value));
    }
    let before = changes.len();
    if let Some(inner) = document(value, rules, path, changes) {
        return (changes.len() > before).then_some(inner);
    }
    let first = *found.first()?;
    changes.push(Change { place: format!("body: {}", shown(path)), class: first });
    Some(cleaned)
}

/// What a value is by the names on the way to it.
fn class_by_name(path: &[Step]) -> Option<Class> {
    let keys: Vec<&str> = path
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect();
    let (last, above) = keys.split_last()?;
    let own = class_of(last).or_else(|| {
        // `card.number` is a card's number, but `license.key` is the name of a licence.
        let parent = above.last().filter(|_| !["key", "id"].contains(last))?;
        class_of(&format!("{parent} {last}"))
    });
    // What lies inside of a secret is secret, whatever it is called.
    own.or_else(|| {
        above.iter().find_map(|key| class_of(key).filter(|class| *class == Class::Secret))
    })
}

fn shown(path: &[Step]) -> String {
    let shown = Shown(path).to_string();
    if shown.is_empty() { "the document".to_owned() } else { shown }
}

fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// A form, field by field; fields may hold JSON.
fn form(text: &str, rules: &Rules, changes: &mut Vec<Change>) -> String {
    let pairs: Vec<String> = text
        .split('&')
        .map(|pair| {
            let Some((name, value)) = pair.split_once('=') else { return pair.to_owned() };
            let key = texts::form_decoded(name);
            let named = class_of(&key);
            let mut path = vec![Step::Key(key)];
            if rules.keep.iter().any(|keep| keep.names(&path)) {
                return pair.to_owned();
            }
            let asked = rules.redact.iter().any(|redact| redact.names(&path));
            let plain = texts::form_decoded(value);
            match value_of_text(&plain, asked, named, rules, &mut path, changes) {
                Some(new) => format!("{name}={}", texts::form_encoded(&new)),
                None => pair.to_owned(),
            }
        })
        .collect();
    pairs.join("&")
}

/// A header's value or another short text.
pub(crate) fn value(place: &str, text: &str, rules: &Rules) -> (String, Vec<Change>) {
    let (cleaned, found) = texts::cleaned(text, &rules.pseudonyms);
    let change = |class| Change { place: place.to_owned(), class };
    (cleaned, found.into_iter().map(change).collect())
}

/// The query of a path.
pub(crate) fn path(path: &str, rules: &Rules) -> (String, Vec<Change>) {
    let Some((before, query)) = path.split_once('?') else { return (path.to_owned(), Vec::new()) };
    let mut found = Vec::new();
    let query = texts::cleaned_pairs(query, &rules.pseudonyms, &mut found);
    let change = |class| Change { place: "path".to_owned(), class };
    (format!("{before}?{query}"), found.into_iter().map(change).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn rules() -> Rules {
        Rules {
            pseudonyms: Pseudonyms::new(&[5; 32]),
            redact: Vec::new(),
            keep: Vec::new(),
            headers: Vec::new(),
        }
    }

    fn cleaned(text: &str, kind: &str, rules: &Rules) -> (String, Vec<String>) {
        let (bytes, changes) = body(text.as_bytes(), kind, rules);
        let told =
            changes.iter().map(|change| format!("{} ({})", change.place, change.class.words()));
        (String::from_utf8(bytes).unwrap(), told.collect())
    }

    #[test]
    fn json_keeps_its_shape_around_what_is_hidden() {
        let text = r#"{ "pusher":{"email":"ada@x.org","name":"ada"}, "pin": 1234, "n":1.0,
            "sender":"ada@x.org", "card":{"number":"4242424242424242","last4":"4242"},
            "secret":{"a":["b",true]}, "license":{"key":"mit"}, "log":"{\"token\":\"abc\"}", "access_token":"" }"#;
        let (out, changes) = cleaned(text, "application/json", &rules());
        assert_eq!(
            changes,
            [
                "body: pusher.email (e-mail)",
                "body: pin (secret)",
                "body: sender (e-mail)",
                "body: card.number (card number)",
                "body: secret.a[0] (secret)",
                "body: log.token (secret)",
            ]
        );
        assert!(out.starts_with("{ \"pusher\":{\"email\":\"user-"), "{out}");
        assert!(out.contains("\"pin\": 1000, \"n\":1.0,\n"), "{out}");
        assert!(out.contains("\"last4\":\"4242\""), "{out}");
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["pusher"]["email"], value["sender"]);
        assert!(!out.contains("4242424242424242") && !out.contains("abc"), "{out}");
    }

    #[test]
    fn forms_keep_their_order_and_spelling() {
        let text =
            "From=%2B14155551212&Body=call+me+at+%2B14155551212&To=%2B14155551212&AccountSid=AC1";
        let (out, changes) = cleaned(text, "application/x-www-form-urlencoded", &rules());
        assert_eq!(changes.len(), 3, "{changes:?}");
        assert!(!out.contains("4155551212"), "{out}");
        assert!(out.starts_with("From=%2B1555") && out.ends_with("&AccountSid=AC1"), "{out}");
        let payload = "payload=%7B%22email%22%3A%22a%40b.org%22%7D&x";
        let (out, _) = cleaned(payload, "application/x-www-form-urlencoded", &rules());
        assert!(!out.contains("a%40b.org") && out.ends_with("&x"), "{out}");
    }

    #[test]
    fn the_user_has_the_last_word() {
        let paths = |texts: &[&str]| -> Vec<FieldPath> {
            texts.iter().map(|text| FieldPath::parse(text).unwrap()).collect()
        };
        let own =
            Rules { redact: paths(&["customer", "**.note"]), keep: paths(&["token"]), ..rules() };
        let text = r#"{"customer":{"name":"Ada","age":36,"ok":true},"a":{"note":"x"},"token":"t"}"#;
        let (out, changes) = cleaned(text, "", &own);
        assert_eq!(changes.len(), 3, "{changes:?}");
        assert!(
            out.contains("\"age\":10,\"ok\":true}") && out.contains("\"token\":\"t\""),
            "{out}"
        );
    }

    fn secret_name() -> impl Strategy<Value = String> {
        prop::sample::select(vec![
            "password",
            "api_key",
            "clientSecret",
            "ACCESS_TOKEN",
            "email",
            "user_email",
            "phone",
            "card_number",
            "ssn",
            "authorization",
            "session-id",
            "iban",
            "cvc",
            "jwt",
        ])
        .prop_map(str::to_owned)
    }

    /// A value that would be recognised anywhere in the output.
    fn secret_value() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z0-9]{12,20}".prop_map(|rest| format!("{rest}Zq")),
            "[a-z]{6,10}".prop_map(|name| format!("{name}zq@corp.example.org")),
            "[0-9]{9,12}".prop_map(|digits| format!("+4{digits}")),
            "[\\PC\"\\\\/]{8,20}".prop_map(|text| format!("zq{text}zq")),
        ]
    }

    /// JSON of any shape with a secret somewhere in it, in a compact or an indented spelling.
    fn document_with(name: String, secret: String) -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            "[a-z ]{0,8}".prop_map(Into::into),
        ];
        let planted = serde_json::json!({ name: secret });
        let tree = leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        });
        (tree, 0..4_u8).prop_map(move |(tree, way)| match way {
            0 => planted.clone(),
            1 => serde_json::json!([tree, { "inner": planted.clone() }]),
            2 => serde_json::json!({ "a": tree, "b": [[planted.clone()], 1] }),
            _ => serde_json::json!({ "message": planted.to_string(), "rest": tree }),
        })
    }

    proptest! {
        #[test]
        fn no_secret_is_left(
            (secret, document) in (secret_name(), secret_value()).prop_flat_map(|(name, secret)| {
                let document = document_with(name, secret.clone());
                (Just(secret), document)
            }),
            pretty: bool,
        ) {
            let text =
                if pretty { format!("{document:#}") } else { document.to_string() };
            let (out, changes) = cleaned(&text, "application/json", &rules());
            prop_assert!(!changes.is_empty());
            prop_assert!(!out.contains(&secret), "{out}");
            // Nor in another spelling: every text of the document, unescaped.
            let mut texts = Vec::new();
            collect(&serde_json::from_str(&out).unwrap(), &mut texts);
            prop_assert!(texts.iter().all(|text| !text.contains(&secret)), "{out}");
            let (again, none) = cleaned(&out, "application/json", &rules());
            prop_assert_eq!(again, out);
            prop_assert!(none.is_empty(), "{none:?}");
        }

        #[test]
        fn no_secret_is_left_in_forms(
            name in secret_name(),
            secret in secret_value(),
            other in "[a-z=%+]{0,10}",
        ) {
            let text = format!("{other}&{name}={}&z=1", texts::form_encoded(&secret));
            let kind = "application/x-www-form-urlencoded";
            let (out, _) = cleaned(&text, kind, &rules());
            prop_assert!(!texts::form_decoded(&out).contains(&secret), "{out}");
            prop_assert_eq!(cleaned(&out, kind, &rules()).0, out);
        }
    }

    fn collect(value: &serde_json::Value, texts: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => {
                texts.push(text.clone());
                if let Ok(inner @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) =
                    serde_json::from_str(text)
                {
                    collect(&inner, texts);
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
            serde_json::Value::Object(map) => map.iter().for_each(|(key, item)| {
                texts.push(key.clone());
                collect(item, texts);
            }),
            _ => {}
        }
    }
}

//! Which fields hold what does not belong in a repository, told by their names.
//!
//! Names are read as words, however they are joined: `accessToken`, `access_token`, `ACCESS-TOKEN`.
//! The last words decide: `token_count` is a count, `user_token` is a token.

use super::pseudonym::Class;

/// A last word that says it all.
const SECRET_WORDS: [&str; 34] = [
    "token",
    "tokens",
    "secret",
    "secrets",
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "authorization",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "signature",
    "signatures",
    "hmac",
    "otp",
    "pin",
    "cvv",
    "cvc",
    "cvv2",
    "ssn",
    "iban",
    "jwt",
    "bearer",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "sessionid",
    "authtoken",
    "accesstoken",
    "csrf",
];
/// Last words that say it together.
const SECRET_PAIRS: [(&str, &str); 22] = [
    ("api", "key"),
    ("access", "key"),
    ("private", "key"),
    ("secret", "key"),
    ("signing", "key"),
    ("encryption", "key"),
    ("license", "key"),
    ("licence", "key"),
    ("session", "id"),
    ("session", "key"),
    ("auth", "code"),
    ("authorization", "code"),
    ("security", "code"),
    ("verification", "code"),
    ("account", "number"),
    ("routing", "number"),
    ("sort", "code"),
    ("tax", "id"),
    ("national", "id"),
    ("passport", "number"),
    ("security", "number"),
    ("key", "material"),
];
const EMAIL_WORDS: [&str; 3] = ["email", "emails", "mail"];
const PHONE_WORDS: [&str; 8] =
    ["phone", "phones", "mobile", "telephone", "fax", "msisdn", "cellphone", "phonenumber"];
const CARD_WORDS: [&str; 5] = ["pan", "cardnumber", "ccnumber", "cardnum", "creditcard"];
const CARD_PAIRS: [(&str, &str); 4] =
    [("card", "number"), ("card", "num"), ("cc", "number"), ("credit", "card")];

/// What a field of this name holds, if it should not be kept.
#[must_use]
pub(crate) fn class_of(name: &str) -> Option<Class> {
    let words = words(name);
    let last = words.last()?.as_str();
    let pair = words.len().checked_sub(2).map(|place| (words[place].as_str(), last));
    let is = |single: &[&str], pairs: &[(&str, &str)]| {
        single.contains(&last) || pair.is_some_and(|pair| pairs.contains(&pair))
    };
    if is(&SECRET_WORDS, &SECRET_PAIRS) {
        Some(Class::Secret)
    } else if is(&EMAIL_WORDS, &[("email", "address"), ("mail", "address")]) {
        Some(Class::Email)
    } else if is(&PHONE_WORDS, &[("phone", "number"), ("mobile", "number"), ("cell", "number")]) {
        Some(Class::Phone)
    } else if is(&CARD_WORDS, &CARD_PAIRS) {
        Some(Class::Card)
    } else {
        None
    }
}

/// The words of a name in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut begins = true;
    let mut before_is_lower = false;
    for character in name.chars() {
        if !character.is_alphanumeric() {
            begins = true;
            continue;
        }
        if begins || (character.is_uppercase() && before_is_lower) {
            words.push(String::new());
        }
        begins = false;
        before_is_lower = character.is_lowercase() || character.is_numeric();
        if let Some(word) = words.last_mut() {
            word.extend(character.to_lowercase());
        }
    }
    words
}

/// A way to a field as a user writes it: `customer.name`, `items[*].note`, `**.ip`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    steps: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Key(String),
    Index(usize),
    Any,
    Deep,
}

impl FieldPath {
    /// Reads a path; a beginning `$.` and a leading dot are ignored.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('$').unwrap_or(text);
        let bare = bare.strip_prefix('.').unwrap_or(bare);
        let mut steps = Vec::new();
        for part in bare.split('.') {
            let (name, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            match name {
                "" if rest.is_empty() => return Err(format!("`{text}` has an empty step")),
                "" => {}
                "**" => steps.push(Pattern::Deep),
                "*" => steps.push(Pattern::Any),
                name => steps.push(Pattern::Key(name.to_owned())),
            }
            while let Some(open) = rest.strip_prefix('[') {
                let (inside, after) = open
                    .split_once(']')
                    .ok_or_else(|| format!("`{text}` has a `[` without `]`"))?;
                rest = after;
                steps.push(match (inside, inside.parse()) {
                    ("*", _) => Pattern::Any,
                    (_, Ok(index)) => Pattern::Index(index),
                    _ => Pattern::Key(inside.trim_matches(['"', '\'']).to_owned()),
                });
            }
            if !rest.is_empty() {
                return Err(format!("`{text}` goes on behind a `]`; write a dot there"));
            }
        }
        Ok(Self { steps })
    }

    /// Whether it names this field, or something that the field is in.
    pub(crate) fn names(&self, path: &[super::json::Step]) -> bool {
        matches(&self.steps, path)
    }
}

fn matches(patterns: &[Pattern], path: &[super::json::Step]) -> bool {
    use super::json::Step;
    let Some((first, rest)) = patterns.split_first() else { return true };
    if *first == Pattern::Deep {
        return (0..=path.len()).any(|skipped| matches(rest, &path[skipped..]));
    }
    let Some((step, below)) = path.split_first() else { return false };
    let fits = match (first, step) {
        (Pattern::Any, _) => true,
        (Pattern::Key(wanted), Step::Key(key)) => wanted == key,
        (Pattern::Index(wanted), Step::Index(index)) => wanted == index,
        (Pattern::Key(_), Step::Index(_)) | (Pattern::Index(_), Step::Key(_)) => false,
        (Pattern::Deep, _) => false,
    };
    fits && matches(rest, below)
}

#[cfg(test)]
mod tests {
    use super::super::json::Step;
    use super::*;

    #[test]
    fn names_are_read_as_words() {
        for (name, class) in [
            ("accessToken", Some(Class::Secret)),
            ("client_secret", Some(Class::Secret)),
            ("API-Key", Some(Class::Secret)),
            ("apiKey", Some(Class::Secret)),
            ("token_count", None),
            ("tokenize", None),
            ("key", None),
            ("author_email", Some(Class::Email)),
            ("emailAddress", Some(Class::Email)),
            ("email_verified", None),
            ("phoneNumber", Some(Class::Phone)),
            ("card_number", Some(Class::Card)),
            ("number", None),
            ("order_number", None),
            ("spin", None),
            ("", None),
        ] {
            assert_eq!(class_of(name), class, "{name}");
        }
    }

    #[test]
    fn paths_name_fields_and_what_is_in_them() {
        let key = |name: &str| Step::Key(name.to_owned());
        let path = [key("data"), key("items"), Step::Index(2), key("note")];
        for (text, names) in [
            ("data.items[2].note", true),
            ("$.data.items[*].note", true),
            ("data.items", true),
            ("data['items']", true),
            ("**.note", true),
            ("*.items", true),
            ("data.items[1]", false),
            ("items", false),
            ("data.items[2].note.x", false),
        ] {
            assert_eq!(FieldPath::parse(text).unwrap().names(&path), names, "{text}");
        }
        for wrong in ["", "a..b", "a[1", "a[1]b"] {
            assert!(FieldPath::parse(wrong).is_err(), "{wrong}");
        }
    }
}

//! Secrets inside longer texts: addresses, numbers, keys with a well-known beginning, and the
//! parameters of URLs.
//!
//! Invariants: linear in the text's length; what is found is replaced where it stands and everything
//! else stays as it is; a text that was gone through is not changed by going through it again.

use super::names::class_of;
use super::pseudonym::{Class, Pseudonyms, is_pseudonym};

/// What keys and tokens of well-known services begin with, and how long they are at least.
const BEGINNINGS: [(&str, usize); 26] = [
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("ghr_", 20),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("xoxr-", 20),
    ("xapp-", 20),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("rk_test_", 16),
    ("whsec_", 16),
    ("whsk_", 16),
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 30),
    ("SG.", 30),
    ("npm_", 30),
    ("pypi-", 30),
    ("shpat_", 20),
    ("bkt_", 20),
];

/// A text without what should not be kept, and the kinds of what was in it.
pub(crate) fn cleaned(text: &str, pseudonyms: &Pseudonyms) -> (String, Vec<Class>) {
    let mut found = Vec::new();
    let text = without_key_blocks(text, pseudonyms, &mut found);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let length = rest.find(is_break).unwrap_or(rest.len());
        if length > 0 {
            let word = &rest[..length];
            out.push_str(&cleaned_word(word, pseudonyms, &mut found));
            rest = &rest[length..];
            continue;
        }
        let end = rest.find(|character| !is_break(character)).unwrap_or(rest.len());
        out.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    (out, found)
}

/// What stands between words: nothing that a URL, an address or a key is made of.
fn is_break(character: char) -> bool {
    character.is_whitespace() || "<>\"'(){}[],;|\\`".contains(character)
}

/// Private keys as they are written in files.
fn without_key_blocks(text: &str, pseudonyms: &Pseudonyms, found: &mut Vec<Class>) -> String {
    const BEGIN: &str = "-----BEGIN ";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        let block = &rest[start..];
        let title = block[BEGIN.len()..].split("-----").next().unwrap_or_default();
        let end_mark = format!("-----END {title}-----");
        let end = block.find(&end_mark).map_or(block.len(), |end| end + end_mark.len());
        out.push_str(&rest[..start]);
        if title.ends_with("PRIVATE KEY") {
            found.push(Class::Secret);
            out.push_str(&pseudonyms.of(Class::Secret, &block[..end]));
        } else {
            out.push_str(&block[..end]);
        }
        rest = &block[end..];
    }
    out.push_str(rest);
    out
}

fn cleaned_word(word: &str, pseudonyms: &Pseudonyms, found: &mut Vec<Class>) -> String {
    if word.contains("://") {
        return cleaned_url(word, pseudonyms, found);
    }
    let bare = word.trim_end_matches(['.', ':', '!', '?']);
    let (bare, end) = word.split_at(bare.len());
    let (label, bare) = match bare.rsplit_once(':') {
        Some((label, after)) => (&word[..=label.len()], after),
        None => ("", bare),
    };
    match class_of_text(bare) {
        Some(class) => {
            found.push(class);
            format!("{label}{}{end}", pseudonyms.of(class, bare))
        }
        None => word.to_owned(),
    }
}

/// What a word is by its look.
fn class_of_text(word: &str) -> Option<Class> {
    if is_pseudonym(word) {
        None
    } else if is_email(word) {
        Some(Class::Email)
    } else if is_phone(word) {
        Some(Class::Phone)
    } else if is_key(word) {
        Some(Class::Secret)
    } else {
        None
    }
}

/// `somebody@somewhere.tld`; the user `git` is nobody.
fn is_email(word: &str) -> bool {
    let Some((name, domain)) = word.rsplit_once('@') else { return false };
    let is_name = !name.is_empty()
        && name != "git"
        && name.chars().all(|character| {
            character.is_alphanumeric() || "!#$%&*+-/=?^_{|}~.".contains(character)
        });
    let labels: Vec<&str> = domain.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && label.chars().all(|character| character.is_alphanumeric() || character == '-')
    };
    let is_top =
        labels.last().is_some_and(|top| top.len() >= 2 && top.chars().all(char::is_alphabetic));
    is_name && labels.len() >= 2 && labels.iter().all(is_label) && is_top
}

/// The international form (E.164): a plus and eight to fifteen digits.
fn is_phone(word: &str) -> bool {
    word.strip_prefix('+').is_some_and(|digits| {
        (8..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_key(word: &str) -> bool {
    let begins = BEGINNINGS
        .iter()
        .any(|(beginning, least)| word.len() >= *least && word.starts_with(beginning));
    begins || is_json_web_token(word)
}

fn is_json_web_token(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    let is_part = |part: &&str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    parts.len() == 3
        && word.len() >= 30
        && parts[0].starts_with("eyJ")
        && parts[1].starts_with("eyJ")
        && parts.iter().all(is_part)
}

/// A URL without its user's password and without parameters that are secrets by their names.
fn cleaned_url(url: &str, pseudonyms: &Pseudonyms, found: &mut Vec<Class>) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, password)) if !is_pseudonym(password) && !password.is_empty() => {
                found.push(Class::Secret);
                format!("{name}:{}@{host}", pseudonyms.of(Class::Secret, password))
            }
            _ => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let path: Vec<String> = path
        .split('/')
        .map(|part| match class_of_text(part) {
            Some(class) => {
                found.push(class);
                pseudonyms.of(class, part)
            }
            None => part.to_owned(),
        })
        .collect();
    let mut out = format!("{scheme}://{authority}{}", path.join("/"));
    if let Some(query) = query {
        out.push('?');
        out.push_str(&cleaned_pairs(query, pseudonyms, found));
    }
    out
}

/// `a=1&b=2`, as in a query, without what should not be kept.
pub(crate) fn cleaned_pairs(
    pairs: &str,
    pseudonyms: &Pseudonyms,
    found: &mut Vec<Class>,
) -> String {
    let cleaned: Vec<String> = pairs
        .split('&')
        .map(|pair| {
            let Some((name, value)) = pair.split_once('=') else { return pair.to_owned() };
            let plain = form_decoded(value);
            let class = class_of(&form_decoded(name)).or_else(|| class_of_text(&plain));
            match class {
                Some(class) if !plain.is_empty() && !is_pseudonym(&plain) => {
                    found.push(class);
                    format!("{name}={}", form_encoded(&pseudonyms.of(class, &plain)))
                }
                _ => pair.to_owned(),
            }
        })
        .collect();
    cleaned.join("&")
}

/// A value of a form or query as text; bytes that are no UTF-8 are replaced.
pub(crate) fn form_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|two| {
            let two = std::str::from_utf8(two).ok()?;
            u8::from_str_radix(two, 16).ok()
        });
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A text as a value of a form.
pub(crate) fn form_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Pseudonyms {
        Pseudonyms::new(&[3; 32])
    }

    #[test]
    fn secrets_inside_texts_are_found() {
        for (text, secrets) in [
            ("Ada <ada@lovelace.org> and bob@b.co.", vec!["ada@lovelace.org", "bob@b.co"]),
            ("mailto:ada@lovelace.org", vec!["ada@lovelace.org"]),
            ("whatsapp:+14155551212", vec!["+14155551212"]),
            ("token ghp_0123456789abcdefABCD!", vec!["ghp_0123456789abcdefABCD"]),
            (
                "https://ada:hunter2@x.io/a?access_token=abc%20d&page=2#x",
                vec!["hunter2", "abc%20d", "abc d"],
            ),
            ("https://x.io/u/ada@lovelace.org/y", vec!["ada@lovelace.org"]),
            (
                "a -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- b",
                vec!["MIIE"],
            ),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", vec!["eyJzdWIiOiIxIn0"]),
        ] {
            let (once, found) = cleaned(text, &own());
            assert!(!found.is_empty(), "{text}");
            for secret in secrets {
                assert!(!once.contains(secret), "{once}");
            }
            assert_eq!(cleaned(&once, &own()), (once.clone(), Vec::new()), "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "git@github.com:octo/hello.git",
            "ssh://git@github.com:22/octo",
            "refs/heads/main @octocat 2026-01-31T12:00:00+00:00 +1 user@localhost",
            "https://x.io/a?page=2&sort=name",
            "whsec_ sk_live AKIA",
            "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
        ] {
            assert_eq!(cleaned(text, &own()), (text.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn forms_are_read_and_written() {
        assert_eq!(form_decoded("a%2Bb+c%zz%4"), "a+b c%zz%4");
        assert_eq!(form_encoded("a+b c@x"), "a%2Bb+c%40x");
    }

    proptest::proptest! {
        #[test]
        fn going_through_again_changes_nothing(text in "[a-z@:./?=&+ 0-9%<>_-]{0,60}") {
            let (once, _) = cleaned(&text, &own());
            let (twice, _) = cleaned(&once, &own());
            proptest::prop_assert_eq!(once, twice);
        }
    }
}

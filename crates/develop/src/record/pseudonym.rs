//! What stands in a recording instead of a secret.
//!
//! Invariants: equal values get equal pseudonyms under the same key, so that what belongs together
//! still does; a pseudonym is its own pseudonym; from a pseudonym nobody without the key can try out
//! which value it stands for.

use ring::hmac;

/// Kinds of values that do not belong in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// The number of a payment card.
    Card,
    /// A password, key, token, or whatever else proves or identifies somebody.
    Secret,
}

impl Class {
    /// What it is, in a word or two.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Email => "e-mail",
            Self::Phone => "phone",
            Self::Card => "card number",
            Self::Secret => "secret",
        }
    }
}

/// No certificate authority, bank or telephone company gives these out.
const EMAIL_DOMAIN: &str = "@example.com";
const EMAIL_NAME: &str = "user-";
const PHONE: &str = "+1555";
const CARD: &str = "400000000";
const SECRET: &str = "redacted-";

/// Makes pseudonyms under a key.
pub struct Pseudonyms {
    key: hmac::Key,
}

impl Pseudonyms {
    /// With a key of 32 random bytes, kept where the recordings are not.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// The pseudonym of a value.
    #[must_use]
    pub fn of(&self, class: Class, value: &str) -> String {
        let trimmed = value.trim();
        if trimmed.is_empty() || is_pseudonym(trimmed) {
            return value.to_owned();
        }
        match class {
            Class::Email => {
                // Addresses are the same address however they are written.
                let tag = self.tag(class, &trimmed.to_lowercase());
                format!("{EMAIL_NAME}{}{EMAIL_DOMAIN}", hex::encode(&tag[..5]))
            }
            Class::Phone => {
                let digits: String = trimmed.chars().filter(char::is_ascii_digit).collect();
                if digits.len() < 5 {
                    return self.of(Class::Secret, value);
                }
                format!("{PHONE}{:07}", self.number(class, &digits) % 10_000_000)
            }
            Class::Card => self.card(trimmed),
            Class::Secret => {
                format!("{SECRET}{}", hex::encode(&self.tag(class, trimmed)[..6]))
            }
        }
    }

    /// As many digits, the check digit right; what has not the length of a card's number is a secret.
    fn card(&self, value: &str) -> String {
        let digits: String = value.chars().filter(char::is_ascii_digit).collect();
        if !(12..=19).contains(&digits.len()) {
            return self.of(Class::Secret, value);
        }
        let room = digits.len() - CARD.len() - 1;
        let number =
            self.number(Class::Card, &digits) % 10_u64.pow(u32::try_from(room).unwrap_or(2));
        let body = format!("{CARD}{number:0room$}");
        format!("{body}{}", check_digit(&body))
    }

    fn number(&self, class: Class, value: &str) -> u64 {
        let tag = self.tag(class, value);
        tag[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn tag(&self, class: Class, value: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[class as u8]);
        context.update(value.as_bytes());
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

/// A whole number that is to be hidden keeps its length and nothing else.
pub(crate) fn number(raw: &str) -> String {
    let digits = raw.chars().filter(char::is_ascii_digit).count();
    format!("1{}", "0".repeat(digits.saturating_sub(1)))
}

/// Whether a text is a pseudonym already.
pub(crate) fn is_pseudonym(text: &str) -> bool {
    let is_hex = |rest: &str, length: usize| {
        rest.len() == length && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if let Some(rest) = text.strip_prefix(SECRET) {
        return is_hex(rest, 12);
    }
    if let Some(rest) = text.strip_prefix(PHONE) {
        return rest.len() == 7 && rest.bytes().all(|byte| byte.is_ascii_digit());
    }
    if let Some(rest) = text.strip_prefix(EMAIL_NAME) {
        return rest.strip_suffix(EMAIL_DOMAIN).is_some_and(|rest| is_hex(rest, 10));
    }
    text.starts_with(CARD)
        && (12..=19).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.ends_with(&check_digit(&text[..text.len() - 1]))
}

/// The digit that makes a card's number right (ISO/IEC 7812, Luhn).
fn check_digit(body: &str) -> String {
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0');
            let doubled = if place % 2 == 0 { digit * 2 } else { digit };
            doubled / 10 + doubled % 10
        })
        .sum();
    ((10 - sum % 10) % 10).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_keep_kind_and_equality() {
        let own = Pseudonyms::new(&[7; 32]);
        let other = Pseudonyms::new(&[8; 32]);
        for (class, value, beginning) in [
            (Class::Email, "Ada@Lovelace.org", "user-"),
            (Class::Phone, "+44 20 7946 0000", "+1555"),
            (Class::Card, "4242 4242 4242 4242", "400000000"),
            (Class::Card, "4242", "redacted-"),
            (Class::Secret, "hunter2", "redacted-"),
        ] {
            let made = own.of(class, value);
            assert!(made.starts_with(beginning), "{made}");
            assert_eq!(own.of(class, value), made);
            assert_eq!(own.of(class, &made), made);
            assert_ne!(other.of(class, value), made);
        }
        assert_eq!(own.of(Class::Email, "a@b.c"), own.of(Class::Email, "A@b.c"));
        assert_eq!(own.of(Class::Secret, ""), "");
        assert_eq!(number("4242"), "1000");
    }

    #[test]
    fn check_digits_are_those_of_known_test_cards() {
        for card in ["4242424242424242", "5555555555554444", "378282246310005"] {
            assert!(card.ends_with(&check_digit(&card[..card.len() - 1])), "{card}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_pseudonym_is_its_own(value: String) {
            let own = Pseudonyms::new(&[1; 32]);
            for class in [Class::Email, Class::Phone, Class::Card, Class::Secret] {
                let once = own.of(class, &value);
                proptest::prop_assert_eq!(own.of(class, &once), once.clone());
            }
        }
    }
}

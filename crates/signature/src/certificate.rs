//! Reading an X.509 certificate: its public key, its names and how long it is valid.
//!
//! Invariants: nothing here trusts a certificate. Who may publish it is decided by the address it is fetched
//! from, and its chain is verified by whoever fetches it; only the first certificate is read here. Written by
//! hand because three fields are needed and every parser for all of X.509 brings a dozen crates. Next: `der`,
//! `fetched`.

use crate::der::{self, element, element_with_header};
use crate::encoding::base64_any;

const CONTEXT_0: u8 = 0xa0;
const CONTEXT_3: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const SET: u8 = 0x31;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// What is read of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The SubjectPublicKeyInfo in DER.
    pub spki: Vec<u8>,
    /// The common name and the DNS names.
    pub names: Vec<String>,
    /// Unix seconds.
    pub not_before_s: i64,
    /// Unix seconds.
    pub not_after_s: i64,
}

impl Certificate {
    /// The first certificate of a PEM text, which is the leaf of a chain. `None` when the text has none,
    /// `Some(None)` when it is broken.
    pub(crate) fn first_of_pem(text: &str) -> Option<Option<Certificate>> {
        let (_, after) = text.split_once("-----BEGIN CERTIFICATE-----")?;
        let inner = after.split_once("-----END CERTIFICATE-----").map(|(inner, _)| inner);
        Some(
            inner
                .and_then(|inner| base64_any(inner.replace("\\n", "\n").as_bytes()))
                .and_then(|der| Certificate::parse(&der)),
        )
    }

    /// Reads one certificate in DER.
    pub(crate) fn parse(der: &[u8]) -> Option<Certificate> {
        let (certificate, rest) = element(der, der::SEQUENCE)?;
        if !rest.is_empty() {
            return None;
        }
        let (content, _signature) = element(certificate, der::SEQUENCE)?;
        let after_version = element(content, CONTEXT_0).map_or(content, |(_version, after)| after);
        let (_serial, rest) = element(after_version, der::INTEGER)?;
        let (_algorithm, rest) = element(rest, der::SEQUENCE)?;
        let (_issuer, rest) = element(rest, der::SEQUENCE)?;
        let (validity, rest) = element(rest, der::SEQUENCE)?;
        let (subject, rest) = element(rest, der::SEQUENCE)?;
        let (spki, rest) = element_with_header(rest, der::SEQUENCE)?;
        let (not_before_s, after) = time(validity)?;
        let (not_after_s, _) = time(after)?;
        let mut names = common_names(subject);
        names.extend(alternative_names(rest));
        Some(Certificate { spki: spki.to_vec(), names, not_before_s, not_after_s })
    }
}

/// A time in unix seconds, and what follows it.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (digits, century, rest) = match element(der, UTC_TIME) {
        Some((digits, rest)) => (digits, None, rest),
        None => {
            let (digits, rest) = element(der, GENERALIZED_TIME)?;
            let (century, digits) = digits.split_at_checked(2)?;
            (digits, Some(number(century)?), rest)
        }
    };
    let digits = digits.strip_suffix(b"Z").filter(|digits| digits.len() == 12)?;
    let part = |at: usize| number(&digits[at..at + 2]);
    let year = part(0)?;
    // RFC 5280: two digits from 50 on mean the twentieth century.
    let century = century.unwrap_or(if year >= 50 { 19 } else { 20 });
    let two = |value: i16| i8::try_from(value).ok();
    let civil = jiff::civil::DateTime::new(
        century * 100 + year,
        two(part(2)?)?,
        two(part(4)?)?,
        two(part(6)?)?,
        two(part(8)?)?,
        two(part(10)?)?,
        0,
    );
    let zoned = civil.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some((zoned.timestamp().as_second(), rest))
}

fn number(digits: &[u8]) -> Option<i16> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn common_names(mut subject: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((set, rest)) = element(subject, SET) {
        subject = rest;
        let name = element(set, der::SEQUENCE).and_then(|(pair, _)| {
            let (kind, value) = element(pair, der::OBJECT_IDENTIFIER)?;
            let (tag, _) = value.split_first()?;
            // UTF8String, PrintableString and IA5String all are UTF-8; others are no host names.
            let text = matches!(tag, 0x0c | 0x13 | 0x16).then(|| element(value, *tag))??.0;
            (kind == COMMON_NAME).then(|| String::from_utf8(text.to_vec()).ok())?
        });
        names.extend(name);
    }
    names
}

fn alternative_names(mut after_key: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    // The two optional unique ids stand before the extensions.
    for tag in [0x81, 0x82, 0xa1, 0xa2] {
        if let Some((_, rest)) = element(after_key, tag) {
            after_key = rest;
        }
    }
    let extensions =
        element(after_key, CONTEXT_3).and_then(|(explicit, _)| element(explicit, der::SEQUENCE));
    let Some((mut extensions, _)) = extensions else {
        return names;
    };
    while let Some((extension, rest)) = element(extensions, der::SEQUENCE) {
        extensions = rest;
        let Some((kind, value)) = element(extension, der::OBJECT_IDENTIFIER) else {
            continue;
        };
        let value = element(value, BOOLEAN).map_or(value, |(_critical, after)| after);
        let list =
            element(value, OCTET_STRING).and_then(|(inner, _)| element(inner, der::SEQUENCE));
        let (ALTERNATIVE_NAMES, Some((mut list, _))) = (kind, list) else {
            continue;
        };
        while let Some(tag) = list.first() {
            let Some((name, rest)) = element(list, *tag) else {
                break;
            };
            list = rest;
            if *tag == DNS_NAME
                && let Ok(name) = std::str::from_utf8(name)
            {
                names.push(name.to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Certificates with what openssl reads in them.
    const MADE: &str = include_str!("../tests/data/certificates.json");

    #[test]
    fn certificates_are_read_as_openssl_reads_them() {
        let file: serde_json::Value = serde_json::from_str(MADE).expect("a JSON file");
        for row in file["certificates"].as_array().expect("certificates") {
            let text = |name: &str| row[name].as_str().unwrap_or_else(|| panic!("{name}"));
            let read = Certificate::first_of_pem(text("pem")).expect("PEM").expect("a certificate");
            let names: Vec<String> = serde_json::from_value(row["names"].clone()).expect("names");
            assert_eq!(read.names, names);
            assert_eq!(Some(read.not_before_s), row["not_before_s"].as_i64());
            assert_eq!(Some(read.not_after_s), row["not_after_s"].as_i64());
            let spki = crate::keys::key_bytes(text("public_pem")).expect("a key");
            assert_eq!(read.spki, spki);
            let one_line = text("pem").replace('\n', "\\n");
            assert_eq!(Certificate::first_of_pem(&one_line), Some(Some(read)));
            // Cut anywhere, it is refused.
            let inner: String =
                text("pem").lines().filter(|line| !line.starts_with("--")).collect();
            let der = base64_any(inner.as_bytes()).expect("base64");
            for length in 0..der.len() {
                assert_eq!(Certificate::parse(&der[..length]), None);
            }
        }
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let read = |tag: u8, text: &str| {
            let mut der = vec![tag, u8::try_from(text.len()).expect("short")];
            der.extend_from_slice(text.as_bytes());
            time(&der).map(|(seconds, _)| seconds)
        };
        assert_eq!(read(UTC_TIME, "260101000000Z"), Some(1_767_225_600));
        assert_eq!(read(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(read(GENERALIZED_TIME, "20260101000000Z"), Some(1_767_225_600));
        assert_eq!(read(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        for wrong in ["", "Z", "2601010000Z", "260101000000", "261301000000Z", "26010100000éZ"] {
            assert_eq!(read(UTC_TIME, wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(der: Vec<u8>, text in "\\PC*") {
            let _ = Certificate::parse(&der);
            let _ = Certificate::first_of_pem(&text);
        }

        /// Every single changed byte of a real certificate is read or refused.
        #[test]
        fn damaged_certificates_do_not_panic(place: usize, byte: u8) {
            let file: serde_json::Value = serde_json::from_str(MADE).expect("a JSON file");
            let pem = file["certificates"][0]["pem"].as_str().expect("PEM");
            let inner: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
            let mut der = base64_any(inner.as_bytes()).expect("base64");
            let place = place % der.len();
            der[place] = byte;
            let _ = Certificate::parse(&der);
        }
    }
}

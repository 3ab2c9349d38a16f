//! What the functions of templates do with their input.
//!
//! Invariants: pure; a function that cannot read its input yields nothing, which counts as missing.

use crate::encoding::{self, base64_any};
use crate::hashing::{Hasher, MacKey, hash};
use crate::scheme::{Digest, Encoding};
use crate::template::Function;

/// Applies a function; `key` is the one with which challenges are answered.
pub(crate) fn apply(function: Function, input: &[u8], key: Option<&MacKey>) -> Option<Vec<u8>> {
    let hashed = |digest, form| encoding::encode(hash(digest, input).as_ref(), form);
    let tagged = |form| {
        let mut hasher = Hasher::keyed(key?);
        hasher.update(input);
        Some(encoding::encode(hasher.finish().as_ref(), form))
    };
    let text = || String::from_utf8_lossy(input);
    let output = match function {
        Function::Sha256Hex => hashed(Digest::Sha256, Encoding::Hex),
        Function::Sha256Base64 => hashed(Digest::Sha256, Encoding::Base64),
        Function::Sha256Base64url => hashed(Digest::Sha256, Encoding::Base64url),
        Function::Sha1Hex => hashed(Digest::Sha1, Encoding::Hex),
        Function::Sha384Hex => hashed(Digest::Sha384, Encoding::Hex),
        Function::Sha512Hex => hashed(Digest::Sha512, Encoding::Hex),
        Function::Sha512Base64 => hashed(Digest::Sha512, Encoding::Base64),
        Function::Md5Hex => hashed(Digest::Md5, Encoding::Hex),
        Function::Crc32 => crc32(input).to_string(),
        Function::HmacHex => tagged(Encoding::Hex)?,
        Function::HmacBase64 => tagged(Encoding::Base64)?,
        Function::Base64 => encoding::encode(input, Encoding::Base64),
        Function::Base64url => encoding::encode(input, Encoding::Base64url),
        Function::Unbase64 => return base64_any(input),
        Function::JsonText => json_text(&text()),
        Function::Lower => text().to_lowercase(),
        Function::Upper => text().to_uppercase(),
        Function::UrlDecode => return Some(url_decode(input)),
        Function::UrlEncode => url_encode(input),
    };
    Some(output.into_bytes())
}

/// The content of a JSON string for this text, without the quotes.
fn json_text(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Decodes `%` and two hexadecimal digits; everything else stays, `+` too.
pub(crate) fn url_decode(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = (byte == b'%').then(|| after.get(..2)).flatten();
        let mut decoded = [0];
        match digits {
            Some(digits) if hex::decode_to_slice(digits, &mut decoded).is_ok() => {
                output.push(decoded[0]);
                rest = &after[2..];
            }
            _ => {
                output.push(byte);
                rest = after;
            }
        }
    }
    output
}

/// Escapes everything but letters, digits and `-_.~`.
pub(crate) fn url_encode(input: &[u8]) -> String {
    let mut output = String::with_capacity(input.len());
    for &byte in input {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            output.push(char::from(byte));
        } else {
            output.push_str(&format!("%{byte:02X}"));
        }
    }
    output
}

/// CRC-32 as in ISO 3309: reflected polynomial 0xEDB88320, all bits inverted before and after.
fn crc32(input: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0xEDB8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !input
        .iter()
        .fold(!0, |crc: u32, byte| crc >> 8 ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_agree_with_known_values() {
        for (function, input, expected) in [
            // The check values of the algorithms: RFC 1321, the CRC catalogue, FIPS 180.
            (Function::Md5Hex, "abc", Some("900150983cd24fb0d6963f7d28e17f72")),
            (Function::Crc32, "123456789", Some("3421780262")),
            (Function::Sha1Hex, "abc", Some("a9993e364706816aba3e25717850c26c9cd0d89d")),
            (Function::UrlDecode, "a%2Fb+c%zz%", Some("a/b+c%zz%")),
            (Function::UrlEncode, "a/b c~ü", Some("a%2Fb%20c~%C3%BC")),
            (Function::Upper, "aß1", Some("ASS1")),
            (Function::Base64, "hi?>", Some("aGk/Pg==")),
            (Function::Base64url, "hi?>", Some("aGk_Pg")),
            (Function::Unbase64, "aGk_Pg", Some("hi?>")),
            (Function::Unbase64, "!", None),
            (Function::HmacHex, "x", None),
            (Function::JsonText, "a\"\n", Some("a\\\"\\n")),
        ] {
            let found = apply(function, input.as_bytes(), None);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{function:?} of {input}");
        }
    }
}

//! Every parser that strangers can reach, with arbitrary bytes. The checks are those of the fuzz targets, in
//! one file each, so that whatever a fuzzer finds is a plain test here.

mod built;
mod entry;
mod json_path;
mod keys;
mod multipart;
mod token;

use proptest::prelude::*;

/// Texts made of the pieces that a parser knows, most of them nonsense.
fn pieces(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(pieces).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn entries(
        bytes: Vec<u8>,
        template in pieces(&["{", "}", "{{", "body", "ts", "json:", "a.b", "header:x-a", "'", "(", ")", "+", "?",
            "sha256hex", "upper", "md5hex", "field:", "claim:", "part:", "credential:", ":", "method", "/"]),
        scheme in pieces(&["class = \"hmac\"\n", "class = \"jwt\"\n", "digest = \"sha256\"\n", "message = \"{ts}.{body}\"\n",
            "signature = { at = \"header:x\" }\n", "timestamp = { at = \"header:t\" }\n", "[[scheme]]\n", "[[handshake]]\n",
            "jwt = { algorithms = [\"HS256\"] }\n", "build = { kind = \"raw\", from = \"json:a\" }\n", "name = \"x\"\n"]),
    ) {
        entry::check(&bytes);
        entry::check(template.as_bytes());
        entry::check(format!("slug = \"a\"\nname = \"A\"\n[[scheme]]\n{scheme}").as_bytes());
    }

    #[test]
    fn tokens(
        bytes: Vec<u8>,
        text in pieces(&[".", "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19",
            "e30", "AAAA", "=", " "]),
    ) {
        token::check(&bytes);
        token::check(text.as_bytes());
    }

    #[test]
    fn multipart_bodies(
        bytes: Vec<u8>,
        text in pieces(&["b\n", "--b", "--", "\r\n", "\r\n\r\n", "\n", "Content-Disposition: form-data; ", "name=\"json\"",
            "name=\"text\"", "name=", "\"", ";", "{}"]),
    ) {
        multipart::check(&bytes);
        multipart::check(text.as_bytes());
    }

    #[test]
    fn answers_with_keys(
        bytes: Vec<u8>,
        text in pieces(&["{\"keys\":[", "]}", "{", "}", ",", "\"kty\":\"RSA\"", "\"kty\":\"EC\"", "\"kty\":\"OKP\"", "\"crv\":\"P-256\"",
            "\"crv\":\"Ed25519\"", "\"n\":\"AQAB\"", "\"e\":\"AQAB\"", "\"x\":\"AAAA\"", "-----BEGIN CERTIFICATE-----\n",
            "-----END CERTIFICATE-----\n", "-----BEGIN PUBLIC KEY-----\n", "-----END PUBLIC KEY-----\n", "MAA=", "MIIB"]),
    ) {
        keys::check(&bytes);
        keys::check(text.as_bytes());
    }

    #[test]
    fn built_messages(
        pick: u8,
        bytes: Vec<u8>,
        text in pieces(&["\n---\n", "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "null", "1.0", "-0", "true", "\"\\ud800\"", "a=1", "&",
            "%41", "x-names", "host", "(request-target)"]),
    ) {
        for rest in [bytes.as_slice(), text.as_bytes()] {
            built::check(&[&[pick], rest].concat());
        }
    }

    #[test]
    fn paths_into_json(
        bytes: Vec<u8>,
        text in pieces(&["\n", "a", ".", "0", "*", "/", "~1", "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "null", "1.0", "true", "\"\"",
            "\"x\\n\"", "\"{\\\"a\\\":[1,\\\"x\\\"]}\"", "a.a.0\n{\"a\":"]),
    ) {
        json_path::check(&bytes);
        json_path::check(text.as_bytes());
    }
}

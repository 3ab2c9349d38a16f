//! Bodies as they may have been before something rewrote them on their way.

use std::borrow::Cow;
use std::sync::Arc;

use super::Trials;
use super::json_text;
use crate::likely_cause::{Finding, LikelyCause, finding};
use crate::request::RequestView;

/// A body with what is different about it.
type Variant<'b> = (Cow<'b, [u8]>, String);

impl Trials<'_> {
    /// The sender signed another form of the body.
    pub(super) fn body(&self) -> Option<Finding> {
        if self.request.body.is_empty() {
            return None;
        }
        let url = self.verifier.public_url.clone();
        let verifier =
            self.lenient(Arc::clone(&self.verifier.entry), &self.verifier.credentials, url)?;
        let passes = |body: &[u8]| self.judge(&verifier, &RequestView { body, ..*self.request });
        let plain = plain_variants(self.request.body).into_iter();
        let difference = plain
            .chain(form_variants(self.request.body))
            .find(|(body, _)| passes(body))
            .map(|(_, difference)| difference)
            .or_else(|| json_text::find(self.request.body, &passes))?;
        Some(finding(
            LikelyCause::BodyChanged,
            format!(
                "The signature fits the body {difference}: something changed it on its way here."
            ),
            "Forward the raw bytes: look for a proxy, framework or tool that parses and rewrites bodies.",
        ))
    }

    /// What says that the body was compressed, or is, otherwise than it was signed.
    pub(super) fn compression(&self) -> Option<Finding> {
        let header = |name: &str| self.request.headers.get(name)?.to_str().ok();
        let body = self.request.body;
        if let Some(encoding) = header("content-encoding")
            && ["gzip", "x-gzip"].contains(&encoding)
        {
            return Some(if body.starts_with(&[0x1f, 0x8b]) {
                finding(
                    LikelyCause::Compressed,
                    "The body came compressed (content-encoding: gzip), and no configured secret fits it like that: the sender may have signed it uncompressed.",
                    "Switch compression off at the sender, or in the proxy that compresses.",
                )
            } else {
                finding(
                    LikelyCause::Compressed,
                    "The body is not compressed, although `content-encoding: gzip` says so: something unpacked it on its way, and the sender signed the packed bytes.",
                    "Forward the raw bytes: switch off decompression in the proxy or tool in front.",
                )
            });
        }
        let length: usize = header("content-length")?.trim().parse().ok()?;
        (length != body.len()).then(|| {
            finding(
                LikelyCause::BodyChanged,
                format!("The body has {} bytes, but `content-length` says {length}: it is not the body that was sent.", body.len()),
                "Give the exact bytes: copying a body from a page or a terminal often changes it.",
            )
        })
    }
}

fn with<'b>(body: &[u8], end: &[u8]) -> Cow<'b, [u8]> {
    Cow::Owned([body, end].concat())
}

/// White space, line ends, marks and character sets.
fn plain_variants(body: &[u8]) -> Vec<Variant<'_>> {
    let mut variants: Vec<Variant<'_>> = Vec::new();
    let mut add = |changed: Cow<'_, [u8]>, what: &str| {
        if *changed != *body {
            variants.push((Cow::Owned(changed.into_owned()), what.to_owned()));
        }
    };
    add(with(body, b"\n"), "with a line feed at the end");
    add(with(body, b"\r\n"), "with CR LF at the end");
    if let Some(rest) = body.strip_suffix(b"\r\n") {
        add(Cow::Borrowed(rest), "without the CR LF at the end");
    }
    if let Some(rest) = body.strip_suffix(b"\n") {
        add(Cow::Borrowed(rest), "without the line feed at the end");
    }
    add(Cow::Borrowed(body.trim_ascii()), "without the white space around it");
    match body.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => add(Cow::Borrowed(rest), "without the byte order mark"),
        None => add(Cow::Owned([b"\xef\xbb\xbf", body].concat()), "with a byte order mark"),
    }
    match std::str::from_utf8(body) {
        Ok(text) => {
            let unix = text.replace("\r\n", "\n");
            add(Cow::Owned(unix.replace('\n', "\r\n").into_bytes()), "with CR LF line ends");
            add(Cow::Owned(unix.into_bytes()), "with LF line ends");
            if let Some(latin) = latin_1(text).filter(|_| !text.is_ascii()) {
                let twice = std::str::from_utf8(&latin).is_ok();
                let what = if twice {
                    "in UTF-8 that was not encoded a second time"
                } else {
                    "in ISO-8859-1 instead of UTF-8"
                };
                add(Cow::Owned(latin), what);
            }
        }
        Err(_) => {
            let text: String = body.iter().map(|byte| char::from(*byte)).collect();
            add(Cow::Owned(text.into_bytes()), "in UTF-8 instead of ISO-8859-1");
        }
    }
    variants
}

/// The text in ISO-8859-1, if it has no other characters.
fn latin_1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

/// Forms whose values were escaped otherwise.
fn form_variants(body: &[u8]) -> Vec<Variant<'_>> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Vec::new();
    };
    if !text.contains('=') || text.contains(char::is_whitespace) || text.starts_with('{') {
        return Vec::new();
    }
    let mut sorted: Vec<&str> = text.split('&').collect();
    sorted.sort_unstable();
    let changed = [
        (text.replace("%20", "+"), "with `+` instead of `%20`"),
        (text.replace('+', "%20"), "with `%20` instead of `+`"),
        (super::urls::percent_case(text, true), "with its `%xx` in capital letters"),
        (super::urls::percent_case(text, false), "with its `%xx` in small letters"),
        (sorted.join("&"), "with its fields sorted"),
    ];
    changed
        .into_iter()
        .filter(|(changed, _)| changed != text)
        .map(|(changed, what)| (Cow::Owned(changed.into_bytes()), what.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_never_repeat_the_original() {
        for body in [&b"{\"a\": 1}\n"[..], b"a=1&b=%2f+x", "ü".as_bytes(), b"\xfc", b"x"] {
            for (changed, what) in plain_variants(body).into_iter().chain(form_variants(body)) {
                assert!(*changed != *body, "{what}");
            }
        }
    }
}

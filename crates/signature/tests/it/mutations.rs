//! One bit flipped in what a valid vector signs, and the request is refused: all entries, all vectors.
//!
//! What may pass is listed by rule, at the functions that say so: other ways of writing the same signature or
//! the same field. Nothing is exempt by name. Deterministic: positions are spread evenly.

use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use becket_signature::vectors::{Expect, Vector};
use becket_signature::{
    Class, Entry, Expr, FetchedKeys, Place, RequestView, Scheme, Verdict, Verifier, Wrap,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::properties::means_the_same;
use crate::vectors::{entry_of, vectors};

/// How many positions are tried in a body, and in everything else.
const BODY_FLIPS: usize = 96;
const TEXT_FLIPS: usize = 48;

/// A valid vector taken apart.
struct Subject {
    entry: Arc<Entry>,
    verifier: Verifier,
    headers: HeaderMap,
    body: Vec<u8>,
    vector: Vector,
    fetched: Option<FetchedKeys>,
    scheme: usize,
}

#[derive(Default)]
struct Tally {
    mutations: usize,
    same: usize,
    passed: Vec<String>,
}

impl Subject {
    /// `None` for vectors that are refused, and for schemes that sign nothing.
    fn new(slug: &str, vector: Vector) -> Option<Subject> {
        if vector.expect != Expect::Genuine {
            return None;
        }
        let verifier = vector.verifier(&entry_of(slug)).expect("is a verifier");
        let entry = Arc::clone(verifier.entry());
        let headers = vector.header_map().expect("has headers");
        let body = vector.body().expect("has a body");
        let request = RequestView {
            method: &vector.method,
            url: &vector.url,
            headers: &headers,
            body: &body,
        };
        let fetched = vector.fetched_keys(&verifier, &request).expect("are keys");
        let Verdict::Genuine(genuine) =
            verifier.verify_with(&request, vector.verify_at, fetched.as_ref())
        else {
            panic!("{slug} / {} is not genuine", vector.name);
        };
        let mut named = entry.schemes.iter().enumerate();
        let (scheme, found) = named.find(|(_, scheme)| scheme.label() == &*genuine.scheme)?;
        // Two schemes of one name: which of them decided is not said.
        if named.any(|(_, scheme)| scheme.label() == &*genuine.scheme) || found.class == Class::None
        {
            return None;
        }
        Some(Subject { entry, verifier, headers, body, vector, fetched, scheme })
    }

    fn scheme(&self) -> &Scheme {
        &self.entry.schemes[self.scheme]
    }

    fn passes(&self, url: &str, headers: &HeaderMap, body: &[u8]) -> bool {
        let request = RequestView { method: &self.vector.method, url, headers, body };
        let at = self.vector.verify_at;
        self.verifier.verify_with(&request, at, self.fetched.as_ref()).is_genuine()
    }

    fn body(&self, tally: &mut Tally) {
        let scheme = self.scheme();
        let token = scheme.class == Class::Jwt && is_at(scheme, &Expr::Body);
        if !token && !scheme.signs_body() {
            return;
        }
        // Fields that are parsed before they are signed may be written in other bytes.
        let parsed = scheme.build.is_some() || scheme.message.uses(&Expr::SortedForm);
        for bit in spread(0..self.body.len(), BODY_FLIPS) {
            let mut changed = self.body.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if parsed && means_the_same(&self.body, &changed) {
                tally.same += 1;
                continue;
            }
            let passed = self.passes(&self.vector.url, &self.headers, &changed);
            tally.note(passed, || self.say("body", bit));
        }
    }

    fn header(&self, name: &HeaderName, range: Range<usize>, what: &str, tally: &mut Tally) {
        let Some(value) = self.headers.get(name) else { return };
        let value = value.as_bytes().to_vec();
        for bit in spread(range, TEXT_FLIPS) {
            let mut changed = value.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            // Not every byte can stand in a header.
            let Ok(changed_value) = HeaderValue::from_bytes(&changed) else { continue };
            if what == "signature" && self.same_signature(&value, &changed) {
                tally.same += 1;
                continue;
            }
            let mut headers = self.headers.clone();
            headers.insert(name.clone(), changed_value);
            let passed = self.passes(&self.vector.url, &headers, &self.body);
            tally.note(passed, || self.say(&format!("{what} in {name}"), bit));
        }
    }

    /// Hexadecimal digits of either case, the scheme word of HTTP authentication, white space around a
    /// signature, and percent escapes are other ways of writing the same.
    fn same_signature(&self, one: &[u8], other: &[u8]) -> bool {
        let Some(spec) = &self.scheme().signature else { return false };
        if one.trim_ascii() == other.trim_ascii() {
            return true;
        }
        let start = spec.prefix.len().min(one.len());
        let hexadecimal = spec.encoding == becket_signature::Encoding::Hex
            && !matches!(self.scheme().class, Class::Jwt | Class::Token | Class::Basic);
        if hexadecimal && one.eq_ignore_ascii_case(other) {
            let differs = one.iter().zip(other).position(|(one, other)| one != other);
            let byte = differs.map_or(b' ', |position| one[position]);
            return byte.is_ascii_hexdigit();
        }
        let written = (std::str::from_utf8(one), std::str::from_utf8(other));
        if let (Ok(one), Ok(other)) = written
            && let Some(counted) = self.counted_text(one)
            && self.counted_text(other) == Some(counted)
        {
            return true;
        }
        let word = matches!(self.scheme().class, Class::Jwt | Class::Basic);
        if word && one[start..] == other[start..] && one.eq_ignore_ascii_case(other) {
            return true;
        }
        spec.wrap == Some(Wrap::UrlEncoded) && decoded(one) == decoded(other)
    }

    /// The part of a signature's text that counts: of columns and of members the wanted ones; below base64 the
    /// hexadecimal digits in either case. `None` when everything counts as it is written.
    fn counted_text(&self, text: &str) -> Option<Vec<String>> {
        let spec = self.scheme().signature.as_ref()?;
        let split = spec.split.as_ref();
        let wanted: Vec<&String> =
            split.and_then(|split| split.wanted.as_deref()).into_iter().flatten().collect();
        if spec.wrap == Some(Wrap::Base64Json) {
            let document: serde_json::Value = serde_json::from_slice(&unbase64(text)?).ok()?;
            return Some(wanted.iter().map(|name| document[name.as_str()].to_string()).collect());
        }
        if let (Some(split), [_, ..]) = (split, split.map_or(&[][..], |split| &split.columns)) {
            let pair = split.pair.as_deref()?;
            let ranges = item_ranges(text, split.items.as_deref().unwrap_or_default());
            let columns = ranges.into_iter().flat_map(|range| {
                let item = &text[range];
                split.columns.iter().zip(item.splitn(split.columns.len(), pair))
            });
            let counted = columns.filter(|(name, _)| wanted.contains(name));
            return Some(counted.map(|(_, value)| value.to_lowercase()).collect());
        }
        (spec.encoding == becket_signature::Encoding::Base64Hex)
            .then(|| unbase64(text).map(|hex| vec![String::from_utf8_lossy(&hex).to_lowercase()]))?
    }

    fn signature(&self, tally: &mut Tally) {
        let Some(spec) = &self.scheme().signature else { return };
        // Of several places one right signature is enough.
        let [place] = &*spec.at else { return };
        let Some(Expr::Header(name)) = place.single() else { return };
        let Some(text) = self.headers.get(name).and_then(|value| value.to_str().ok()) else {
            return;
        };
        let separators = spec.split.as_ref().and_then(|split| split.items.as_deref());
        for range in item_ranges(text, separators.unwrap_or_default()) {
            if self.counts(name, text, &range) {
                self.header(name, range, "signature", tally);
            }
        }
    }

    /// Whether the request passes only with this item of the signature's text: unknown versions and the
    /// signatures of other keys do not count.
    fn counts(&self, name: &HeaderName, text: &str, range: &Range<usize>) -> bool {
        let mut headers = self.headers.clone();
        let without = format!("{}x{}", &text[..range.start], &text[range.end..]);
        headers.insert(name.clone(), HeaderValue::from_str(&without).expect("a value"));
        !self.passes(&self.vector.url, &headers, &self.body)
    }

    fn signed_headers(&self, tally: &mut Tally) {
        for variable in self.scheme().message.variables() {
            if let Expr::Header(name) = variable {
                let length = self.headers.get(name).map_or(0, HeaderValue::len);
                self.header(name, 0..length, "signed header", tally);
            }
        }
    }

    fn timestamp(&self, tally: &mut Tally) {
        let Some(spec) = &self.scheme().timestamp else { return };
        let signature = self.scheme().signature.as_ref();
        match spec.at.single() {
            Some(Expr::Header(name)) => {
                let length = self.headers.get(name).map_or(0, HeaderValue::len);
                self.header(name, 0..length, "time", tally);
            }
            Some(Expr::Field(field)) if self.scheme().message.uses(&Expr::Timestamp) => {
                let place = signature.and_then(|spec| spec.at.first()).and_then(Place::single);
                let split = signature.and_then(|spec| spec.split.as_ref());
                let (Some(Expr::Header(name)), Some(pair)) =
                    (place, split.and_then(|split| split.pair.as_ref()))
                else {
                    return;
                };
                let Some(text) = self.headers.get(name).and_then(|value| value.to_str().ok())
                else {
                    return;
                };
                let Some(start) = text.find(&format!("{field}{pair}")) else { return };
                let start = start + field.len() + pair.len();
                let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
                self.header(name, start..start + digits, "time", tally);
            }
            _ => {}
        }
    }

    fn url(&self, tally: &mut Tally) {
        let scheme = self.scheme();
        let uses = |wanted: &Expr| scheme.message.uses(wanted);
        // Where several forms of the URL are tried, or parts of it are configured, more than one text is right.
        if !scheme.url_variants.is_empty() || self.vector.public_url.is_some() {
            return;
        }
        let url = &self.vector.url;
        let host_end = url
            .find("://")
            .map_or(0, |at| url[at + 3..].find('/').map_or(url.len(), |length| at + 3 + length));
        let query = url.find(['?', '#']).unwrap_or(url.len());
        let range = if uses(&Expr::Url) {
            0..url.len()
        } else if uses(&Expr::PathQuery) {
            host_end..url.len()
        } else if uses(&Expr::Path) {
            host_end..query
        } else {
            return;
        };
        for bit in spread(range, TEXT_FLIPS) {
            let mut changed = url.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = String::from_utf8(changed) else { continue };
            let passed = self.passes(&changed, &self.headers, &self.body);
            tally.note(passed, || self.say("url", bit));
        }
    }

    fn say(&self, what: &str, bit: usize) -> String {
        format!("{} / {}: bit {bit} of the {what}", self.entry.slug(), self.vector.name)
    }
}

impl Tally {
    fn note(&mut self, passed: bool, say: impl FnOnce() -> String) {
        self.mutations += 1;
        if passed {
            self.passed.push(say());
        }
    }
}

/// Where the items of a signature's text stand, without white space around them.
fn item_ranges(text: &str, separators: &[String]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    while start <= text.len() {
        let rest = &text[start..];
        let cut =
            separators.iter().filter_map(|by| Some((rest.find(by.as_str())?, by.len()))).min();
        let (length, separator) = cut.unwrap_or((rest.len(), 1));
        let item = &rest[..length];
        let inner = start + item.len() - item.trim_start().len();
        ranges.push(inner..inner + item.trim().len());
        start += length + separator;
    }
    ranges.retain(|range| !range.is_empty());
    ranges
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

fn is_at(scheme: &Scheme, wanted: &Expr) -> bool {
    scheme.signature.iter().flat_map(|spec| spec.at.iter()).any(|at| at.single() == Some(wanted))
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let text = [
        b"x=".as_slice(),
        &text.iter().map(|b| if *b == b'+' { b'*' } else { *b }).collect::<Vec<_>>(),
    ]
    .concat();
    url::form_urlencoded::parse(&text)
        .flat_map(|(_, value)| value.into_owned().into_bytes())
        .collect()
}

/// Evenly spread bits of a range of bytes, each time another one of the byte.
fn spread(bytes: Range<usize>, count: usize) -> impl Iterator<Item = usize> {
    let bits = bytes.len() * 8;
    let count = count.min(bits);
    (0..count).map(move |index| bytes.start * 8 + (index * bits / count + index % 8).min(bits - 1))
}

#[test]
fn no_flipped_bit_passes() {
    let mut tally = Tally::default();
    for (slug, list) in vectors() {
        for vector in list {
            if let Some(subject) = Subject::new(&slug, vector) {
                subject.body(&mut tally);
                subject.signature(&mut tally);
                subject.signed_headers(&mut tally);
                subject.timestamp(&mut tally);
                subject.url(&mut tally);
            }
        }
    }
    let Tally { mutations, same, passed } = &tally;
    println!("{mutations} mutations refused, {same} that mean the same");
    assert!(passed.is_empty(), "{} passed:\n{}", passed.len(), passed.join("\n"));
    assert!(*mutations > 100_000, "only {mutations} mutations");
}

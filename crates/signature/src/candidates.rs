//! From the places of a signature to the texts that may be signatures.
//!
//! Invariants: an empty text counts as absent; a header that came twice is reported, never joined; the number
//! of signatures that are looked at is bounded. Nothing here compares. Next: `verifier`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::encoding::{self, SIGNATURE_BYTES_MAX, base64_any};
use crate::functions::{url_decode, url_encode};
use crate::json_path::JsonPath;
use crate::jwt::Token;
use crate::scheme::{Class, Encoding, Scheme, SignatureSpec, SplitSpec, Wrap};
use crate::scope::{Absent, Scope};
use crate::verdict::Refusal;

/// At most this many places may hold signatures, and at most this many signatures are looked at in each.
pub(crate) const PLACES_MAX: usize = 8;
const CANDIDATES_MAX: usize = 64;

/// The signature texts of one request, with their wrapping undone.
pub(crate) type Texts<'a> = [Option<Cow<'a, str>>; PLACES_MAX];

/// What stands at the places of the signature. An empty text counts as absent.
pub(crate) fn signature_texts<'a>(
    scope: &Scope<'a>,
    scheme: &'a Scheme,
) -> Result<Texts<'a>, Refusal> {
    let mut texts: Texts<'a> = Default::default();
    let Some(spec) = &scheme.signature else {
        return Ok(texts);
    };
    for (slot, place) in texts.iter_mut().zip(spec.at.iter()) {
        let bytes = match scope.render(place) {
            Ok(bytes) => bytes,
            Err(Absent::Missing(_)) => continue,
            Err(Absent::Repeated(_)) => return Err(Refusal::RepeatedHeader),
        };
        let text = match bytes {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        let text = text.ok_or(Refusal::MalformedSignature)?;
        if text.trim().is_empty() {
            continue;
        }
        *slot = Some(match spec.wrap {
            None => text,
            Some(wrap) => Cow::Owned(unwrapped(&text, wrap).ok_or(Refusal::MalformedSignature)?),
        });
    }
    Ok(texts)
}

fn unwrapped(text: &str, wrap: Wrap) -> Option<String> {
    let bytes = match wrap {
        Wrap::UrlEncoded => url_decode(text.as_bytes()),
        Wrap::Base64Json => base64_any(text.as_bytes())?,
    };
    String::from_utf8(bytes).ok()
}

/// How far the candidates of one request got.
#[derive(Default, Clone, Copy)]
pub(crate) struct Counts {
    pub wanted: usize,
    pub decoded: usize,
}

impl Counts {
    pub(crate) fn refusal(self) -> Refusal {
        if self.wanted == 0 {
            Refusal::UnsupportedSignature
        } else if self.decoded == 0 {
            Refusal::MalformedSignature
        } else {
            Refusal::SignatureMismatch
        }
    }
}

/// How signatures stand in their text, with the named credentials that may choose among them.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'s> {
    pub spec: &'s SignatureSpec,
    pub class: Class,
    pub named: &'s BTreeMap<String, String>,
}

impl Layout<'_> {
    /// Calls for each signature in a text, decoded.
    pub fn for_each_decoded(&self, text: &str, counts: &mut Counts, mut call: impl FnMut(&[u8])) {
        let mut decoded = 0;
        self.for_each(text, &mut counts.wanted, |encoded| {
            let mut buffer = [0; SIGNATURE_BYTES_MAX];
            let bytes = encoding::decode(encoded.as_bytes(), self.spec.encoding, &mut buffer);
            if let Some(bytes) = bytes {
                decoded += 1;
                call(bytes);
            }
        });
        counts.decoded += decoded;
    }

    /// Calls for each signature in a text as it is written, without its prefix.
    pub fn for_each(&self, text: &str, wanted: &mut usize, mut call: impl FnMut(&str)) {
        let mut prefixed = |value: &str| {
            if let Some(encoded) = strip_prefix(value, &self.spec.prefix, self.class) {
                *wanted += 1;
                call(encoded);
            }
        };
        let Some(split) = &self.spec.split else {
            return prefixed(text.trim());
        };
        if self.spec.wrap == Some(Wrap::Base64Json) {
            for name in self.wanted_keys(split) {
                if let Some(value) = JsonPath::key(name).find(text.as_bytes()) {
                    prefixed(&value);
                }
            }
            return;
        }
        for item in items(text, split).skip(split.positions.len()).take(CANDIDATES_MAX) {
            let Some(pair) = split.pair.as_deref() else {
                prefixed(item);
                continue;
            };
            if !split.columns.is_empty() {
                for name in self.wanted_keys(split) {
                    if let Some(value) = column(item, pair, &split.columns, name) {
                        prefixed(value);
                    }
                }
            } else if let Some((key, value)) = item.split_once(pair)
                && self.wanted_keys(split).any(|name| name == key.trim())
            {
                prefixed(value.trim());
            }
        }
    }

    fn wanted_keys<'k>(&'k self, split: &'k SplitSpec) -> impl Iterator<Item = &'k str> {
        let chosen = split.wanted_credential.as_ref().and_then(|name| self.named.get(name));
        let listed = split.wanted.iter().flat_map(|wanted| wanted.iter());
        listed.chain(chosen).map(String::as_str)
    }
}

/// Prefixes are compared exactly, except the scheme word of HTTP authentication.
fn strip_prefix<'a>(value: &'a str, prefix: &str, class: Class) -> Option<&'a str> {
    if class == Class::Basic || (class == Class::Jwt && prefix.ends_with(' ')) {
        let (head, rest) = value.split_at_checked(prefix.len())?;
        return head.eq_ignore_ascii_case(prefix).then(|| rest.trim());
    }
    value.strip_prefix(prefix)
}

/// The items of a signature's text.
fn items<'a>(text: &'a str, split: &'a SplitSpec) -> impl Iterator<Item = &'a str> {
    let separators = split.items.as_deref().unwrap_or_default();
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let cuts = separators.iter().filter_map(|separator| text.split_once(separator.as_str()));
        let item = match cuts.min_by_key(|(item, _)| item.len()) {
            Some((item, after)) => {
                rest = Some(after);
                item
            }
            None => {
                rest = None;
                text
            }
        };
        Some(item.trim())
    })
}

fn column<'a>(item: &'a str, pair: &str, columns: &[String], name: &str) -> Option<&'a str> {
    let position = columns.iter().position(|column| column == name)?;
    item.splitn(columns.len(), pair).nth(position).map(str::trim)
}

/// The first field of this name in a signature's text.
pub(crate) fn field<'a>(
    text: &'a str,
    spec: &'a SignatureSpec,
    name: &str,
) -> Option<Cow<'a, str>> {
    if spec.wrap == Some(Wrap::Base64Json) {
        return JsonPath::key(name).find(text.as_bytes());
    }
    let split = spec.split.as_ref()?;
    if let Some(position) = split.positions.iter().position(|known| known == name) {
        return items(text, split).nth(position).map(Cow::Borrowed);
    }
    let pair = split.pair.as_deref()?;
    let found = if split.columns.is_empty() {
        items(text, split).find_map(|item| {
            let (key, value) = item.split_once(pair)?;
            (key.trim() == name).then(|| value.trim())
        })
    } else {
        column(items(text, split).next()?, pair, &split.columns, name)
    };
    found.map(Cow::Borrowed)
}

/// A member of the header of the token that is the signature's text.
pub(crate) fn token_field(text: &str, spec: &SignatureSpec, name: &str) -> Option<String> {
    let token = strip_prefix(text.trim(), &spec.prefix, Class::Jwt)?;
    Token::parse(token)?.header_member(name)
}

/// The text of a signature as its sender writes it, from its fields and the encoded signature: what
/// [`Layout::for_each`] takes apart. `wanted` is the key or column of the signature.
pub(crate) fn compose(
    spec: &SignatureSpec,
    fields: &[(String, String)],
    encoded: &str,
    wanted: &str,
) -> String {
    let signature = format!("{}{encoded}", spec.prefix);
    let Some(split) = &spec.split else {
        return signature;
    };
    let value = |name: &str| {
        fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    };
    if spec.wrap == Some(Wrap::Base64Json) {
        let members = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let members: serde_json::Map<String, serde_json::Value> = members
            .chain([(wanted, signature.as_str())])
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        return serde_json::Value::Object(members).to_string();
    }
    let items = split.items.as_ref().map_or(",", |items| items[0].as_str());
    let Some(pair) = split.pair.as_deref() else {
        let positions = split.positions.iter().map(|name| value(name));
        return positions.chain([signature.as_str()]).collect::<Vec<_>>().join(items);
    };
    if !split.columns.is_empty() {
        let columns = split.columns.iter().map(|name| match name == wanted {
            true => signature.as_str(),
            false => value(name),
        });
        return columns.collect::<Vec<_>>().join(pair);
    }
    let mut written: Vec<String> =
        split.positions.iter().map(|name| value(name).to_owned()).collect();
    written.extend(
        fields
            .iter()
            .filter(|(name, _)| !split.positions.contains(name))
            .map(|(name, value)| format!("{name}{pair}{value}")),
    );
    written.push(format!("{wanted}{pair}{signature}"));
    written.join(items)
}

/// Puts a signature's text into its wrapping.
pub(crate) fn wrapped(text: String, wrap: Option<Wrap>) -> String {
    match wrap {
        None => text,
        Some(Wrap::UrlEncoded) => url_encode(text.as_bytes()),
        Some(Wrap::Base64Json) => encoding::encode(text.as_bytes(), Encoding::Base64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, signature: &str, named: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let spec: SignatureSpec = toml::from_str(signature).expect("reads");
        let named =
            named.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let layout = Layout { spec: &spec, class: Class::Hmac, named: &named };
        let mut list = Vec::new();
        layout.for_each(text, &mut 0, |value| list.push(value.to_owned()));
        (list, field(text, &spec, "f").map(Cow::into_owned))
    }

    #[test]
    fn every_way_of_splitting() {
        for (text, signature, named, list, field) in [
            ("ab", "at = 'header:a'", &[][..], vec!["ab"], None),
            (
                "f=1, v1=a,v1=b,v0=c",
                "split = { items = ',', pair = '=', wanted = 'v1' }",
                &[],
                vec!["a", "b"],
                Some("1"),
            ),
            (
                "f=1,v1=a f=2,v1=b",
                "split = { items = [' ', ','], pair = '=', wanted = 'v1' }",
                &[],
                vec!["a", "b"],
                Some("1"),
            ),
            ("1.a.b", "split = { items = '.', positions = ['f'] }", &[], vec!["a", "b"], Some("1")),
            (
                "k:sha256:a;l:sha256:b",
                "split = { items = ';', pair = ':', columns = ['f', 'digest', 's'], wanted = 's' }",
                &[],
                vec!["a", "b"],
                Some("k"),
            ),
            (
                "p1|a&p2|b",
                "split = { items = '&', pair = '|', wanted_credential = 'key' }",
                &[("key", "p2")],
                vec!["b"],
                None,
            ),
            (
                "{\"f\":\"1\",\"signature\":\"a\"}",
                "wrap = 'base64_json'\nsplit = { wanted = 'signature' }",
                &[],
                vec!["a"],
                Some("1"),
            ),
        ] {
            let signature =
                format!("at = 'header:a'\n{}", signature.replace("at = 'header:a'", ""));
            let expected =
                (list.into_iter().map(str::to_owned).collect(), field.map(str::to_owned));
            assert_eq!(found(text, &signature, named), expected, "{text}");
        }
    }

    #[test]
    fn wrappings_are_undone() {
        assert_eq!(unwrapped("a%2Fb%3D", Wrap::UrlEncoded).as_deref(), Some("a/b="));
        assert_eq!(unwrapped("eyJhIjoxfQ==", Wrap::Base64Json).as_deref(), Some("{\"a\":1}"));
        assert_eq!(unwrapped("!", Wrap::Base64Json), None);
    }
}

//! `Accept`, `Accept-Encoding` and `If-None-Match`, as far as static files need them.

/// How a file's bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Gzip,
    Identity,
}

impl Coding {
    /// What the file's name ends in, and what the ETag gains.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
            Self::Identity => "",
        }
    }

    /// The value of `Content-Encoding`.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }
}

/// What the reader takes, best first. Whoever refuses even `identity` gets it nevertheless: bytes
/// that can be read are worth more than a 406.
pub(crate) fn codings(accept_encoding: Option<&str>) -> Vec<Coding> {
    let mut found: Vec<(u16, Coding)> = Vec::new();
    let listed: Vec<(String, u16)> = weighed(accept_encoding.unwrap_or_default()).collect();
    let any = listed.iter().find(|(name, _)| name == "*").map(|(_, weight)| *weight);
    for (coding, names) in [
        (Coding::Brotli, &["br"][..]),
        (Coding::Gzip, &["gzip", "x-gzip"]),
        (Coding::Identity, &[]),
    ] {
        let own = listed.iter().find(|(name, _)| names.contains(&name.as_str()));
        match own.map(|(_, weight)| *weight).or(any.filter(|_| !names.is_empty())) {
            Some(weight) if weight > 0 => found.push((weight, coding)),
            _ => {}
        }
    }
    // Stable: between equals brotli, the smaller, stays first.
    found.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let mut codings: Vec<Coding> = found.into_iter().map(|(_, coding)| coding).collect();
    codings.push(Coding::Identity);
    codings
}

/// Whether the reader asks for a page, as browsers do and programs do not.
pub(crate) fn wants_page(accept: Option<&str>) -> bool {
    weighed(accept.unwrap_or_default()).any(|(kind, weight)| {
        weight > 0 && matches!(kind.as_str(), "text/html" | "application/xhtml+xml")
    })
}

/// Whether the reader already has what this ETag names.
pub(crate) fn has(if_none_match: Option<&str>, etag: &str) -> bool {
    let Some(list) = if_none_match else { return false };
    list.split(',')
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

/// The words of a list with their weights in thousandths.
fn weighed(list: &str) -> impl Iterator<Item = (String, u16)> + '_ {
    list.split(',').filter_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let word = parts.next()?.to_ascii_lowercase();
        if word.is_empty() {
            return None;
        }
        let weight = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1_000, |(_, weight)| thousandths(weight.trim()));
        Some((word, weight))
    })
}

/// `0.5` is 500; what is no number is nothing.
fn thousandths(weight: &str) -> u16 {
    match weight.parse::<f32>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1000 by the line above"
        )]
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1_000.0) as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Coding::{Brotli, Gzip, Identity};

    #[test]
    fn codings_by_preference() {
        for (header, expected) in [
            (None, vec![Identity]),
            (Some(""), vec![Identity]),
            (Some("gzip, deflate, br, zstd"), vec![Brotli, Gzip, Identity]),
            (Some("gzip"), vec![Gzip, Identity]),
            (Some("GZIP;Q=1"), vec![Gzip, Identity]),
            (Some("br;q=0.1, gzip;q=0.9"), vec![Gzip, Brotli, Identity]),
            (Some("br;q=0, gzip"), vec![Gzip, Identity]),
            (Some("*"), vec![Brotli, Gzip, Identity]),
            (Some("br;q=0, *;q=0.5"), vec![Gzip, Identity]),
            (Some("identity;q=0"), vec![Identity]),
            (Some("gzip;q=nonsense"), vec![Identity]),
            (Some("gzip;q=NaN"), vec![Identity]),
            (Some(";;,,=;q"), vec![Identity]),
        ] {
            assert_eq!(codings(header), expected, "{header:?}");
        }
    }

    #[test]
    fn pages_are_for_browsers() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (header, expected) in [
            (Some(browser), true),
            (Some("TEXT/HTML"), true),
            (Some("*/*"), false),
            (Some("application/json"), false),
            (Some("text/html;q=0"), false),
            (None, false),
        ] {
            assert_eq!(wants_page(header), expected, "{header:?}");
        }
    }

    #[test]
    fn etags() {
        for (header, expected) in [
            (None, false),
            (Some("\"a\""), true),
            (Some("W/\"a\""), true),
            (Some("\"b\", \"a\""), true),
            (Some("*"), true),
            (Some("\"b\""), false),
            (Some("a"), false),
        ] {
            assert_eq!(has(header, "\"a\""), expected, "{header:?}");
        }
    }
}

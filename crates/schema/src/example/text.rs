//! Texts: by format, by pattern, by the property's name, and fitted to a length.

use super::pattern;

/// The longest text that is made, in characters.
const MOST_CHARS: u64 = 16 << 10;

/// What a text has to be. Lengths are in characters.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextRules<'a> {
    pub(crate) least: u64,
    pub(crate) most: Option<u64>,
    pub(crate) patterns: Vec<&'a str>,
    pub(crate) formats: Vec<&'a str>,
}

impl TextRules<'_> {
    /// Texts to try, the best first; all have an allowed length. `matches` judges a pattern.
    pub(crate) fn make(
        &self,
        name: &str,
        pick: usize,
        matches: &mut dyn FnMut(&str, &str) -> bool,
    ) -> Result<String, String> {
        if self.least > MOST_CHARS {
            return Err(format!("`minLength` asks for more than {MOST_CHARS} characters"));
        }
        if self.most.is_some_and(|most| most < self.least) {
            return Err("`minLength` is more than `maxLength`".to_owned());
        }
        let mut tried = Vec::new();
        for format in &self.formats {
            tried.extend(self.by_format(format, pick));
        }
        let formatted = !tried.is_empty();
        for regex in &self.patterns {
            tried.extend(pattern::texts(regex, pick));
        }
        if !formatted {
            if self.formats.is_empty() {
                tried.extend(by_name(name, pick));
            }
            tried.extend(self.plain(pick));
        }
        tried
            .into_iter()
            .find(|text| self.fits(text) && self.patterns.iter().all(|regex| matches(regex, text)))
            .ok_or_else(|| self.complaint())
    }

    fn complaint(&self) -> String {
        match (self.patterns.first(), self.formats.first()) {
            (Some(regex), _) => {
                format!(
                    "no text of that length was found for the pattern `{}`",
                    crate::guard::shorten(regex)
                )
            }
            (None, Some(format)) => {
                format!(
                    "no text of that length was found for the format `{}`",
                    crate::guard::shorten(format)
                )
            }
            (None, None) => "no text of that length was found".to_owned(),
        }
    }

    fn fits(&self, text: &str) -> bool {
        let chars = text.chars().count() as u64;
        chars >= self.least && self.most.is_none_or(|most| chars <= most)
    }

    /// How many characters have to be added to a text of that length.
    fn lacking(&self, text: &str) -> usize {
        let chars = text.chars().count() as u64;
        usize::try_from(self.least.saturating_sub(chars)).unwrap_or(0)
    }

    /// Texts of a known format, the pleasant ones first; none if the format is not known.
    fn by_format(&self, format: &str, pick: usize) -> Vec<String> {
        let day = pick % 28 + 1;
        let letter = char::from(b'a' + u8::try_from(pick % 26).unwrap_or(0));
        let suffix = if pick == 0 { String::new() } else { pick.to_string() };
        match format {
            "date-time" => vec![format!("2026-01-{day:02}T12:00:{:02}Z", pick / 28 % 60)],
            "date" => vec![format!("20{}-01-{day:02}", 26 + pick / 28 % 70)],
            "time" => vec![format!("12:{:02}:{:02}Z", pick / 60 % 60, pick % 60)],
            "duration" => vec![format!("P{}D", pick + 1)],
            "email" | "idn-email" => {
                let local = format!("ada{suffix}");
                let padded = |local: &str, domain: &str| {
                    let pad =
                        self.lacking(&format!("{local}@{domain}")).min(64 - local.len().min(64));
                    format!("{local}{}@{domain}", "a".repeat(pad))
                };
                vec![
                    padded(&local, "example.com"),
                    padded(&local, &format!("{}.example.com", "a".repeat(60))),
                    format!("{letter}@b.co"),
                    format!("{letter}@b"),
                ]
            }
            "hostname" | "idn-hostname" => {
                let host = format!("host{suffix}.example.com");
                let labels = self.lacking(&host).div_ceil(2);
                vec![
                    format!("{}{host}", "a.".repeat(labels)),
                    format!("{letter}.co"),
                    letter.to_string(),
                ]
            }
            "ipv4" => vec![format!("192.0.2.{}", pick % 254 + 1)],
            "ipv6" => vec![format!("2001:db8::{:x}", pick % 0xffff + 1), "::1".to_owned()],
            "uri" | "iri" | "url" => {
                let uri = format!(
                    "https://example.com/{}",
                    if pick == 0 { "resource".to_owned() } else { format!("resource/{pick}") }
                );
                let pad = "a".repeat(self.lacking(&uri));
                vec![
                    format!("{uri}{pad}"),
                    format!("https://{letter}.co"),
                    format!("x:{letter}"),
                    "x:".to_owned(),
                ]
            }
            "uri-reference" | "iri-reference" => {
                let uri = format!("/resource{suffix}");
                vec![
                    format!("{uri}{}", "a".repeat(self.lacking(&uri))),
                    format!("/{letter}"),
                    letter.to_string(),
                ]
            }
            "uri-template" => vec![
                format!(
                    "https://example.com/{{id}}{suffix}{}",
                    "a".repeat(self.lacking("https://example.com/{id}"))
                ),
                letter.to_string(),
            ],
            "uuid" => vec![format!(
                "3f2b8c1e-5d4a-4b6f-9a7e-{:012x}",
                0x1c2d_3e4f_5a6b_u64.wrapping_add(pick as u64)
            )],
            "json-pointer" => vec![format!("/items/{pick}"), format!("/{letter}")],
            "relative-json-pointer" => vec![format!("{pick}/name"), pick.to_string()],
            "regex" => vec![format!("^[a-z]+{suffix}$"), letter.to_string()],
            "byte" => vec![
                ["ZXhhbXBsZQ==", "YmVja2V0", "d2ViaG9vaw==", "cGF5bG9hZA=="][pick % 4].to_owned(),
            ],
            _ => Vec::new(),
        }
    }

    /// Texts without a meaning, fitted to the length.
    fn plain(&self, pick: usize) -> Vec<String> {
        let word = if pick == 0 { "example".to_owned() } else { format!("example {}", pick + 1) };
        let mut long = word.clone();
        for letter in " text".chars().cycle().take(self.lacking(&word)) {
            long.push(letter);
        }
        // A number in base 26 keeps short texts apart from each other.
        let mut short = String::new();
        let mut rest = pick;
        loop {
            short.insert(0, char::from(b'a' + u8::try_from(rest % 26).unwrap_or(0)));
            rest /= 26;
            if rest == 0 {
                break;
            }
        }
        let pad = self.lacking(&short);
        let short = format!("{}{short}", "a".repeat(pad));
        let mut texts = vec![long, short];
        if self.most == Some(0) {
            texts.push(String::new());
        }
        texts
    }
}

/// What a property of such a name usually holds, for readable documentation.
fn by_name(name: &str, pick: usize) -> Option<String> {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            words.push('_');
        }
        words.extend(letter.to_lowercase());
    }
    let numbered =
        |text: &str| if pick == 0 { text.to_owned() } else { format!("{text} {}", pick + 1) };
    let last = words.rsplit(['_', '-', '.', ' ']).next().unwrap_or("");
    match last {
        "id" => {
            let stem = words.trim_end_matches("id").trim_matches(['_', '-', '.', ' ']);
            let stem = if stem.is_empty() { "id" } else { stem };
            Some(format!("{stem}_{:04}", 1042 + pick))
        }
        "email" => Some(format!(
            "ada{}@example.com",
            if pick == 0 { String::new() } else { pick.to_string() }
        )),
        "url" | "uri" | "href" | "link" => Some(format!("https://example.com/{}", pick + 1)),
        "name" if words.ends_with("first_name") => Some(numbered("Ada")),
        "name" if words.ends_with("last_name") => Some(numbered("Lovelace")),
        "currency" => Some(["EUR", "USD", "GBP", "JPY"][pick % 4].to_owned()),
        "country" => Some(["NL", "DE", "US", "JP"][pick % 4].to_owned()),
        "locale" | "language" => Some(["en", "de", "nl", "ja"][pick % 4].to_owned()),
        "phone" => Some(format!("+3120555{:04}", 100 + pick)),
        "description" | "message" | "comment" | "note" | "text" => Some(numbered("A short text")),
        "at" | "timestamp" => Some(format!("2026-01-{:02}T12:00:00Z", pick % 28 + 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_kept() {
        for least in [0, 1, 2, 5, 6, 7, 30, 70, 300] {
            for most in [None, Some(least), Some(least + 1), Some(least + 40)] {
                for name in ["", "id", "customerId", "email"] {
                    let rules = TextRules { least, most, ..TextRules::default() };
                    let text = rules.make(name, 0, &mut |_, _| true).unwrap();
                    assert!(rules.fits(&text), "{rules:?} {text}");
                }
            }
        }
        let twisted = TextRules { least: 4, most: Some(3), ..TextRules::default() };
        assert!(twisted.make("", 0, &mut |_, _| true).is_err());
        let huge = TextRules { least: u64::MAX, ..TextRules::default() };
        assert!(huge.make("", 0, &mut |_, _| true).is_err());
    }

    #[test]
    fn picks_differ() {
        for formats in [
            vec![],
            vec!["date"],
            vec!["email"],
            vec!["uuid"],
            vec!["ipv4"],
            vec!["uri"],
            vec!["date-time"],
        ] {
            let rules = TextRules { formats, ..TextRules::default() };
            let mut texts: Vec<String> =
                (0..40).map(|pick| rules.make("", pick, &mut |_, _| true).unwrap()).collect();
            texts.sort_unstable();
            texts.dedup();
            assert_eq!(texts.len(), 40, "{rules:?}");
        }
    }

    #[test]
    fn names_suggest_values() {
        let make = |name| TextRules::default().make(name, 0, &mut |_, _| true).unwrap();
        assert_eq!(make("invoiceId"), "invoice_1042");
        assert_eq!(make("id"), "id_1042");
        assert_eq!(make("currency"), "EUR");
        assert_eq!(make("created_at"), "2026-01-01T12:00:00Z");
        assert_eq!(make("colour"), "example");
    }
}

//! The kinds of values a setting can have, and how each is written.
//!
//! Invariant: what [`Scalar::text`] writes, [`Scalar::parse`] reads back to the same value.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use becket_egress::policy::AddressPolicy;
use becket_model::Rate;
use becket_signature::Place;
use ipnet::{IpNet, Ipv6Net};
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::reader::Reader;
use super::value::Scalar;

impl Scalar for String {
    const WORDS: &'static str = "text";

    fn stand_in() -> Option<Self> {
        Some(Self::new())
    }

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn text(&self) -> String {
        self.clone()
    }
}

impl Scalar for bool {
    const WORDS: &'static str = "truth value";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" => Ok(false),
            _ => Err(format!("`{text}` is neither true nor false")),
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn node_text<'a>(node: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
        node.as_bool().map(|value| Cow::Borrowed(if value { "true" } else { "false" }))
    }

    fn json_schema() -> Json {
        json!({ "type": "boolean" })
    }

    fn json(&self) -> Json {
        json!(self)
    }
}

fn integer_text<'a>(node: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
    let integer = node.as_integer()?;
    if integer.radix() == 10 {
        return Some(Cow::Borrowed(integer.as_str()));
    }
    let value = i128::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    Some(Cow::Owned(value.to_string()))
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Scalar for $type {
            const WORDS: &'static str = "whole number";

            fn parse(text: &str) -> Result<Self, String> {
                text.trim_start_matches('+').parse().map_err(|_| {
                    format!("`{text}` is not a whole number from {} to {}", <$type>::MIN, <$type>::MAX)
                })
            }

            fn text(&self) -> String {
                self.to_string()
            }

            fn node_text<'a>(node: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
                integer_text(node)
            }

            fn json_schema() -> Json {
                json!({ "type": "integer", "minimum": <$type>::MIN })
            }

            fn json(&self) -> Json {
                json!(self)
            }
        }
    )*};
}

integer!(u16, u32, u64);

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Scalar for Duration {
    const WORDS: &'static str = "duration";

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a duration; write it like `250ms`, `10s`, `5m`, `72h` or `30d`"
            )
        };
        let mut rest = text.trim();
        let mut total_ms: u64 = 0;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, after) = after.split_at(letters);
            let number: u64 = number.parse().map_err(|_| wrong())?;
            let (_, scale) =
                DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
            let part = number.checked_mul(*scale).ok_or_else(wrong)?;
            total_ms = total_ms.checked_add(part).ok_or_else(wrong)?;
            rest = after;
        }
        Ok(Self::from_millis(total_ms))
    }

    fn text(&self) -> String {
        let total_ms = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let (name, scale) = DURATION_UNITS
            .iter()
            .rev()
            .find(|(_, scale)| total_ms > 0 && total_ms.is_multiple_of(*scale))
            .unwrap_or(&DURATION_UNITS[1]);
        format!("{}{name}", total_ms / scale)
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$" })
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const SIZE_UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

impl Scalar for ByteSize {
    const WORDS: &'static str = "size";

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size; write it like `64KiB`, `5MiB` or `20GiB`");
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.trim_start();
        let (_, scale) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        number.checked_mul(*scale).map(ByteSize).ok_or_else(wrong)
    }

    fn text(&self) -> String {
        let (name, scale) = [SIZE_UNITS[8], SIZE_UNITS[6], SIZE_UNITS[4]]
            .into_iter()
            .find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale))
            .unwrap_or(SIZE_UNITS[1]);
        format!("{}{name}", self.0 / scale)
    }

    fn node_text<'a>(node: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
        node.as_str().map(Cow::Borrowed).or_else(|| integer_text(node))
    }

    fn json_schema() -> Json {
        json!({ "anyOf": [
            { "type": "string", "pattern": "^[0-9]+ ?(B|[kK]B|KiB|MB|MiB|GB|GiB)?$" },
            { "type": "integer", "minimum": 0 },
        ] })
    }
}

impl Scalar for Rate {
    const WORDS: &'static str = "rate";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]+/(s|sec|second|m|min|minute|h|hour)$" })
    }
}

impl Scalar for SocketAddr {
    const WORDS: &'static str = "address and port";

    fn parse(text: &str) -> Result<Self, String> {
        let local = text.replacen("localhost:", "127.0.0.1:", 1);
        local.parse().map_err(|_| {
            format!(
                "`{text}` is not an address and port; write it like `127.0.0.1:8080` or `[::]:8080`"
            )
        })
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Scalar for IpNet {
    const WORDS: &'static str = "network";

    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::from(address));
        }
        let network: Self = text.parse().map_err(|_| {
            format!(
                "`{text}` is not a network; write it like `10.0.0.0/8`, `fd00::/8` or `192.0.2.7`"
            )
        })?;
        if network.trunc() != network {
            let meant = network.trunc();
            return Err(format!("`{text}` has bits beyond its prefix; write `{meant}`"));
        }
        Ok(network)
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Scalar for Ipv6Net {
    const WORDS: &'static str = "IPv6 network";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("`{text}` is not an IPv6 network; write it like `64:ff9b::/96`"))
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// An http or https URL, kept byte for byte as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// The URL as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it begins with `https://`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
    }
}

impl Scalar for HttpUrl {
    const WORDS: &'static str = "HTTP URL";

    fn stand_in() -> Option<Self> {
        Some(Self("http://unknown.invalid/".to_owned()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        match AddressPolicy::operator().check_url(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            // The text is not repeated when there is a password in it.
            Err(refused) if refused.code() == "url_credentials" => Err(refused.to_string()),
            Err(refused) => Err(format!("`{text}` cannot be used: {refused}")),
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://" })
    }
}

impl Scalar for PathBuf {
    const WORDS: &'static str = "path";

    fn stand_in() -> Option<Self> {
        Some(Self::new())
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a path cannot be empty".to_owned());
        }
        Ok(Self::from(text))
    }

    fn text(&self) -> String {
        self.display().to_string()
    }

    fn based(self, reader: &Reader<'_>) -> Self {
        if reader.base == Path::new("") { self } else { reader.base.join(self) }
    }
}

impl Scalar for Place {
    const WORDS: &'static str = "place";

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|message| format!("not a place in a request: {message}"))
    }

    fn text(&self) -> String {
        String::from(self.clone())
    }
}

/// A value of a provider's parameter: a text, or a number or truth value written as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter(pub String);

impl Scalar for Parameter {
    const WORDS: &'static str = "text or number";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    fn text(&self) -> String {
        self.0.clone()
    }

    fn node_text<'a>(node: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
        String::node_text(node).or_else(|| bool::node_text(node)).or_else(|| integer_text(node))
    }

    fn json_schema() -> Json {
        json!({ "type": ["string", "integer", "boolean"] })
    }
}

/// An HTTP method in capital letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method(String);

impl Method {
    /// The method in capital letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scalar for Method {
    const WORDS: &'static str = "HTTP method";

    fn parse(text: &str) -> Result<Self, String> {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = text.to_ascii_uppercase();
        if known.contains(&method.as_str()) {
            Ok(Self(method))
        } else {
            Err(format!("`{text}` is not a method; use {}", known.join(", ")))
        }
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident ($words:literal) {
            $( $(#[doc = $case_doc:literal])* $case:ident = $text:literal ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $( $(#[doc = $case_doc])* $case, )*
        }

        impl $name {
            /// The word that is written in the file.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$case => $text, )*
                }
            }
        }

        impl Scalar for $name {
            const WORDS: &'static str = $words;

            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $( $text => Ok(Self::$case), )*
                    _ => Err(format!("`{text}` is not possible here; use {}", [$($text),*].join(", "))),
                }
            }

            fn text(&self) -> String {
                self.as_str().to_owned()
            }

            fn json_schema() -> Json {
                json!({ "enum": [$($text),*] })
            }
        }
    };
}

choice! {
    /// How log lines look.
    pub enum LogFormat ("log format") {
        /// For people on a terminal, as JSON otherwise.
        Auto = "auto",
        /// For people.
        Human = "human",
        /// One JSON object in each line.
        Json = "json",
    }
}

choice! {
    /// The least important lines that are logged.
    pub enum LogLevel ("log level") {
        /// What needs somebody's attention now.
        Error = "error",
        /// What needs attention some time.
        Warn = "warn",
        /// One line for each request and each attempt.
        Info = "info",
        /// What the gateway decides, and why.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choice! {
    /// What becomes of a request that cannot be verified.
    pub enum Verification ("word") {
        /// It is refused and kept among the refused requests.
        Enforce = "enforce",
        /// It is accepted and delivered all the same; what verification found is noted on the event.
        Observe = "observe",
    }
}

choice! {
    /// What happens to an event whose body breaks the source's rules.
    pub enum OnInvalid ("word") {
        /// It is answered with `invalid_status` and kept among the refused requests.
        Reject = "reject",
        /// It is accepted, marked as invalid, and delivered.
        Accept = "accept",
    }
}

pub(super) use choice;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_back_as_they_are_written() {
        for (text, ms) in
            [("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("72h", 259_200_000), ("0s", 0)]
        {
            let duration = Duration::parse(text).unwrap();
            assert_eq!(duration.as_millis(), ms, "{text}");
            assert_eq!(Duration::parse(&duration.text()).unwrap(), duration, "{text}");
        }
        assert_eq!(Duration::parse("1h30m").unwrap().text(), "90m");
        assert_eq!(Duration::parse("72h").unwrap().text(), "3d");
        for wrong in ["", "10", "s", "-1s", "1.5s", "10 s", "1w", "18446744073709551615d"] {
            assert!(Duration::parse(wrong).is_err(), "{wrong}");
        }
        for (text, bytes, canonical) in [
            ("5MiB", 5 << 20, "5MiB"),
            ("64 KiB", 64 << 10, "64KiB"),
            ("2kB", 2_000, "2000B"),
            ("0", 0, "0B"),
            ("20GiB", 20 << 30, "20GiB"),
        ] {
            let size = ByteSize::parse(text).unwrap();
            assert_eq!((size.0, size.text().as_str()), (bytes, canonical), "{text}");
        }
        for wrong in ["", "MiB", "-1", "5mib", "1.5MiB", "99999999999GiB"] {
            assert!(ByteSize::parse(wrong).is_err(), "{wrong}");
        }
    }
}

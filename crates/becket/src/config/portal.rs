//! `[portal]`: the page that customers see, and who may frame it.
//!
//! Invariant: an origin is written into a header, so nothing gets through that could mean more there
//! than one origin.
//!
//! Deliberately absent: who may look at what; that is the portal's tokens.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::Config;
use super::kinds::{HttpUrl, choice};
use super::problem::{Problem, Severity};
use super::reader::Reader;
use super::table::table;
use super::value::Scalar;

/// The largest logo, in bytes.
pub const LOGO_BYTES_MAX: u64 = 256 * 1024;
const NAME_CHARACTERS_MAX: usize = 100;

table! {
    /// The page at `/portal/` on which your customers manage their own endpoints.
    pub struct Portal {
        /// Its title.
        name: String = "Webhooks",
        /// A picture beside the title: SVG, PNG, WebP or JPEG, of at most 256 KiB.
        logo: Option<std::path::PathBuf>,
        /// The colour of buttons and links, as `#rrggbb`.
        color: Color = "#1864ab",
        /// `light`, `dark`, or `auto` for what the reader's system has.
        color_scheme: ColorScheme = "auto",
        /// The origins whose pages may show the portal in a frame, such as
        /// `https://app.example.com`; none if empty.
        frame_origins: Vec<WebOrigin>,
        /// Where a customer finds help.
        support_url: Option<HttpUrl>,
    }
}

choice! {
    /// Whether a page is light or dark.
    pub enum ColorScheme ("colour scheme") {
        /// As the reader's system is.
        Auto = "auto",
        /// Dark on light.
        Light = "light",
        /// Light on dark.
        Dark = "dark",
    }
}

/// A colour, `#rrggbb` in small letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Color(String);

impl Color {
    /// Such as `#1864ab`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scalar for Color {
    const WORDS: &'static str = "colour";

    fn parse(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix('#').unwrap_or_default();
        if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(format!("`{text}` is not a colour; write it like `#1864ab`"))
    }

    fn text(&self) -> String {
        self.0.clone()
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "pattern": "^#[0-9a-fA-F]{6}$" })
    }
}

/// Scheme, host and port of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// Such as `https://app.example.com`, in small letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scalar for WebOrigin {
    const WORDS: &'static str = "origin";

    fn parse(text: &str) -> Result<Self, String> {
        let example = "write it like `https://app.example.com` or `http://localhost:3000`";
        let lower = text.to_ascii_lowercase();
        let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
        let Some(rest) = rest else {
            return Err(format!("`{text}` is not an origin of web pages; {example}"));
        };
        if rest.contains('*') {
            return Err(format!("`{text}` stands for many origins; name each one"));
        }
        if rest.contains(['/', '?', '#']) {
            return Err(format!(
                "`{text}` is more than an origin: leave out what follows the host"
            ));
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let host_fits = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(named),
        };
        let port_fits = port.is_none_or(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if host_fits && port_fits {
            return Ok(Self(lower));
        }
        Err(format!("`{text}` is not an origin of web pages; {example}"))
    }

    fn text(&self) -> String {
        self.0.clone()
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://[^/?#*]+$" })
    }
}

/// Checks the section, and has the logo's file watched.
pub(super) fn check(reader: &mut Reader<'_>, config: &Config) {
    let portal = &config.portal;
    if let Some(logo) = &portal.logo {
        reader.files.insert(logo.clone());
    }
    if portal.name.trim().is_empty() || portal.name.chars().count() > NAME_CHARACTERS_MAX {
        let message = format!("`portal.name` has 1 to {NAME_CHARACTERS_MAX} characters");
        reader.report(Severity::Error, "wrong_value", &["portal.name"], message, None);
    }
}

/// A picture, with the content type that its bytes show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// `image/svg+xml`, `image/png`, `image/webp` or `image/jpeg`.
    pub content_type: &'static str,
}

impl Logo {
    /// Reads a picture.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub fn read(file: &Path) -> Result<Self, String> {
        use std::io::Read as _;
        let failed = |why: String| format!("the logo {} cannot be used: {why}", file.display());
        let open = std::fs::File::open(file).map_err(|error| failed(error.to_string()))?;
        let mut bytes = Vec::new();
        open.take(LOGO_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| failed(error.to_string()))?;
        if bytes.len() as u64 > LOGO_BYTES_MAX {
            return Err(failed("it has more than 256 KiB".to_owned()));
        }
        match picture_type(&bytes) {
            Some(content_type) => Ok(Self { bytes, content_type }),
            None => Err(failed("it is neither SVG nor PNG, WebP or JPEG".to_owned())),
        }
    }
}

/// What the bytes are, whatever the file is called.
fn picture_type(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some("image/png");
    }
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return Some("image/jpeg");
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Some("image/webp");
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let drawn = text.starts_with("<svg")
        || ((text.starts_with("<?xml") || text.starts_with("<!--")) && text.contains("<svg"));
    drawn.then_some("image/svg+xml")
}

/// What is wrong with files that the pages are made from.
#[must_use]
pub fn check_pages(config: &Config) -> Vec<Problem> {
    let logo = config.portal.logo.as_deref().and_then(|file| Logo::read(file).err());
    let logo = logo.map(|problem| format!("portal.logo: {problem}"));
    let folder = config.dashboard.dir.as_deref();
    let folder = folder.and_then(|folder| becket_dashboard::Site::folder(folder).err());
    let folder = folder.map(|error| format!("dashboard.dir: {error}"));
    let hint = "build it with `make dashboard`, which makes `dashboard/dist`";
    [
        ("portal.logo", "logo_unusable", logo, None),
        ("dashboard.dir", "dashboard_unusable", folder, Some(hint)),
    ]
    .into_iter()
    .filter_map(|(key, code, message, hint)| {
        Some(Problem {
            severity: Severity::Error,
            code,
            key: key.to_owned(),
            message: message?,
            hint: hint.map(str::to_owned),
            file: None,
            place: None,
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        for (text, kept) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.com:8443", "https://app.example.com:8443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(WebOrigin::parse(text).unwrap().as_str(), kept);
        }
        for text in [
            "",
            "app.example.com",
            "https://",
            "https://*.example.com",
            "https://a.example/",
            "https://a.example; script-src *",
            "https://a.example https://b.example",
            "https://a.example,b",
            "https://user@a.example",
            "https://a.example:0",
            "https://a.example:+80",
            "https://a.example:99999",
            "https://[::1",
            "https://[zz]",
            "ftp://a.example",
            "data:text/html",
            "'self'",
            "https://a\r\nx: y",
        ] {
            assert!(WebOrigin::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn colours() {
        assert_eq!(Color::parse("#AB12cd").unwrap().text(), "#ab12cd");
        for text in ["", "red", "#fff", "#12345g", "#1234567", "123456", "#12345é"] {
            assert!(Color::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn pictures_are_known_by_their_bytes() {
        for (bytes, expected) in [
            (b"\x89PNG\r\n\x1a\n...".as_slice(), Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\x10\0\0\0WAVE", None),
            (b" <svg xmlns=''/>", Some("image/svg+xml")),
            (b"<?xml version='1.0'?>\n<svg/>", Some("image/svg+xml")),
            (b"<!-- drawn --><svg/>", Some("image/svg+xml")),
            (b"<html><svg/></html>", None),
            (b"<?xml version='1.0'?><html/>", None),
            (b"GIF89a", None),
            (b"", None),
        ] {
            assert_eq!(picture_type(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}

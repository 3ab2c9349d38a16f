//! One URL, parsed once: the raw text is screened before the parser sees it, and only what the
//! parser made of it is used afterwards.
//!
//! The WHATWG parser is lenient on purpose: it strips tabs and newlines, reads backslashes as
//! slashes, and accepts `http:host`. Other parsers read the same text differently, and that
//! difference is how a checked URL becomes an unchecked one. So every such text is refused outright.

use std::fmt;
use std::net::IpAddr;

use http::HeaderValue;
use http::uri::PathAndQuery;
use url::{Host, Url};

/// Longest URL accepted, in bytes.
const MAX_URL_BYTES: usize = 8 * 1024;
/// Longest host name in the DNS, in bytes, without the final dot.
const MAX_NAME_BYTES: usize = 253;

/// Names that mean "inside" wherever they are resolved. Each matches itself and all names below it.
const INTERNAL_SUFFIXES: [&str; 12] = [
    "localhost",
    "localdomain",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "local",
    "svc",
    "home.arpa",
    "in-addr.arpa",
];

/// Why a URL is refused. The texts of all refusals that depend on where a target leads are one and
/// the same, so that an endpoint's owner cannot use them to look around inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetRefused {
    /// More than 8 KiB.
    TooLong,
    /// A control character or white space in the text.
    ControlCharacter,
    /// A backslash, which parsers disagree on.
    Backslash,
    /// Neither `http://` nor `https://` at the beginning.
    SchemeNotAllowed,
    /// A user name, a password, or an `@` before the path.
    UserInfo,
    /// A fragment, which is never sent.
    Fragment,
    /// Not a URL, or one that parsers disagree on.
    Malformed,
    /// A port that may not be reached.
    PortNotAllowed,
    /// A name that means the inside of a network.
    InternalName,
    /// A literal address that may not be reached.
    AddressNotAllowed,
    /// The gateway's own public host.
    OwnHost,
}

impl TargetRefused {
    /// The stable code. For the operator: blocked targets are told apart here and nowhere else.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "url_too_long",
            Self::ControlCharacter => "url_control_character",
            Self::Backslash => "url_backslash",
            Self::SchemeNotAllowed => "url_scheme_not_allowed",
            Self::UserInfo => "url_credentials",
            Self::Fragment => "url_fragment",
            Self::Malformed => "url_malformed",
            Self::PortNotAllowed => "url_port_not_allowed",
            Self::InternalName => "url_internal_name",
            Self::AddressNotAllowed => "url_address_not_allowed",
            Self::OwnHost => "url_own_host",
        }
    }

    /// What may be shown to whoever wrote the URL: uniform for blocked targets.
    pub const fn public_text(self) -> &'static str {
        match self {
            Self::TooLong => "The URL is longer than 8 KiB; shorten it.",
            Self::ControlCharacter => {
                "The URL has white space or a control character in it; remove or percent-encode it."
            }
            Self::Backslash => "The URL has a backslash in it; use / or %5C.",
            Self::SchemeNotAllowed => "The URL must begin with http:// or https://.",
            Self::UserInfo => {
                "The URL has a user name or password in it; send credentials in a header."
            }
            Self::Fragment => "The URL has a fragment (#), which is never sent; remove it.",
            Self::Malformed => "The URL is malformed.",
            Self::PortNotAllowed | Self::InternalName | Self::AddressNotAllowed => {
                "The URL leads to a place that is not allowed; use a publicly reachable address."
            }
            Self::OwnHost => "The URL leads back to this gateway.",
        }
    }

    /// The code that goes with [`public_text`](Self::public_text): `url_blocked` for every refusal
    /// that depends on where the target leads.
    pub const fn public_code(self) -> &'static str {
        match self {
            Self::PortNotAllowed | Self::InternalName | Self::AddressNotAllowed => "url_blocked",
            other => other.code(),
        }
    }
}

impl fmt::Display for TargetRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.public_text())
    }
}

impl std::error::Error for TargetRefused {}

/// The host of a target: a name still to be resolved, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TargetHost {
    /// A name in ASCII, lower case, perhaps with a final dot.
    Name(String),
    /// A literal address. IPv4-mapped IPv6 is already IPv4.
    Address(IpAddr),
}

impl fmt::Display for TargetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// A checked URL: all that dialling and sending need, and nothing that has to be parsed again.
/// `Debug` leaves out the query, `Display` does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    https: bool,
    host: TargetHost,
    port: u16,
    path_and_query: PathAndQuery,
    host_header: HeaderValue,
}

impl Target {
    /// Parses a URL without asking a policy. Only policies do this, and check the result.
    pub(super) fn parse(raw: &str) -> Result<Self, TargetRefused> {
        screen(raw)?;
        let url = Url::parse(raw).map_err(|_| TargetRefused::Malformed)?;
        let https = url.scheme() == "https";
        let host = match url.host() {
            Some(Host::Domain(name)) => TargetHost::Name(checked_name(name)?),
            Some(Host::Ipv4(v4)) => TargetHost::Address(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => TargetHost::Address(IpAddr::V6(v6).to_canonical()),
            None => return Err(TargetRefused::Malformed),
        };
        let port = url.port_or_known_default().unwrap_or(0);
        let path_and_query = match url.query() {
            Some(query) => PathAndQuery::try_from(format!("{}?{query}", url.path())),
            None => PathAndQuery::try_from(url.path()),
        }
        .map_err(|_| TargetRefused::Malformed)?;
        let host_text = url.host_str().unwrap_or_default();
        let host_header = match url.port() {
            Some(port) => HeaderValue::try_from(format!("{host_text}:{port}")),
            None => HeaderValue::from_str(host_text),
        }
        .map_err(|_| TargetRefused::Malformed)?;
        Ok(Self { https, host, port, path_and_query, host_header })
    }

    /// Whether TLS is spoken.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// The host to resolve or dial.
    pub fn host(&self) -> &TargetHost {
        &self.host
    }

    /// The TCP port, explicit or the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What goes on the request line.
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.path_and_query
    }

    /// The value of the `Host` header: host, and port if it is not the scheme's own.
    pub fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// Scheme, host and port the same: a connection to one serves the other.
    pub fn same_server(&self, other: &Self) -> bool {
        self.https == other.https && self.port == other.port && self.host == other.host
    }

    /// The URL without its query, for logs: queries may hold secrets.
    pub fn without_query(&self) -> String {
        let host = self.host_header.to_str().unwrap_or_default();
        format!("{}://{host}{}", self.scheme(), self.path_and_query.path())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.without_query())
    }
}

/// The URL as it is sent, query included: for showing to the endpoint's owner, not for logs.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host_header.to_str().map_err(|_| fmt::Error)?;
        write!(f, "{}://{host}{}", self.scheme(), self.path_and_query)
    }
}

/// Refuses raw text that parsers read differently, before any parser sees it.
fn screen(raw: &str) -> Result<(), TargetRefused> {
    if raw.len() > MAX_URL_BYTES {
        return Err(TargetRefused::TooLong);
    }
    if raw.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(TargetRefused::ControlCharacter);
    }
    let scheme_len = raw.find(':').ok_or(TargetRefused::SchemeNotAllowed)?;
    let scheme = &raw[..scheme_len];
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(TargetRefused::SchemeNotAllowed);
    }
    if raw.contains('\\') {
        return Err(TargetRefused::Backslash);
    }
    let rest = raw[scheme_len..].strip_prefix("://").ok_or(TargetRefused::Malformed)?;
    let authority_len = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..authority_len];
    if authority.contains('@') {
        return Err(TargetRefused::UserInfo);
    }
    // An empty authority is `http:///host`; a percent sign is an encoded host or an IPv6 zone.
    if authority.is_empty() || authority.contains('%') {
        return Err(TargetRefused::Malformed);
    }
    if rest.contains('#') {
        return Err(TargetRefused::Fragment);
    }
    Ok(())
}

/// The parser allows more in a name than the DNS does: empty labels, and any length.
fn checked_name(name: &str) -> Result<String, TargetRefused> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let labels_fit = bare.split('.').all(|label| !label.is_empty() && label.len() <= 63);
    if bare.len() > MAX_NAME_BYTES || !labels_fit {
        return Err(TargetRefused::Malformed);
    }
    Ok(name.to_owned())
}

/// A host in the form in which hosts are compared: lower case, no brackets, no final dot.
pub(super) fn comparable_name(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

/// Whether a name can only mean something inside a network: one label, or an internal suffix.
pub(super) fn is_internal_name(name: &str) -> bool {
    let name = comparable_name(name);
    if !name.contains('.') {
        return true;
    }
    INTERNAL_SUFFIXES.iter().any(|suffix| {
        name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

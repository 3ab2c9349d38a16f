//! Cookies: under which name and with which attributes, and that another site's page cannot use them.
//!
//! Invariants: over HTTPS every cookie is `__Host-`, `Secure` and `HttpOnly`, so that neither a
//! script nor a neighbouring host can read or plant it; over plain HTTP there is one only between a
//! browser and a gateway on the same machine; a call with the cookie that changes something names its
//! origin and carries a header that no form can send.
//!
//! Deliberately absent: what the values mean (`sessions`).

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::call::Shared;
use crate::problem::{ApiError, Result};
use crate::routes::Route;

/// The header that a page of ours sends and a form of another site cannot.
const OURS: HeaderName = HeaderName::from_static("x-becket-session");

/// How a request came, set as a request extension by whoever accepts connections. Without it a
/// request counts as plain HTTP from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrival {
    /// Whether it came over HTTPS, up to here or up to a proxy that is trusted.
    pub encrypted: bool,
    /// Whether it came from this machine, with no proxy in between.
    pub local: bool,
}

/// By which way a browser reaches the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Https,
    /// Plain HTTP on one machine.
    Loopback,
    /// Plain HTTP from elsewhere: no cookies.
    Plain,
}

impl Way {
    /// How a request came. A gateway whose public URL is HTTPS, asked under that name, is behind a
    /// proxy that ends TLS.
    pub fn of(shared: &Shared, headers: &HeaderMap, arrival: Option<Arrival>) -> Self {
        let arrival = arrival.unwrap_or_default();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        if arrival.encrypted {
            return Self::Https;
        }
        let public = shared.api.directory.public_url();
        let named = public.strip_prefix("https://").and_then(|rest| rest.split('/').next());
        if named.is_some_and(|named| named.eq_ignore_ascii_case(host)) {
            return Self::Https;
        }
        if arrival.local && is_loopback_name(host) { Self::Loopback } else { Self::Plain }
    }

    const fn scheme(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Loopback | Self::Plain => "http",
        }
    }
}

/// Whether a Host header names this machine; any other name could be somebody else's, who points it
/// at loopback.
fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => return rest.split(']').next() == Some("::1"),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// A cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// Somebody is signed in.
    Session,
    /// Somebody has gone to sign in at another place and will come back.
    SignIn,
}

impl Cookie {
    const fn name(self, way: Way) -> &'static str {
        match (self, way) {
            (Self::Session, Way::Https) => "__Host-becket-session",
            (Self::Session, Way::Loopback | Way::Plain) => "becket-session",
            (Self::SignIn, Way::Https) => "__Host-becket-sign-in",
            (Self::SignIn, Way::Loopback | Way::Plain) => "becket-sign-in",
        }
    }

    /// Its value in a request; `None` if it is missing, or there twice with different values.
    pub fn read(self, headers: &HeaderMap, way: Way) -> Option<&str> {
        if way == Way::Plain {
            return None;
        }
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut values = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.name(way)).then_some(value)
        });
        let first = values.next()?;
        values.all(|other| other == first).then_some(first)
    }

    /// Whether a request has any, of whatever worth.
    pub fn is_in(self, headers: &HeaderMap) -> bool {
        self.read(headers, Way::Https).or_else(|| self.read(headers, Way::Loopback)).is_some()
    }

    /// The header that sets it for so many seconds; 0 takes it away.
    ///
    /// # Errors
    /// Over plain HTTP from elsewhere.
    pub fn set(self, value: &str, seconds: u64, way: Way) -> Result<HeaderValue> {
        let secure = match way {
            Way::Https => "; Secure",
            Way::Loopback => "",
            Way::Plain => return Err(needs_https()),
        };
        // Who comes back from another site brings only what is Lax along.
        let site = match self {
            Self::Session => "Strict",
            Self::SignIn => "Lax",
        };
        let name = self.name(way);
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={site}{secure}");
        HeaderValue::from_str(&text).map_err(|_| {
            ApiError::new("event_damaged", format!("the cookie `{name}` cannot be written"))
        })
    }
}

/// Refuses plain HTTP from elsewhere.
pub(crate) fn needs_https() -> ApiError {
    ApiError::new("session_needs_https", "over plain HTTP only a browser on this machine can sign in")
        .hint("use HTTPS: `[server.tls]`, `[server.acme]`, or a proxy together with `server.public_url` or `server.trusted_proxies`; or `http://localhost` through a tunnel")
}

/// Refuses what another site's page could have made a browser send: a call with a cookie.
pub(crate) fn check_site(
    shared: &Shared,
    method: &Method,
    route: &Route,
    headers: &HeaderMap,
    way: Way,
) -> Result<()> {
    let looks = route.reads && matches!(*method, Method::GET | Method::HEAD);
    if looks {
        // A script of a neighbouring host may not even ask; typing an address is `none`.
        return match text(headers, &HeaderName::from_static("sec-fetch-site")) {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) => Err(cross_site("it comes from another site")),
        };
    }
    if headers.get(&OURS).is_none_or(|value| value != "1") {
        return Err(cross_site("the header `X-Becket-Session: 1` is missing"));
    }
    match from_our_page(shared, headers, way) {
        Some(true) => Ok(()),
        Some(false) => Err(cross_site("it comes from another site")),
        None => Err(cross_site("it names no origin")),
    }
}

/// Refuses a sign-in that another site's page makes a browser do; who is no browser says nothing.
pub(crate) fn check_sign_in(shared: &Shared, headers: &HeaderMap, way: Way) -> Result<()> {
    match from_our_page(shared, headers, way) {
        Some(false) => Err(cross_site("it comes from another site")),
        Some(true) | None => Ok(()),
    }
}

fn cross_site(why: &str) -> ApiError {
    ApiError::new("cross_site", format!("the call was not made by a page of this gateway: {why}"))
        .hint("scripts use a token: `Authorization: Bearer TOKEN`")
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"))
}

/// Whether a page of ours sent this, as far as the browser says; browsers say it in headers that no
/// page can write.
fn from_our_page(shared: &Shared, headers: &HeaderMap, way: Way) -> Option<bool> {
    if let Some(site) = text(headers, &HeaderName::from_static("sec-fetch-site")) {
        return Some(site == "same-origin");
    }
    let origin = text(headers, &header::ORIGIN)?;
    let host = text(headers, &header::HOST).unwrap_or("");
    let public = shared.api.directory.public_url();
    let public_origin = public.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    Some(
        origin.eq_ignore_ascii_case(&format!("{}://{host}", way.scheme()))
            || origin.eq_ignore_ascii_case(&public_origin),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        headers
    }

    #[test]
    fn cookies_are_read_by_their_whole_name() {
        let headers = with("a=b; __Host-becket-session=one; becket-session=two");
        assert_eq!(Cookie::Session.read(&headers, Way::Https), Some("one"));
        assert_eq!(Cookie::Session.read(&headers, Way::Loopback), Some("two"));
        assert_eq!(Cookie::Session.read(&headers, Way::Plain), None);
        assert_eq!(Cookie::SignIn.read(&headers, Way::Https), None);
        // Somebody has planted another one beside it.
        let twice = with("becket-session=one; becket-session=two");
        assert_eq!(Cookie::Session.read(&twice, Way::Loopback), None);
    }

    #[test]
    fn cookies_are_set_as_strictly_as_they_can_be() {
        let set = |cookie: Cookie, way| cookie.set("v", 60, way).unwrap();
        assert_eq!(
            set(Cookie::Session, Way::Https),
            "__Host-becket-session=v; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(
            set(Cookie::SignIn, Way::Loopback),
            "becket-sign-in=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
        );
        let refused = Cookie::Session.set("v", 60, Way::Plain).unwrap_err();
        assert_eq!(refused.code(), "session_needs_https");
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for good in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:8080"] {
            assert!(is_loopback_name(good), "{good}");
        }
        for bad in ["", "localhost.example.com", "10.0.0.1:80", "[::2]", "127.0.0.1.nip.io"] {
            assert!(!is_loopback_name(bad), "{bad}");
        }
    }
}

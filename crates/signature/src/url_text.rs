//! Taking public URLs apart as text, because senders sign bytes and not meanings.
//!
//! Invariant: nothing here escapes, unescapes, lower-cases or reorders, except the variant that says so.

use std::borrow::Cow;

use crate::scheme::UrlVariant;

/// The query without its question mark.
pub(crate) fn query(url: &str) -> Option<&str> {
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    url.split_once('?').map(|(_, query)| query)
}

/// The URL without query and fragment.
pub(crate) fn without_query(url: &str) -> &str {
    url.find(['?', '#']).map_or(url, |end| &url[..end])
}

/// The path without query and fragment; the whole text when it has no host.
pub(crate) fn path(url: &str) -> &str {
    let url = without_query(url);
    match url.find("://") {
        Some(position) => {
            let after = &url[position + 3..];
            after.find('/').map_or("", |start| &after[start..])
        }
        None => url,
    }
}

/// The path with its query.
pub(crate) fn path_query(url: &str) -> &str {
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    match url.find("://") {
        Some(position) => {
            let after = &url[position + 3..];
            after.find(['/', '?']).map_or("", |start| &after[start..])
        }
        None => url,
    }
}

/// The host with its port, if it has one.
pub(crate) fn host(url: &str) -> Option<&str> {
    let (_, after) = url.split_once("://")?;
    let authority = after.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then_some(host)
}

/// The URL that the sender signed: the registered one with the query of this request.
pub(crate) fn registered<'a>(public_url: Option<&'a str>, request_url: &'a str) -> Cow<'a, str> {
    let Some(public_url) = public_url else {
        return Cow::Borrowed(request_url);
    };
    match query(request_url) {
        None => Cow::Borrowed(public_url),
        Some(query) => Cow::Owned(format!("{}?{query}", without_query(public_url))),
    }
}

/// The URL in one of the forms that senders sign.
pub(crate) fn variant(url: &str, variant: UrlVariant) -> Cow<'_, str> {
    match variant {
        UrlVariant::Exact => Cow::Borrowed(url),
        UrlVariant::WithoutQuery => Cow::Borrowed(without_query(url)),
        UrlVariant::Normalized => {
            url::Url::parse(url).map_or(Cow::Borrowed(url), |parsed| Cow::Owned(parsed.into()))
        }
        UrlVariant::WithDefaultPort => match port(url) {
            Some((host_end, "")) => {
                let secure = url.len() > 5 && url.as_bytes()[..6].eq_ignore_ascii_case(b"https:");
                let default = if secure { ":443" } else { ":80" };
                Cow::Owned([&url[..host_end], default, &url[host_end..]].concat())
            }
            _ => Cow::Borrowed(url),
        },
        UrlVariant::WithoutPort => match port(url) {
            Some((host_end, port)) if !port.is_empty() => {
                Cow::Owned([&url[..host_end], &url[host_end + port.len()..]].concat())
            }
            _ => Cow::Borrowed(url),
        },
    }
}

/// Where the host ends, and the port with its colon (empty if there is none).
fn port(url: &str) -> Option<(usize, &str)> {
    let start = url.find("://")? + 3;
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |length| start + length);
    let authority = &url[start..end];
    let host_start = authority.rfind('@').map_or(0, |position| position + 1);
    // Only a colon behind the bracket of an IPv6 address begins a port.
    let search_from =
        authority.rfind(']').map_or(host_start, |position| position + 1).max(host_start);
    match authority[search_from..].find(':') {
        Some(position) => {
            let host_end = start + search_from + position;
            Some((host_end, &url[host_end..end]))
        }
        None => Some((end, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_and_go() {
        for (url, with, without) in [
            ("https://a.example/x?y=1", "https://a.example:443/x?y=1", "https://a.example/x?y=1"),
            ("http://a.example:80", "http://a.example:80", "http://a.example"),
            ("HTTPS://u:p@a.example?q", "HTTPS://u:p@a.example:443?q", "HTTPS://u:p@a.example?q"),
            ("https://[::1]/x", "https://[::1]:443/x", "https://[::1]/x"),
            ("https://[::1]:8443/x", "https://[::1]:8443/x", "https://[::1]/x"),
            ("/only/path", "/only/path", "/only/path"),
            ("", "", ""),
        ] {
            assert_eq!(variant(url, UrlVariant::WithDefaultPort), with);
            assert_eq!(variant(url, UrlVariant::WithoutPort), without);
        }
    }

    #[test]
    fn parts_and_registered_url() {
        assert_eq!(path("https://a.example/x/y?z#f"), "/x/y");
        assert_eq!(path("https://a.example"), "");
        assert_eq!(path_query("https://a.example/x?y=1#f"), "/x?y=1");
        assert_eq!(path_query("https://a.example"), "");
        assert_eq!(host("https://u@a.example:8443/x@y"), Some("a.example:8443"));
        assert_eq!(host("/x"), None);
        assert_eq!(query("https://a.example/x?a=1&b=%20#f"), Some("a=1&b=%20"));
        assert_eq!(
            registered(Some("https://p.example/in?old=1"), "http://10.0.0.1/in?n=2"),
            "https://p.example/in?n=2"
        );
        assert_eq!(
            registered(Some("https://p.example/in"), "http://10.0.0.1/in"),
            "https://p.example/in"
        );
    }
}

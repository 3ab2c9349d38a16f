//! URLs as they may be registered at the sender instead of the one that is checked.

use std::sync::Arc;

use super::Trials;
use crate::likely_cause::{Finding, LikelyCause, finding};
use crate::request::RequestView;
use crate::scheme::UrlVariant;
use crate::url_text;

/// URLs that are tried at most.
const URLS_MAX: usize = 600;

impl Trials<'_> {
    pub(super) fn url(&self) -> Option<Finding> {
        let registered =
            url_text::registered(self.verifier.public_url.as_deref(), self.request.url);
        let verifier =
            self.lenient(Arc::clone(&self.verifier.entry), &self.verifier.credentials, None)?;
        let found = candidates(&registered, self.request)
            .into_iter()
            .find(|url| self.judge(&verifier, &RequestView { url, ..*self.request }))?;
        Some(finding(
            LikelyCause::WrongUrl,
            format!("The sender signed the URL `{found}`, but `{registered}` was checked."),
            "Set the source's public URL to exactly what is registered at the provider.",
        ))
    }
}

/// Every URL but the checked one, the likely ones first.
fn candidates(registered: &str, request: &RequestView<'_>) -> Vec<String> {
    let Some((scheme, rest)) = registered.split_once("://") else {
        return Vec::new();
    };
    let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path_query) = rest.split_at(host_end);
    let header = |name: &str| {
        let value = request.headers.get(name)?.to_str().ok()?;
        let first = value.split(',').next()?.trim();
        (!first.is_empty() && !first.contains(['/', '?', '#', '@'])).then(|| first.to_owned())
    };
    let mut hosts = vec![authority.to_owned()];
    for name in ["x-forwarded-host", "x-original-host", "host"] {
        hosts.extend(header(name));
    }
    let mut schemes = vec![scheme.to_owned()];
    schemes.extend(header("x-forwarded-proto").filter(|proto| proto.is_ascii()));
    schemes.extend(["https".to_owned(), "http".to_owned()]);
    let mut paths = path_variants(path_query);
    // A proxy in front may take a part of the path away, and say so.
    if let Some(original) = request.headers.get("x-original-uri").and_then(|uri| uri.to_str().ok())
        && original.starts_with('/')
    {
        paths.insert(1, original.to_owned());
    }
    if let Some(prefix) = request.headers.get("x-forwarded-prefix").and_then(|v| v.to_str().ok())
        && prefix.starts_with('/')
    {
        paths.insert(1, format!("{}{path_query}", prefix.trim_end_matches('/')));
    }
    let mut urls: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::from([registered.to_owned()]);
    for path in &paths {
        for host in &hosts {
            for scheme in &schemes {
                let url = format!("{scheme}://{host}{path}");
                let variants = [
                    UrlVariant::Exact,
                    UrlVariant::WithDefaultPort,
                    UrlVariant::WithoutPort,
                    UrlVariant::Normalized,
                ];
                for variant in variants {
                    let url = url_text::variant(&url, variant).into_owned();
                    if urls.len() < URLS_MAX && seen.insert(url.clone()) {
                        urls.push(url);
                    }
                }
            }
        }
    }
    urls
}

/// Path and query, and what becomes of them.
fn path_variants(path_query: &str) -> Vec<String> {
    let base = url_text::without_query(path_query);
    let query = &path_query[base.len()..];
    let toggled = match base.strip_suffix('/') {
        Some(bare) => bare.to_owned(),
        None => format!("{base}/"),
    };
    let mut variants = vec![path_query.to_owned(), format!("{toggled}{query}")];
    if let Some(parameters) = query.strip_prefix('?') {
        let mut sorted: Vec<&str> = parameters.split('&').collect();
        sorted.sort_unstable();
        variants.push(format!("{base}?{}", sorted.join("&")));
        variants.push(base.to_owned());
        variants.push(toggled);
        variants.push(format!("{base}?{}", parameters.replace("%20", "+")));
        variants.push(format!("{base}?{}", parameters.replace('+', "%20")));
    }
    variants.push(percent_case(path_query, true));
    variants.push(percent_case(path_query, false));
    variants
}

/// The text with the letters of its `%xx` in one case.
pub(super) fn percent_case(text: &str, capital: bool) -> String {
    let mut left = 0;
    text.chars()
        .map(|character| {
            if character == '%' {
                left = 2;
                return character;
            }
            let inside = left > 0 && character.is_ascii_hexdigit();
            left = if inside { left - 1 } else { 0 };
            match (inside, capital) {
                (true, true) => character.to_ascii_uppercase(),
                (true, false) => character.to_ascii_lowercase(),
                (false, _) => character,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proxies_do_to_urls_is_undone() {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-forwarded-host", http::HeaderValue::from_static("front.example, b"));
        headers.insert("x-forwarded-proto", http::HeaderValue::from_static("https"));
        let request = RequestView { method: "POST", url: "", headers: &headers, body: b"" };
        let urls = candidates("http://10.0.0.1:8080/in/x?b=%2f&a=1", &request);
        for wanted in [
            "https://front.example/in/x?b=%2f&a=1",
            "http://10.0.0.1/in/x?b=%2f&a=1",
            "https://front.example/in/x/?b=%2f&a=1",
            "https://front.example/in/x?a=1&b=%2f",
            "https://front.example/in/x?b=%2F&a=1",
            "https://front.example:443/in/x",
        ] {
            assert!(urls.iter().any(|url| url == wanted), "{wanted}");
        }
        assert!(!urls.iter().any(|url| url == "http://10.0.0.1:8080/in/x?b=%2f&a=1"));
        assert!(candidates("", &request).is_empty());
    }

    #[test]
    fn only_escapes_change_their_case() {
        assert_eq!(percent_case("/aB%2f%c3%BCx", true), "/aB%2F%C3%BCx");
        assert_eq!(percent_case("/aB%2F%zz%", false), "/aB%2f%zz%");
    }
}

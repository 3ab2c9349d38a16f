//! A browser as far as signing in goes: it keeps cookies for each address, follows redirects when it is
//! told to, and says where its page is from.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Answer, Client};

/// A browser with its cookies.
#[derive(Default)]
pub struct Browser {
    /// By address and name.
    cookies: BTreeMap<(SocketAddr, String), String>,
}

/// Path and query of a URL on loopback, with its address.
pub fn parts(url: &str) -> (SocketAddr, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (host.parse().unwrap_or_else(|error| panic!("{url}: {error}")), format!("/{path}"))
}

/// The value of a parameter in a URL's query, as it is written there.
pub fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).collect()
}

impl Browser {
    /// One request with the cookies of its address; what is set is kept.
    pub fn send(
        &mut self,
        at: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let known = self.cookies.iter().filter(|((address, _), _)| *address == at);
        let cookie: Vec<String> =
            known.map(|((_, name), value)| format!("{name}={value}")).collect();
        let cookie = cookie.join("; ");
        let mut headers = headers.to_vec();
        if !cookie.is_empty() {
            headers.push(("cookie", &cookie));
        }
        let answer = Client::closing(at)
            .send(method, path, &headers, body.as_bytes())
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        for (_, set) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
            let (name, value) = pair.split_once('=').expect("a cookie has a value");
            let key = (at, name.to_owned());
            let gone = value.is_empty()
                || attributes.to_lowercase().contains("max-age=0")
                || attributes.contains("01 Jan 1970");
            match gone {
                true => self.cookies.remove(&key),
                false => self.cookies.insert(key, value.to_owned()),
            };
        }
        answer
    }

    /// A cookie's value.
    pub fn cookie(&self, at: SocketAddr, name: &str) -> Option<&str> {
        self.cookies.get(&(at, name.to_owned())).map(String::as_str)
    }

    /// Sets a cookie.
    pub fn keep(&mut self, at: SocketAddr, name: &str, value: &str) {
        self.cookies.insert((at, name.to_owned()), value.to_owned());
    }

    /// GETs a path.
    pub fn get(&mut self, at: SocketAddr, path: &str) -> Answer {
        self.send(at, "GET", path, &[], "")
    }

    /// A change as a page of the gateway makes it.
    pub fn change(&mut self, at: SocketAddr, method: &str, path: &str, body: &Value) -> Answer {
        let origin = format!("http://{at}");
        let headers = [
            ("x-becket-session", "1"),
            ("origin", origin.as_str()),
            ("content-type", "application/json"),
        ];
        self.send(at, method, path, &headers, &body.to_string())
    }

    /// Signs in with a token.
    pub fn sign_in(&mut self, at: SocketAddr, token: &str) -> Answer {
        self.change(at, "POST", "/api/v1/becket/session", &json!({ "token": token }))
    }

    /// Follows redirects from a URL until one leads to `end`, or none follows; the last URL and answer.
    pub fn follow(&mut self, url: &str, end: SocketAddr) -> (String, Answer) {
        let mut url = url.to_owned();
        for _ in 0..20 {
            let (at, path) = parts(&url);
            let answer = self.get(at, &path);
            let Some(to) = answer.header("location").map(str::to_owned) else {
                return (url, answer);
            };
            let absolute = if to.starts_with('/') { format!("http://{at}{to}") } else { to };
            // The path that the gateway leads back to is a page's.
            if at == end && !absolute.contains("/oidc/") && parts(&absolute).0 == end {
                return (absolute, answer);
            }
            url = absolute;
        }
        panic!("the redirects never end: {url}");
    }
}

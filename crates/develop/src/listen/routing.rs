//! Where on the developer's machine an event goes.

use becket_egress::policy::{AddressPolicy, Target, TargetRefused};
use std::sync::Arc;

/// Where events go: by their type, or else to one address.
#[derive(Debug, Clone)]
pub struct Routing {
    routes: Vec<(String, String)>,
    forward_to: String,
    keep_path: bool,
    policy: Arc<AddressPolicy>,
}

/// A route that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// It has no `=`.
    #[error("`{0}` is not a route; write it like 'invoice.*=http://localhost:3000/billing'")]
    NoEquals(String),
    /// The address cannot be forwarded to.
    #[error("`{url}` cannot be forwarded to: {why}")]
    Refused {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: TargetRefused,
    },
}

impl Routing {
    /// Checks the addresses: `forward_to`, and routes like `invoice.*=http://localhost:3000/billing`,
    /// of which the first that fits counts. A bare port or `host:port` means `http://`.
    ///
    /// # Errors
    /// [`RouteError`], which names what is wrong.
    pub fn new(forward_to: &str, routes: &[String], keep_path: bool) -> Result<Self, RouteError> {
        let policy = Arc::new(AddressPolicy::operator());
        let checked = |url: &str| {
            let url = completed(url);
            match policy.check_url(&url) {
                Ok(_) => Ok(url),
                Err(why) => Err(RouteError::Refused { url, why }),
            }
        };
        let routes = routes
            .iter()
            .map(|route| {
                let parts = route.split_once('=').filter(|(pattern, _)| !pattern.trim().is_empty());
                let (pattern, url) = parts.ok_or_else(|| RouteError::NoEquals(route.clone()))?;
                Ok((pattern.trim().to_owned(), checked(url.trim())?))
            })
            .collect::<Result<_, RouteError>>()?;
        let forward_to = checked(forward_to)?;
        Ok(Self { routes, forward_to, keep_path, policy })
    }

    /// What the addresses may lead to: everything, as for an operator.
    #[must_use]
    pub fn policy(&self) -> &Arc<AddressPolicy> {
        &self.policy
    }

    /// Where events go that fit no route.
    #[must_use]
    pub fn forward_to(&self) -> &str {
        &self.forward_to
    }

    /// The routes: a pattern of event types, and where those go.
    #[must_use]
    pub fn routes(&self) -> &[(String, String)] {
        &self.routes
    }

    /// Where an event goes: its type decides, and with `keep_path` what stood behind the source's
    /// name in the path that it came with is appended.
    ///
    /// # Errors
    /// [`RouteError::Refused`] if the appended path makes no URL.
    pub fn target(&self, event_type: Option<&str>, path: &str) -> Result<Target, RouteError> {
        let fits = |(pattern, _): &&(String, String)| matches(pattern, event_type.unwrap_or(""));
        let url = self.routes.iter().find(fits).map_or(&self.forward_to, |(_, url)| url);
        let url = match (self.keep_path, suffix(path)) {
            (true, suffix) if !suffix.is_empty() => joined(url, suffix),
            _ => url.clone(),
        };
        self.policy.check_url(&url).map_err(|why| RouteError::Refused { url, why })
    }
}

/// Whether a text fits a pattern in which each `*` stands for any characters.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// `3000` and `localhost:3000/x` as URLs.
fn completed(url: &str) -> String {
    if url.contains("://") {
        return url.to_owned();
    }
    let (authority, path) = url.split_at(url.find('/').unwrap_or(url.len()));
    match authority.parse::<u16>() {
        Ok(port) => format!("http://localhost:{port}{path}"),
        Err(_) => format!("http://{url}"),
    }
}

/// What stands behind `/in/NAME` in a path, with its query.
fn suffix(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/in/") else { return "" };
    rest.find(['/', '?']).map_or("", |at| &rest[at..])
}

/// A path and query appended to a URL, before the query that it has itself.
fn joined(url: &str, suffix: &str) -> String {
    let (base, own_query) = url.split_once('?').unwrap_or((url, ""));
    let (path, query) = suffix.split_once('?').unwrap_or((suffix, ""));
    let base = if path.is_empty() { base } else { base.trim_end_matches('/') };
    let queries: Vec<&str> =
        [own_query, query].into_iter().filter(|query| !query.is_empty()).collect();
    let joint = if queries.is_empty() { "" } else { "?" };
    format!("{base}{path}{joint}{}", queries.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_route_that_fits_counts() {
        let routes = [
            "invoice.*=http://localhost:3000/billing".to_owned(),
            "*.deleted = 3001/gone".to_owned(),
            "push=https://[::1]:8443/p".to_owned(),
        ];
        let routing = Routing::new("3000/webhooks", &routes, false).unwrap();
        let to = |event_type| routing.target(event_type, "/in/x/y").unwrap().to_string();
        assert_eq!(to(Some("invoice.paid")), "http://localhost:3000/billing");
        assert_eq!(to(Some("push")), "https://[::1]:8443/p");
        assert_eq!(to(Some("pull")), "http://localhost:3000/webhooks");
        assert_eq!(to(None), "http://localhost:3000/webhooks");
    }

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("push", "push", true),
            ("push", "pushed", false),
            ("*", "", true),
            ("invoice.*", "invoice.paid", true),
            ("invoice.*", "invoice", false),
            ("*.deleted", "user.deleted", true),
            ("*.deleted", "user.deleted.x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("aa*aa", "aaa", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_path_is_kept_where_it_is_asked_for() {
        for (forward_to, path, expected) in [
            (
                "http://localhost:3000/w",
                "/in/github/extra?x=1",
                "http://localhost:3000/w/extra?x=1",
            ),
            ("http://localhost:3000/", "/in/github/extra", "http://localhost:3000/extra"),
            ("localhost:3000/w?a=b", "/in/github?x=1", "http://localhost:3000/w?a=b&x=1"),
            ("localhost:3000/w", "/in/github", "http://localhost:3000/w"),
            ("localhost:3000/w", "", "http://localhost:3000/w"),
        ] {
            let routing = Routing::new(forward_to, &[], true).unwrap();
            assert_eq!(routing.target(None, path).unwrap().to_string(), expected, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_forwarded_to_is_refused_at_once() {
        for url in ["ftp://localhost/", "http://", "http://user:pw@localhost/ x"] {
            assert!(
                matches!(Routing::new(url, &[], false), Err(RouteError::Refused { .. })),
                "{url}"
            );
        }
        let error = Routing::new("3000", &["push".to_owned()], false).unwrap_err();
        assert!(error.to_string().contains("'invoice.*=http"), "{error}");
    }
}

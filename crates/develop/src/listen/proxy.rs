//! Which proxy leads to a gateway, from the variables that other tools know too.

use std::collections::BTreeMap;

/// A proxy that is asked to connect onwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `user:password`, if its address has them.
    pub credentials: Option<String>,
}

/// A proxy's address that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proxy in {variable} cannot be used: {why}; write it like http://proxy.example:3128")]
pub struct ProxyError {
    /// The variable that names it.
    pub variable: &'static str,
    why: String,
}

/// The proxy for a URL: `HTTPS_PROXY` or `HTTP_PROXY` by its scheme, then `ALL_PROXY`, in either case,
/// unless `NO_PROXY` has its host. A loopback address never goes through one.
///
/// # Errors
/// [`ProxyError`] if the variable that counts holds no proxy that can be used.
pub fn proxy_for(
    url: &http::Uri,
    env: &BTreeMap<String, String>,
) -> Result<Option<Proxy>, ProxyError> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
    let read = |name: &str| {
        let found = env.get(name).or_else(|| env.get(&name.to_ascii_lowercase()));
        found.map(|value| value.trim()).filter(|value| !value.is_empty())
    };
    let loopback = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if loopback || read("NO_PROXY").is_some_and(|list| excepted(list, &host)) {
        return Ok(None);
    }
    let by_scheme = if url.scheme_str() == Some("https") { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    let found = [by_scheme, "ALL_PROXY"].into_iter().find_map(|name| Some((name, read(name)?)));
    let Some((variable, text)) = found else { return Ok(None) };
    parse(text).map(Some).map_err(|why| ProxyError { variable, why })
}

fn excepted(list: &str, host: &str) -> bool {
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        let entry = entry.strip_prefix("*.").or(entry.strip_prefix('.')).unwrap_or(&entry);
        entry == "*"
            || (!entry.is_empty()
                && (entry == host
                    || host.strip_suffix(entry).is_some_and(|before| before.ends_with('.'))))
    })
}

fn parse(text: &str) -> Result<Proxy, String> {
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = url::Url::parse(&text).map_err(|error| error.to_string())?;
    if url.scheme() != "http" {
        return Err(format!("`{}` proxies are not spoken, only http://", url.scheme()));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it has no host")?;
    let credentials = (!url.username().is_empty()).then(|| {
        let decoded = |part: &str| {
            let plus_kept = part.replace('+', "%2B");
            let mut pairs = url::form_urlencoded::parse(plus_kept.as_bytes());
            pairs.next().map(|(name, _)| name.into_owned()).unwrap_or_default()
        };
        format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()))
    });
    Ok(Proxy {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(80),
        credentials,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, env: &[(&str, &str)]) -> Result<Option<Proxy>, ProxyError> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        proxy_for(&url.parse().unwrap(), &env.collect())
    }

    #[test]
    fn variables_say_which_proxy() {
        let hooks = "https://hooks.example.com";
        assert_eq!(found(hooks, &[]), Ok(None));
        let proxy = found(hooks, &[("https_proxy", "http://us%40er:p+w@proxy:3128/")]);
        let proxy = proxy.unwrap().unwrap();
        assert_eq!((&proxy.host[..], proxy.port), ("proxy", 3128));
        assert_eq!(proxy.credentials.as_deref(), Some("us@er:p+w"));
        let env = [("HTTP_PROXY", "a:1"), ("ALL_PROXY", "b:2")];
        assert_eq!(found(hooks, &env).unwrap().unwrap().host, "b");
        assert_eq!(found("http://hooks.example.com", &env).unwrap().unwrap().host, "a");
        for list in ["example.com", ".example.com", "*.example.com", "x, hooks.example.com", "*"] {
            assert_eq!(
                found(hooks, &[("HTTPS_PROXY", "a:1"), ("NO_PROXY", list)]),
                Ok(None),
                "{list}"
            );
        }
        let kept = found(hooks, &[("HTTPS_PROXY", "a:1"), ("no_proxy", "ample.com,,x")]);
        assert!(kept.unwrap().is_some());
        for local in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80"] {
            assert_eq!(found(local, &[("ALL_PROXY", "a:1")]), Ok(None));
        }
        let wrong = found(hooks, &[("HTTPS_PROXY", "socks5://a:1")]).unwrap_err();
        assert!(wrong.to_string().contains("HTTPS_PROXY"), "{wrong}");
        assert!(!wrong.to_string().contains("a:1"), "an address may hold a password");
    }
}

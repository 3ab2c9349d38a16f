//! Which file answers a path, and how.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher as _};

use crate::headers::{Frame, Header, PICTURE_POLICY, common_headers, content_type, page_headers};
use crate::negotiate::{Coding, codings, has, wants_page};
use crate::site::Site;

/// What a page holds in place of its nonce.
const NONCE_PLACE: &str = "__BECKET_NONCE__";
/// The first parts of the dashboard's own paths; `router.tsx` of the dashboard has the same.
const ROUTES: [&str; 8] = [
    "events",
    "sources",
    "quarantine",
    "endpoints",
    "applications",
    "event-types",
    "audit",
    "settings",
];
/// Names in this folder change with the content.
const ASSETS: &str = "assets/";

/// A GET or HEAD.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The path as it came, without the query.
    pub path: &'a str,
    /// The `Accept` header.
    pub accept: Option<&'a str>,
    /// The `Accept-Encoding` header.
    pub accept_encoding: Option<&'a str>,
    /// The `If-None-Match` header.
    pub if_none_match: Option<&'a str>,
    /// A fresh random text for this answer, in letters that a header and an attribute can hold.
    pub nonce: &'a str,
    /// Origins that may frame the portal.
    pub frame_origins: &'a [String],
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200, 304 or 308.
    pub status: u16,
    /// Header names in lower case and their values.
    pub headers: Vec<(&'static str, String)>,
    /// The body; of a HEAD, too, whose body is left out by the server.
    pub body: Cow<'static, [u8]>,
}

/// Whether a path might be the dashboard's, so that an answer is worth a nonce.
#[must_use]
pub fn is_ours(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else { return false };
    path.is_empty()
        || path == "favicon.svg"
        || path.starts_with(ASSETS)
        || path == "portal"
        || path == "portal/"
        || is_route(path)
}

/// The answer, or nothing if the path is not the dashboard's.
#[must_use]
pub fn answer(site: &Site, asked: &Asked<'_>) -> Option<Answer> {
    let path = asked.path.strip_prefix('/')?;
    let page = |name: &str, frame| Some(page(site, name, asked.nonce, frame));
    if path.is_empty() || (is_route(path) && wants_page(asked.accept)) {
        return page("index.html", Frame::Never);
    }
    if path == "portal" {
        // A browser takes the fragment, with the token, along.
        let mut headers: Vec<Header> = vec![("location", "/portal/".to_owned())];
        headers.extend(common_headers());
        return Some(Answer { status: 308, headers, body: Cow::Borrowed(b"") });
    }
    if path == "portal/" {
        return page("portal/index.html", Frame::Origins(asked.frame_origins));
    }
    if path == "favicon.svg" || path.starts_with(ASSETS) {
        return file(site, path, asked);
    }
    None
}

fn is_route(path: &str) -> bool {
    ROUTES.contains(&path.split('/').next().unwrap_or_default())
}

fn page(site: &Site, name: &str, nonce: &str, frame: Frame<'_>) -> Answer {
    let found = site.file(name).and_then(|bytes| String::from_utf8(bytes.into_owned()).ok());
    let text = found.unwrap_or_else(|| NOT_BUILT.to_owned());
    Answer {
        status: 200,
        headers: page_headers(nonce, frame),
        body: Cow::Owned(text.replace(NONCE_PLACE, nonce).into_bytes()),
    }
}

fn file(site: &Site, name: &str, asked: &Asked<'_>) -> Option<Answer> {
    if [Coding::Brotli, Coding::Gzip].iter().any(|coding| name.ends_with(coding.suffix())) {
        // They are there to be negotiated, not to be asked for.
        return None;
    }
    let (coding, body) = codings(asked.accept_encoding).into_iter().find_map(|coding| {
        let bytes = site.file(&format!("{name}{}", coding.suffix()))?;
        Some((coding, bytes))
    })?;
    let etag = etag(&body, coding);
    let cache = match name.starts_with(ASSETS) {
        true => "public, max-age=31536000, immutable",
        false => "public, max-age=3600",
    };
    let mut headers: Vec<Header> = vec![
        ("etag", etag.clone()),
        ("cache-control", cache.to_owned()),
        ("vary", "accept-encoding".to_owned()),
    ];
    headers.extend(common_headers());
    if has(asked.if_none_match, &etag) {
        return Some(Answer { status: 304, headers, body: Cow::Borrowed(b"") });
    }
    headers.push(("content-type", content_type(name).to_owned()));
    if let Some(coding) = coding.name() {
        headers.push(("content-encoding", coding.to_owned()));
    }
    if name.ends_with(".svg") {
        headers.push(("content-security-policy", PICTURE_POLICY.to_owned()));
    }
    Some(Answer { status: 200, headers, body })
}

/// Names the bytes. Against mistakes, not against people: who can choose the files needs no tricks.
fn etag(body: &[u8], coding: Coding) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    format!("\"{:016x}{:x}{}\"", hasher.finish(), body.len(), coding.suffix().replace('.', "-"))
}

const NOT_BUILT: &str = r#"<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>Becket: the dashboard is not built</title>
    <style nonce="__BECKET_NONCE__">
      body { font: 1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 4rem auto; padding: 0 1rem; }
      code { font-family: ui-monospace, monospace; border: 1px solid; border-radius: 4px; padding: 0 0.3em; }
    </style>
  </head>
  <body>
    <main>
      <h1>The dashboard is not built</h1>
      <p>The gateway runs: it receives, delivers and answers its API. This binary was built without the
      dashboard's files.</p>
      <p>In the repository, run <code>make dashboard</code> (it needs Node), build again and restart. Or
      name a folder with built files in <code>BECKET_DASHBOARD_DIR</code>.</p>
    </main>
  </body>
</html>
"#;

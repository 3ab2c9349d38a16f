//! The dashboard's and the portal's pages over HTTP.
//!
//! Invariants: what is not a page falls through to the API unchanged; every page gets a nonce of its
//! own. Settings are those in force, so a reload reaches the next request.
//!
//! Next: `becket_dashboard` for which file answers what.

use std::sync::Arc;

use base64::Engine as _;
use becket_dashboard::{Answer, Asked, Site, answer};
use becket_ingress::BoxedBody;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;

use super::ServeError;
use super::gateway::Gateway;
use crate::config::{Config, Logo, Portal};

const PORTAL_CONFIG_PATH: &str = "/portal/config.json";
const LOGO_PATH: &str = "/portal/logo";
/// Bytes of a nonce; a multiple of three, so that its text ends without a sign.
const NONCE_BYTES: usize = 18;

/// What the pages are made from, ready to be served.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    site: Option<Site>,
    logo: Option<Arc<Logo>>,
    frame_origins: Arc<[String]>,
}

impl Pages {
    /// No pages, until a configuration is in force.
    pub(super) fn none() -> Self {
        Self { site: None, logo: None, frame_origins: Arc::new([]) }
    }

    /// Reads what a configuration names.
    pub(super) fn of(config: &Config) -> Result<Self, ServeError> {
        let unusable = |detail: String| ServeError::Pages { detail };
        let site = match (&config.dashboard.dir, config.dashboard.enabled) {
            (_, false) => None,
            (None, true) => Some(Site::embedded()),
            (Some(folder), true) => {
                let site = Site::folder(folder);
                Some(site.map_err(|error| unusable(format!("dashboard.dir: {error}")))?)
            }
        };
        let logo = config.portal.logo.as_deref().map(Logo::read).transpose().map_err(unusable)?;
        let origins = config.portal.frame_origins.iter().map(|one| one.as_str().to_owned());
        Ok(Self { site, logo: logo.map(Arc::new), frame_origins: origins.collect() })
    }
}

/// The answer to a GET or HEAD, or nothing if the path is the API's.
pub(super) async fn page(
    gateway: &Gateway,
    path: &str,
    headers: &HeaderMap,
) -> Option<Response<BoxedBody>> {
    let current = gateway.current.load_full();
    let pages = &current.pages;
    let site = pages.site.clone()?;
    match path {
        PORTAL_CONFIG_PATH => {
            return Some(portal_config(&current.loaded.config.portal, pages.logo.is_some()));
        }
        LOGO_PATH => return pages.logo.as_deref().map(logo),
        _ => {}
    }
    if !becket_dashboard::is_ours(path) {
        return None;
    }
    let mut random = [0; NONCE_BYTES];
    gateway.noise.fill(&mut random);
    let nonce = base64::engine::general_purpose::STANDARD.encode(random);
    let text = |name: HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned)
    };
    let path = path.to_owned();
    let accept = text(header::ACCEPT);
    let accept_encoding = text(header::ACCEPT_ENCODING);
    let if_none_match = text(header::IF_NONE_MATCH);
    let frame_origins = Arc::clone(&pages.frame_origins);
    let reads_disk = matches!(site, Site::Folder(_));
    let decide = move || {
        let asked = Asked {
            path: &path,
            accept: accept.as_deref(),
            accept_encoding: accept_encoding.as_deref(),
            if_none_match: if_none_match.as_deref(),
            nonce: &nonce,
            frame_origins: &frame_origins,
        };
        answer(&site, &asked)
    };
    let answer = match reads_disk {
        // A slow disk must not hold up what else this thread serves.
        true => tokio::task::spawn_blocking(decide).await.ok().flatten(),
        false => decide(),
    };
    answer.map(response)
}

fn response(answer: Answer) -> Response<BoxedBody> {
    let body = match answer.body {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mut response = full(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        put(&mut response, name, &value);
    }
    response
}

fn full(body: impl Into<Bytes>) -> Response<BoxedBody> {
    Response::new(Full::new(body.into()).map_err(|never| match never {}).boxed_unsync())
}

fn put(response: &mut Response<BoxedBody>, name: &'static str, value: &str) {
    // Every value is made of checked words; one that could not be sent is better left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(HeaderName::from_static(name), value);
    }
}

fn portal_config(portal: &Portal, has_logo: bool) -> Response<BoxedBody> {
    let shown = json!({
        "name": portal.name,
        "logo": has_logo.then_some(LOGO_PATH),
        "color": portal.color.as_str(),
        "colorScheme": portal.color_scheme.as_str(),
        "supportUrl": portal.support_url.as_ref().map(|url| url.as_str()),
    });
    let mut response = full(shown.to_string());
    put(&mut response, "content-type", "application/json");
    put(&mut response, "cache-control", "no-cache");
    common(&mut response);
    response
}

fn logo(logo: &Logo) -> Response<BoxedBody> {
    let mut response = full(logo.bytes.clone());
    put(&mut response, "content-type", logo.content_type);
    put(&mut response, "cache-control", "public, max-age=300");
    put(&mut response, "content-security-policy", becket_dashboard::PICTURE_POLICY);
    common(&mut response);
    response
}

fn common(response: &mut Response<BoxedBody>) {
    for (name, value) in becket_dashboard::common_headers() {
        put(response, name, &value);
    }
}

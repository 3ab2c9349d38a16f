//! The source that is there when none is configured, and the lines that say how to try it.

use std::path::Path;
use std::sync::Arc;

use becket_model::Noise;
use becket_signature::{Entry, SignRequest, Verifier, VerifierOptions};

use super::fallback::ECHO_PATH;
use super::{ServeError, keys};
use crate::config::{Config, Secret, Source};

/// Its name.
pub(super) const ID: &str = "demo";
const PROVIDER: &str = "github";
const BODY: &str = r#"{"zen":"Keep it logically awesome.","hook_id":1}"#;

/// The demo's source, if nothing else is configured that it would stand in the way of.
pub(super) fn of(
    config: &Config,
    folder: &Path,
    local_url: &str,
    noise: &dyn Noise,
) -> Result<Option<Source>, ServeError> {
    if !config.is_empty_of_sources() || local_url.starts_with("https:") {
        return Ok(None);
    }
    let secret = keys::demo_secret(folder, noise)?;
    source(&secret.text, local_url).map(Some)
}

/// The demo's source: GitHub's scheme, delivering to the built-in echo.
fn source(secret: &str, local_url: &str) -> Result<Source, ServeError> {
    Source::demo(ID, PROVIDER, Secret::plain(secret), &format!("{local_url}{ECHO_PATH}"))
        .ok_or_else(|| ServeError::Source {
            source_id: ID.to_owned(),
            detail: "the demo's own declaration cannot be read".to_owned(),
        })
}

/// A line for a shell that sends a signed event to the demo.
pub(super) fn curl_line(
    config: &Config,
    source: &Source,
    receiving_url: &str,
    delivery_id: &str,
    now_ms: i64,
) -> Option<String> {
    let entry: Arc<Entry> = config.entry_of(source)?;
    let options = VerifierOptions::default();
    let verifier = Verifier::new(entry, &source.credentials_for_verifier(), &options).ok()?;
    let signed = verifier
        .sign(
            &SignRequest {
                method: "POST",
                url: receiving_url,
                body: BODY.as_bytes(),
                content_type: "application/json",
                event_type: Some("ping"),
                delivery_id: Some(delivery_id),
            },
            now_ms / 1_000,
        )
        .ok()?;
    let mut line = format!("curl -sS {}", signed.url);
    for (name, value) in &signed.headers {
        line.push_str(&format!(" -H '{name}: {value}'"));
    }
    line.push_str(&format!(" -d '{}'", String::from_utf8_lossy(&signed.body)));
    Some(line)
}

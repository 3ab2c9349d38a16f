//! What receiving asks of the outside: keys and visits through the guarded connector, and a place
//! for secrets that a handshake brings along.
//!
//! Invariants: a secret is sealed and stored before its handshake is answered, and never logged; it
//! verifies at once only if the source has none yet and the entry does not want the operator asked;
//! whoever repeats handshakes does not make the store busy.

use std::sync::Arc;

use async_trait::async_trait;
use becket_api::{CapturedSecret, SourceCredentials};
use becket_ingress::{Outside, OutsideTrouble, SourceRuntime};
use becket_keys::KeyTrouble;
use becket_model::{ApplicationKey, ApplicationKind};
use becket_signature::{Captured, FetchedKeys, KeyRequest};
use becket_store::vault::place;
use becket_store::{Application, ApplicationChange, Changed, Name, StoreError};

use super::assemble;
use super::gateway::{Gateway, SourceInForce};
use crate::config;

/// How often a source's handshakes may bring something new, in milliseconds.
const CAPTURE_EVERY_MS: i64 = 5_000;
/// How often a secret is put beside what the source has, when others change that at the same time.
const CAPTURE_TRIES: u32 = 5;
/// Longer values are no secrets.
const CAPTURED_BYTES_MAX: usize = 4_096;
/// What a captured value is called that joins the list of secrets.
const SECRET: &str = "secret";

#[async_trait]
impl Outside for Gateway {
    async fn keys(
        &self,
        source: ApplicationKey,
        request: &KeyRequest,
    ) -> Result<Arc<FetchedKeys>, OutsideTrouble> {
        self.keys.keys(source, request).await.map_err(|trouble| told(&trouble))
    }

    async fn other_keys(
        &self,
        source: ApplicationKey,
        request: &KeyRequest,
        known: &Arc<FetchedKeys>,
    ) -> Result<Arc<FetchedKeys>, OutsideTrouble> {
        self.keys.other_keys(source, request, known).await.map_err(|trouble| told(&trouble))
    }

    async fn visit(&self, source: ApplicationKey, url: &str) -> Result<(), OutsideTrouble> {
        self.keys.visit(source, url).await.map_err(|trouble| told(&trouble))
    }

    async fn capture(
        &self,
        source: &SourceRuntime,
        captured: Captured,
    ) -> Result<(), OutsideTrouble> {
        if captured.value.is_empty() || captured.value.len() > CAPTURED_BYTES_MAX {
            tracing::warn!(source = %source.uid, name = %captured.name, "source.secret.unusable");
            return Ok(());
        }
        // One at a time, so that none overwrites another.
        let mut last = self.captured_at_ms.lock().await;
        let known = self.current.load().sources.get(&source.key).cloned();
        let Some(known) = known else { return Err(not_now("source_changed", 1)) };
        let now_ms = self.clock.now_ms();
        let name = captured.name.clone();
        let mut tries = 0;
        let (changed, accepted) = loop {
            let kept =
                self.kept_credentials(&known).await.map_err(|error| stored(source, &error))?;
            let Some((application, mut credentials)) = kept else {
                return Err(not_now("source_changed", 1));
            };
            if is_known(&known.rules, &credentials, &captured) {
                return Ok(());
            }
            let since_ms =
                last.get(&source.key).map_or(i64::MAX, |at_ms| now_ms.saturating_sub(*at_ms));
            if tries == 0 && (0..CAPTURE_EVERY_MS).contains(&since_ms) {
                return Err(not_now("limited", 5));
            }
            // What the store has counts: another node may have taken the first one just now.
            let first =
                !has(&known.rules, &name) && !has_accepted(&credentials, &name, &known.rules);
            let accepted = first && !captured.confirm;
            if !accepted && credentials.waiting_is_full() {
                tracing::warn!(
                    source = %source.uid, %name,
                    "source.secret.full: `becket sources secret forget` makes room for others"
                );
                return Err(not_now("limited", 60));
            }
            last.insert(source.key, now_ms);
            credentials.captured.push(CapturedSecret {
                name: name.clone(),
                value: captured.value.clone(),
                provider: known.rules.provider.clone(),
                accepted,
                received_at_ms: now_ms,
            });
            credentials.keep_some();
            let kept = self.keep_credentials(&application, &credentials).await;
            tries += 1;
            match kept.map_err(|error| stored(source, &error))? {
                Changed::Done(changed) => break (changed, accepted),
                // Somebody else, perhaps another node, was quicker: what that one wrote stays, too.
                Changed::Meanwhile if tries < CAPTURE_TRIES => {}
                _ => return Err(not_now("source_changed", 1)),
            }
        };
        match accepted {
            true => tracing::warn!(source = %source.uid, %name, "source.secret.captured"),
            // The value is a secret: the operator asks for it.
            false => tracing::warn!(
                source = %source.uid, %name,
                "source.secret.waits: `becket sources secret show` shows it, `accept` lets it verify"
            ),
        }
        let taken = self.take_over_application(&changed).await;
        self.taken_over(&changed.id, taken);
        Ok(())
    }
}

impl Gateway {
    /// The source as it is in the store, with what is kept of its credentials.
    async fn kept_credentials(
        &self,
        known: &SourceInForce,
    ) -> Result<Option<(Application, SourceCredentials)>, StoreError> {
        let (owner, id) = (known.application.owner, known.application.id);
        let found =
            self.store.application_get(owner, ApplicationKind::Source, Name::Id(id)).await?;
        let Some(application) = found else { return Ok(None) };
        let credentials = match &application.credentials {
            None => SourceCredentials::default(),
            Some(envelope) => {
                let opened =
                    self.vault.load().open(&place::application_credentials(id), envelope)?;
                serde_json::from_slice(&opened).map_err(|_| StoreError::Sealed {
                    detail: format!("the credentials of {} cannot be read", application.name()),
                })?
            }
        };
        Ok(Some((application, credentials)))
    }

    async fn keep_credentials(
        &self,
        application: &Application,
        credentials: &SourceCredentials,
    ) -> Result<Changed<Application>, StoreError> {
        let text = zeroize::Zeroizing::new(serde_json::json!(credentials).to_string());
        let place = place::application_credentials(application.id);
        let noise = self.noise.as_ref();
        let sealed = assemble::seal(&self.vault.load(), noise, &place, text.as_bytes())?;
        let change = ApplicationChange { credentials: Some(sealed), ..application.change() };
        let (owner, now_ms) = (application.owner, self.clock.now_ms());
        self.store.application_change(owner, application.key, change, now_ms).await
    }
}

/// Puts the accepted secrets of handshakes beside what a source was given; whether others wait.
pub(super) fn put_captured(rules: &mut config::Source, captured: &[CapturedSecret]) -> bool {
    let given: Vec<String> = rules.credentials.keys().cloned().collect();
    let mut waiting = false;
    for one in captured.iter().filter(|one| one.provider == rules.provider) {
        let secret = config::Secret::plain(one.value.clone());
        match (one.accepted, one.name.as_str()) {
            (false, _) => waiting = true,
            (true, SECRET) => rules.secrets.push(secret),
            (true, name) if !given.iter().any(|given| given == name) => {
                rules.credentials.insert(name.to_owned(), secret);
            }
            (true, _) => {}
        }
    }
    waiting
}

/// Whether a source has a credential of this name.
fn has(rules: &config::Source, name: &str) -> bool {
    match name {
        SECRET => !rules.secrets.is_empty(),
        name => rules.credentials.contains_key(name),
    }
}

/// Whether a handshake has brought a credential of this name that was accepted.
fn has_accepted(credentials: &SourceCredentials, name: &str, rules: &config::Source) -> bool {
    let mut kept = credentials.captured.iter();
    kept.any(|one| one.accepted && one.name == name && one.provider == rules.provider)
}

/// Whether this very secret is given or kept already.
fn is_known(rules: &config::Source, credentials: &SourceCredentials, captured: &Captured) -> bool {
    let given = match captured.name.as_str() {
        SECRET => rules.secrets.iter().any(|secret| secret.expose() == captured.value),
        name => rules.credentials.get(name).is_some_and(|known| known.expose() == captured.value),
    };
    given
        || credentials.captured.iter().any(|known| {
            known.name == captured.name
                && known.value == captured.value
                && known.provider == rules.provider
        })
}

const fn not_now(code: &'static str, retry_after_s: u64) -> OutsideTrouble {
    OutsideTrouble::NotNow { code, retry_after_s }
}

fn stored(source: &SourceRuntime, error: &StoreError) -> OutsideTrouble {
    tracing::error!(source = %source.uid, %error, "a secret of a handshake could not be kept");
    not_now(error.code(), error.retry_after_s())
}

fn told(trouble: &KeyTrouble) -> OutsideTrouble {
    match trouble {
        KeyTrouble::Unknown => OutsideTrouble::UnknownKey,
        KeyTrouble::Unavailable { code, retry_after_s } => not_now(code, *retry_after_s),
    }
}

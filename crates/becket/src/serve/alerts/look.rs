//! What is looked at from time to time: disk, certificate, secrets, silence.
//!
//! Invariant: each look is a few reads, and what costs more is done once an hour.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use becket_api::Activity;
use becket_egress::action::template::rfc3339;
use becket_model::ApplicationKey;
use becket_store::{DocumentKind, EventFilter, Owner, Page, Scope, Slice, StoreError};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::super::gateway::{Current, Gateway};
use super::episodes::{Kind, Seen};
use super::ms;
use super::quiet::{HOURS, usual_pause_ms};
use super::words::duration;
use crate::config::Alerts;

const HOUR_MS: i64 = 3_600_000;
const TOKENS_MAX: usize = 1_000;

/// How full the store is, as facts if that is worth an alert. While it is told (`open`), it has to be a
/// little emptier than when it began before that is over.
pub(super) async fn disk(
    gateway: &Gateway,
    alerts: &Alerts,
    open: bool,
) -> Result<Option<Value>, StoreError> {
    let config = &gateway.current.load().loaded.config.store;
    let bytes = gateway.store.stats().await?.bytes;
    let cap = config.cap.0;
    let percent = u64::from(alerts.disk_percent).saturating_sub(if open { 2 } else { 0 });
    let used_percent = bytes.saturating_mul(100) / cap.max(1);
    if used_percent >= percent {
        let detail = format!(
            "The store holds {} MiB, {used_percent} % of its cap of {} MiB.",
            bytes >> 20,
            cap >> 20
        );
        return Ok(Some(json!({ "detail": detail, "bytes": bytes, "cap": cap })));
    }
    if gateway.node.is_some() {
        // The database's disk is elsewhere, and its operator's to watch.
        return Ok(None);
    }
    let folder = gateway.folder.clone();
    let read = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&folder)).await;
    let Ok(Ok(disk)) = read else { return Ok(None) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let min = config.min_free.0;
    let enough = min.saturating_mul(if open { 5 } else { 4 }) / 2;
    Ok((free < enough).then(|| {
        let detail = format!(
            "{} MiB are free on the disk of the store; below {} MiB it takes nothing more.",
            free >> 20,
            min >> 20
        );
        json!({ "detail": detail, "free": free, "minimum": min })
    }))
}

/// The certificate of the listener, if it ends soon.
pub(super) async fn certificate(gateway: &Gateway, alerts: &Alerts, now_ms: i64) -> Option<Seen> {
    let server = &gateway.current.load().loaded.config.server;
    let file = match (&server.tls, &server.acme) {
        (Some(tls), _) => tls.cert_file.clone(),
        (None, Some(_)) => gateway.folder.join("acme").join("chain.pem"),
        (None, None) => return None,
    };
    let shown = file.display().to_string();
    let read = tokio::task::spawn_blocking(move || ends_ms(&file)).await;
    let ends_ms = read.ok().flatten()?;
    (ends_ms - now_ms < ms(alerts.certificate_before))
        .then(|| Seen::new(Kind::CertificateExpiring, shown, json!({ "ends": rfc3339(ends_ms) })))
}

/// When the first certificate of a file ends, in milliseconds since 1970.
fn ends_ms(file: &Path) -> Option<i64> {
    let first = CertificateDer::pem_file_iter(file).ok()?.next()?.ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&first).ok()?;
    certificate.validity().not_after.timestamp().checked_mul(1_000)
}

/// Secrets of endpoints, receiving URLs and tokens that end soon.
pub(super) async fn secrets(
    gateway: &Gateway,
    alerts: &Alerts,
    now_ms: i64,
) -> Result<Vec<Seen>, StoreError> {
    let current = gateway.current.load_full();
    let mut seen = Vec::new();
    let mut ends =
        |subject: String, what: String, ends_ms: Option<i64>, before_ms: i64, advice: &str| {
            if let Some(ends_ms) = ends_ms.filter(|at| *at > now_ms && at - now_ms < before_ms) {
                let facts = json!({ "what": what, "ends": rfc3339(ends_ms), "advice": advice });
                seen.push(Seen::new(Kind::SecretExpiring, subject, facts));
            }
        };
    let before_ms = ms(alerts.secret_before);
    for source in current.sources.values() {
        let name = source.application.name();
        for (number, (_, ends_ms)) in source.url_tokens.iter().enumerate() {
            let what = format!("A former receiving URL of `{name}`");
            let advice = "Whoever still sends there has to use the new one from then on.";
            ends(format!("{name}/url/{number}"), what, *ends_ms, before_ms, advice);
        }
        for endpoint in &source.endpoints {
            let newest_end = endpoint.secrets.iter().filter_map(|one| one.expires_at_ms).max();
            let what = format!("The former signing secret of `{}` of `{name}`", endpoint.name());
            let advice = "The receiver has to know the new one by then.";
            ends(endpoint.id.to_string(), what, newest_end, before_ms, advice);
        }
    }
    let before_ms = ms(alerts.token_before);
    let (owner, kind) = (Owner::MAIN, DocumentKind::Token);
    let slice = Slice { limit: TOKENS_MAX, after: None, descending: false };
    for token in gateway.store.document_list(owner, kind, None, slice, now_ms).await? {
        let ends_ms = token.content.expires_at_ms;
        let lives_ms = ends_ms.map_or(0, |at| at - token.created_at_ms);
        if lives_ms > before_ms {
            let what = format!("The token {}", token.name.name);
            let advice =
                "Make another with `becket tokens create` and give it to whoever uses this one.";
            ends(token.name.name.clone(), what, ends_ms, before_ms, advice);
        }
    }
    Ok(seen)
}

/// What is usual for each source, learned now and then, and when it last sent.
#[derive(Default)]
pub(super) struct Usual {
    pauses_ms: HashMap<ApplicationKey, i64>,
    learned_ms: Option<i64>,
    last_ms: HashMap<ApplicationKey, i64>,
}

impl Usual {
    /// Learns from the counts of the hours before, if that was long ago.
    pub(super) async fn learn(
        &mut self,
        gateway: &Gateway,
        activity: &Activity,
        current: &Current,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        if self.learned_ms.is_some_and(|at_ms| now_ms - at_ms < HOUR_MS) {
            return Ok(());
        }
        let until_ms = now_ms - now_ms.rem_euclid(HOUR_MS);
        let since_ms = until_ms - i64::try_from(HOURS).unwrap_or_default() * HOUR_MS;
        let owners: HashSet<Owner> =
            current.sources.values().map(|source| source.application.owner).collect();
        self.pauses_ms.clear();
        for owner in owners {
            let store = gateway.store.as_ref();
            let counted =
                activity.received_by_hour(store, owner, (since_ms, until_ms), now_ms).await?;
            let usual = counted.into_iter().filter_map(|(application, by_hour)| {
                let mut hours = vec![0; HOURS];
                for (at_ms, received) in by_hour {
                    if let Ok(at) = usize::try_from((at_ms - since_ms) / HOUR_MS)
                        && let Some(hour) = hours.get_mut(at)
                    {
                        *hour += received;
                    }
                }
                Some((application, usual_pause_ms(&hours)?))
            });
            self.pauses_ms.extend(usual);
        }
        self.learned_ms = Some(now_ms);
        Ok(())
    }
}

/// The sources that have been silent for longer than usual.
pub(super) async fn quiet(
    gateway: &Gateway,
    current: &Current,
    alerts: &Alerts,
    usual: &mut Usual,
    now_ms: i64,
) -> Result<Vec<Seen>, StoreError> {
    /// A pause of a few seconds says nothing, however busy a source usually is.
    const PAUSE_MIN_MS: i64 = 10 * 60_000;
    let mut seen = Vec::new();
    for source in current.sources.values() {
        let application = &source.application;
        if source.rules.id == crate::config::ALERTS_SOURCE {
            continue;
        }
        let learned = usual.pauses_ms.get(&application.key).copied();
        let after_ms = match (source.rules.quiet_after, learned, alerts.quiet_factor) {
            (Some(after), _, _) => ms(after),
            (None, None, _) | (None, Some(_), 0) => continue,
            (None, Some(pause_ms), factor) => (pause_ms * i64::from(factor)).max(PAUSE_MIN_MS),
        };
        // As long as it was heard of lately enough, nobody has to look again.
        if usual.last_ms.get(&application.key).is_some_and(|last_ms| now_ms - last_ms < after_ms) {
            continue;
        }
        let scope = Scope::of(application.owner, application.key);
        let page = Page { limit: 1, before: None, after: None };
        let last = gateway.store.event_list(scope, EventFilter::default(), page).await?;
        // One that has never sent is not quiet but new.
        let Some(last) = last.first() else { continue };
        usual.last_ms.insert(application.key, last.received_at_ms);
        if now_ms - last.received_at_ms >= after_ms {
            let own = source.rules.quiet_after.is_some();
            let usual_ms = learned.filter(|_| !own).unwrap_or(after_ms);
            let last = rfc3339(last.received_at_ms);
            let facts = json!({ "last": last, "usual": duration(usual_ms) });
            seen.push(Seen::with_source(Kind::SourceQuiet, application, facts));
        }
    }
    Ok(seen)
}

/// Whether a source has accepted at least `number` events since then.
pub(super) async fn accepted_as_many(
    gateway: &Gateway,
    scope: Scope,
    number: u64,
    since_ms: i64,
) -> Result<bool, StoreError> {
    /// More are not counted: so many refusals are trouble, whatever else is accepted.
    const COUNTED_MAX: u64 = 1_000;
    if number > COUNTED_MAX {
        return Ok(false);
    }
    let limit = usize::try_from(number).unwrap_or(usize::MAX);
    let filter = EventFilter { since_ms: Some(since_ms), ..EventFilter::default() };
    let page = Page { limit, before: None, after: None };
    Ok(gateway.store.event_list(scope, filter, page).await?.len() >= limit)
}

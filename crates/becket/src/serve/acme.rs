//! HTTPS with a certificate from an ACME authority (RFC 8555), asked for over plain HTTP.
//!
//! Account, certificate and key are kept in the data folder, so that a restart asks for nothing. The
//! certificate is renewed when two thirds of its time have passed; a failure is tried again with
//! growing waits while the old one serves on.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use becket_ingress::server::{Fallback, FallbackFuture};
use becket_ingress::{BoxedBody, Peer, TimedBody};
use becket_model::Clock;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus,
    RetryPolicy,
};
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::ServeError;
use super::fallback::text;
use super::tls::{self, Served};
use crate::config::Acme;

/// Where an authority asks.
pub(super) const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";
const WAIT_FIRST: Duration = Duration::from_secs(30);
const WAIT_MAX: Duration = Duration::from_secs(6 * 3_600);
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// The answers to questions that are open.
#[derive(Clone, Default)]
pub(super) struct Challenges(Arc<RwLock<HashMap<String, String>>>);

impl Challenges {
    /// The answer to a request for this path.
    pub(super) fn answer(&self, path: &str) -> Response<BoxedBody> {
        let token = path.strip_prefix(CHALLENGE_PATH).unwrap_or_default();
        match self.0.read().get(token) {
            Some(answer) => text(StatusCode::OK, answer.clone()),
            None => text(StatusCode::NOT_FOUND, "no such challenge\n"),
        }
    }
}

/// On the listener for the authority nothing else is answered.
impl Fallback for Challenges {
    fn handle(&self, request: Request<TimedBody<Incoming>>, _peer: Peer) -> FallbackFuture<'_> {
        Box::pin(async move { self.answer(request.uri().path()) })
    }
}

/// Keeps a certificate.
pub(super) struct Keeper {
    acme: Acme,
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    pub(super) challenges: Challenges,
}

/// A certificate chain and its key as PEM.
struct Issued {
    chain: String,
    key: String,
}

impl Keeper {
    pub(super) fn new(acme: Acme, data: &Path, clock: Arc<dyn Clock>) -> Self {
        let folder = data.join("acme");
        Self { acme, folder, clock, challenges: Challenges::default() }
    }

    /// The kept certificate, if there is one for these names.
    pub(super) fn kept(&self) -> Option<ServerConfig> {
        let issued = self.read()?;
        tls::from_pem(issued.chain.as_bytes(), issued.key.as_bytes()).ok()
    }

    fn read(&self) -> Option<Issued> {
        let names = std::fs::read_to_string(self.folder.join("names")).ok()?;
        if names != self.acme.domains.join("\n") {
            return None;
        }
        Some(Issued {
            chain: std::fs::read_to_string(self.folder.join("chain.pem")).ok()?,
            key: std::fs::read_to_string(self.folder.join("key.pem")).ok()?,
        })
    }

    /// Asks for a certificate now.
    pub(super) async fn issue(&self) -> Result<ServerConfig, ServeError> {
        let issued = self.order().await.map_err(|error| ServeError::Tls {
            detail: format!(
                "the authority {} gave no certificate for {}: {error}; it has to reach this \
                 machine on port 80 under those names",
                self.acme.directory_url.as_str(),
                self.acme.domains.join(", ")
            ),
        })?;
        let config = tls::from_pem(issued.chain.as_bytes(), issued.key.as_bytes())?;
        self.write("key.pem", &issued.key)?;
        self.write("chain.pem", &issued.chain)?;
        self.write("names", &self.acme.domains.join("\n"))?;
        tracing::info!(names = %self.acme.domains.join(", "), "a certificate was issued");
        Ok(config)
    }

    /// Renews the certificate in time, for as long as the gateway runs.
    pub(super) async fn renew(self, served: Served) {
        let mut wait = LOOK_EVERY;
        loop {
            tokio::time::sleep(wait).await;
            if !self.is_due() {
                wait = LOOK_EVERY;
                continue;
            }
            match self.issue().await {
                Ok(config) => {
                    served.store(Arc::new(config));
                    wait = LOOK_EVERY;
                }
                Err(error) => {
                    wait = if wait == LOOK_EVERY { WAIT_FIRST } else { (wait * 2).min(WAIT_MAX) };
                    tracing::error!(error = %error, retry_in_s = wait.as_secs(), "the certificate could not be renewed");
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        let Some(issued) = self.read() else { return true };
        let now_s = self.clock.now_ms() / 1_000;
        match validity_s(&issued.chain) {
            Some((from_s, until_s)) => now_s >= until_s - (until_s - from_s) / 3,
            None => true,
        }
    }

    async fn account(&self) -> Result<Account, instant_acme::Error> {
        let builder = || match &self.acme.ca_file {
            Some(file) => Account::builder_with_root(file),
            None => Account::builder(),
        };
        let file = self.folder.join("account.json");
        if let Ok(kept) = std::fs::read_to_string(&file)
            && let Ok(credentials) = serde_json::from_str(&kept)
        {
            return builder()?.from_credentials(credentials).await;
        }
        let contact: Vec<&str> = self.acme.contact.iter().map(String::as_str).collect();
        let (account, credentials) = builder()?
            .create(
                &NewAccount {
                    contact: &contact,
                    terms_of_service_agreed: true,
                    only_return_existing: false,
                },
                self.acme.directory_url.as_str().to_owned(),
                None,
            )
            .await?;
        let kept = serde_json::to_string(&credentials)?;
        self.write("account.json", &kept)
            .map_err(|error| instant_acme::Error::Other(error.to_string().into()))?;
        Ok(account)
    }

    async fn order(&self) -> Result<Issued, instant_acme::Error> {
        let account = self.account().await?;
        let names: Vec<Identifier> =
            self.acme.domains.iter().map(|name| Identifier::Dns(name.clone())).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        let mut tokens = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let mut challenge = authorization
                .challenge(ChallengeType::Http01)
                .ok_or(instant_acme::Error::Str("the authority does not ask over HTTP"))?;
            let answer = challenge.key_authorization().as_str().to_owned();
            let token = challenge.token.clone();
            self.challenges.0.write().insert(token.clone(), answer);
            tokens.push(token);
            challenge.set_ready().await?;
        }
        let ready = order.poll_ready(&RetryPolicy::default()).await;
        {
            let mut open = self.challenges.0.write();
            tokens.iter().for_each(|token| drop(open.remove(token)));
        }
        if ready? != OrderStatus::Ready {
            return Err(instant_acme::Error::Str("the authority could not check the names"));
        }
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&RetryPolicy::default()).await?;
        Ok(Issued { chain, key })
    }

    /// Writes a file that only its owner may read, whole or not at all.
    fn write(&self, name: &str, content: &str) -> Result<(), ServeError> {
        let path = self.folder.join(name);
        let aside = self.folder.join(format!("{name}.new"));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| options.open(&aside))
            .and_then(|mut file| file.write_all(content.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&aside, &path))
            .map_err(|error| ServeError::file(&path, &error))
    }
}

/// From when until when the first certificate of a chain holds, in seconds since 1970.
fn validity_s(chain: &str) -> Option<(i64, i64)> {
    let first = CertificateDer::from_pem_slice(chain.as_bytes()).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&first).ok()?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

//! `[[source]]`: receiving URLs and the endpoints behind them.

use std::collections::BTreeMap;
use std::time::Duration;

use becket_filter::Filter;
use becket_model::{EndpointSettings, Rate};
use becket_signature::standard_webhooks::{SigningKey, SigningKeyError};
use becket_signature::{Credentials, Place};
use ipnet::IpNet;

use super::act::{Exec, Notify, Queue, Sql, Transform};
use super::compound::{BodySchema, Retry};
use super::kinds::{ByteSize, HttpUrl, Method, OnInvalid, Parameter, Verification};
use super::secret::Secret;
use super::table::table;

table! {
    /// A receiving URL, `/in/<id>`, with its provider, secrets, limits and rules.
    pub struct Source {
        /// Its name, the last part of its URL: letters, digits, `-`, `_` and `.`.
        id: String,
        /// Who sends: a slug of `becket providers list`, or of a `[[provider]]` of this file.
        provider: String,
        /// The secrets that prove a request genuine; any of them may fit.
        secrets: Vec<Secret>,
        /// The provider's public key: PEM, base64 or hexadecimal DER, or JWK.
        public_key: Option<Secret>,
        /// Several public keys; any of them may fit.
        public_keys: Vec<Secret>,
        /// What else the provider's entry asks for, by its names, such as `verify_token`.
        credentials: BTreeMap<String, Secret>,
        /// Settings of the provider's entry, by its names; `hmac`, `token` and `basic` have some.
        params: BTreeMap<String, Parameter>,
        /// The event types to keep; others are answered with success, recorded and not delivered.
        /// A final `*` stands for any ending.
        event_types: Option<Vec<String>>,
        /// How many genuine requests are accepted; no limit if absent.
        rate_limit: Option<Rate>,
        /// The methods that carry events.
        methods: Vec<Method> = "POST",
        /// The largest body; if absent, what the provider's entry says, else 5 MiB.
        body_limit: Option<ByteSize>,
        /// Networks that may send; any if absent.
        allow_ips: Vec<IpNet>,
        /// Paths of fields that a JSON body must have, such as `data.id`.
        required: Vec<String>,
        /// A JSON Schema for every body: `{ file = "..." }`, or the schema itself as a table.
        schema: Option<BodySchema>,
        /// JSON Schemas by event type.
        schemas: BTreeMap<String, BodySchema>,
        /// `reject` or `accept` events that break `required` or a schema.
        on_invalid: OnInvalid = "reject",
        /// The status of the answer to a rejected event.
        invalid_status: u16 = "422",
        /// `enforce` refuses requests that cannot be verified; `observe` accepts them and marks the
        /// events, which is for trying out a new source and for nothing else.
        verification: Verification = "enforce",
        /// How far a signed time may be off, in both directions; the entry's own if absent.
        tolerance: Option<Duration>,
        /// How old a signed time may be; overrides `tolerance`.
        max_age: Option<Duration>,
        /// How far ahead a signed time may be; overrides `tolerance`.
        max_future: Option<Duration>,
        /// How repeats of an event are recognised.
        dedupe: Dedupe,
        /// The answer to an accepted event; the entry's own if absent.
        ack: Option<Ack>,
        /// The full URL that is registered at the provider, if it is not
        /// `<server.public_url>/in/<id>`.
        public_url: Option<HttpUrl>,
        /// After how long without an event an alert is sent; learned from what is usual if absent.
        quiet_after: Option<Duration>,
        /// Where events go.
        endpoints as "endpoint": Vec<Endpoint>,
    }
}

table! {
    /// How repeats of an event are recognised.
    pub struct Dedupe {
        /// Whether they are.
        enabled: bool = "true",
        /// For how long an event is remembered by its delivery id.
        window: Duration = "72h",
        /// For how long it is remembered by its body, if the provider sends no delivery id.
        hash_window: Duration = "5m",
        /// Where the delivery id is, such as `header:x-id` or `json:data.id`; the entry's own if
        /// absent.
        id: Option<Place>,
    }
}

table! {
    /// The answer to an accepted event.
    pub struct Ack {
        /// A status from 200 to 299.
        status: u16 = "200",
        /// Its content type.
        content_type: String = "text/plain; charset=utf-8",
        /// Its body.
        body: String = "",
    }
}

table! {
    /// Where events of a source go.
    pub struct Endpoint {
        /// Its name, unique in the source; made from the URL if absent. Deliveries that wait belong
        /// to this name.
        id: String = "",
        /// An http or https URL to post to, private ones included. An endpoint has this, or one of
        /// `exec`, `sql`, `notify` and `queue`.
        url: Option<HttpUrl>,
        /// A program that is run instead of posting.
        exec: Option<Exec>,
        /// A database table that gets a row.
        sql: Option<Sql>,
        /// People who get a message.
        notify: Option<Notify>,
        /// A broker that the event is published to.
        queue: Option<Queue>,
        /// JavaScript that changes a delivery before it is signed.
        transform: Option<Transform>,
        /// The secret that signs deliveries (`whsec_...`); made and kept if absent.
        secret: Option<Secret>,
        /// `standard` (about three days), `short`, `none`, or a list of waits.
        retry: Retry = "standard",
        /// How long an attempt may take in all: 15s if absent and at most 60s; with `exec` 60s and
        /// at most 1h.
        timeout: Option<Duration>,
        /// How long connecting may take.
        connect_timeout: Duration = "5s",
        /// How many attempts are made at the same time: 10 if absent, with `exec` 1.
        concurrency: Option<u32>,
        /// How many attempts are made in a period; no limit if absent.
        rate_limit: Option<Rate>,
        /// The event types to deliver; all if absent. A final `*` stands for any ending.
        event_types: Option<Vec<String>>,
        /// Which events to deliver, by headers, query, body, path, method and type: a table such as
        /// `{ body = { ref = "refs/heads/main" } }`, or the same as a JSON text; all if absent.
        filter: Option<Filter>,
        /// Headers that are added to every attempt.
        headers: BTreeMap<String, Secret>,
        /// Whether the sender's Authorization header is passed on.
        forward_authorization: bool = "false",
        /// What it is, for people.
        description: String = "",
    }
}

impl Source {
    /// Secrets, keys, named credentials and parameters as the verifier takes them.
    #[must_use]
    pub fn credentials_for_verifier(&self) -> Credentials {
        let expose = |secrets: &[Secret]| secrets.iter().map(|s| s.expose().to_owned()).collect();
        let mut public_keys: Vec<String> = expose(&self.public_keys);
        public_keys.extend(self.public_key.iter().map(|key| key.expose().to_owned()));
        let mut named: BTreeMap<String, String> =
            self.params.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
        for (name, value) in &self.credentials {
            named.insert(name.clone(), value.expose().to_owned());
        }
        Credentials::new(expose(&self.secrets), public_keys, named)
    }

    /// How old and how far ahead a signed time may be, in seconds, if the file says so.
    #[must_use]
    pub fn tolerance_s(&self) -> (Option<u64>, Option<u64>) {
        let seconds = |own: Option<Duration>| own.or(self.tolerance).map(|limit| limit.as_secs());
        (seconds(self.max_age), seconds(self.max_future))
    }
}

impl Source {
    /// How many requests a minute it takes, if it has a limit: for senders that ask.
    #[must_use]
    pub fn rate_per_minute(&self) -> Option<u64> {
        let rate = self.rate_limit?;
        Some(u64::from(rate.count).saturating_mul(60_000) / rate.period_ms.max(1))
    }
}

impl Endpoint {
    /// How long an attempt may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(if self.exec.is_some() {
            super::act::EXEC_TIMEOUT
        } else {
            Duration::from_secs(15)
        })
    }

    /// How many attempts are made at the same time.
    #[must_use]
    pub fn concurrency(&self) -> u32 {
        self.concurrency.unwrap_or(if self.exec.is_some() { 1 } else { 10 })
    }

    /// How it is called, as the engine takes it. Endpoints of the file may reach private addresses.
    #[must_use]
    pub fn settings(&self) -> EndpointSettings {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        EndpointSettings {
            kind: self.kind(),
            url: match &self.url {
                Some(url) => url.as_str().to_owned(),
                None => format!("{}:{}", self.kind().as_str(), self.id),
            },
            description: self.description.clone(),
            event_types: self.event_types.clone(),
            filter: self.filter.clone(),
            timeout_ms: ms(self.timeout()),
            connect_timeout_ms: ms(self.connect_timeout),
            concurrency: self.concurrency(),
            rate: self.rate_limit,
            retry: self.retry.schedule.clone(),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect(),
            allow_private: true,
            forward_authorization: self.forward_authorization,
            ..EndpointSettings::default()
        }
    }

    /// The signing secret in its usual form, `whsec_` or `whsk_` and base64, if the file gives one.
    ///
    /// # Errors
    /// If the secret is too short or broken; loading has already refused such a file.
    pub fn signing_secret(&self) -> Result<Option<String>, SigningKeyError> {
        self.secret
            .as_ref()
            .map(|secret| signing_secret(secret.expose()).map(|(key, _)| key))
            .transpose()
    }
}

/// A signing secret in its usual form, and whether its text had to be taken as it is.
/// Without a prefix, base64 is read as such; any other text stands for its own bytes.
pub(super) fn signing_secret(text: &str) -> Result<(String, bool), SigningKeyError> {
    use base64::Engine as _;
    let text = text.trim();
    match SigningKey::parse(text) {
        Ok(key) => return Ok((key.expose(), false)),
        Err(SigningKeyError::Prefix) => {}
        Err(error) => return Err(error),
    }
    if let Ok(key) = SigningKey::parse(&format!("whsec_{text}")) {
        return Ok((key.expose(), false));
    }
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    SigningKey::parse(&format!("whsec_{encoded}")).map(|key| (key.expose(), true))
}

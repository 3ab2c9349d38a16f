//! Where the database is and how it is spoken to, from the options: without opening the store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use becket_postgres::{Server, Tls};
use becket_store::{Result, StoreError};

use crate::errors::unusable;
use crate::gauges::Meters;
use crate::options::Options;
use crate::pool::Door;
use crate::session::Patience;

/// The way to the database.
pub(crate) struct Arrival {
    /// Makes sessions whose `search_path` is the schema.
    pub(crate) door: Arc<Door>,
    /// The schema's name, which needs no quotes.
    pub(crate) schema: String,
    pub(crate) meters: Arc<Meters>,
}

/// Reads the options; connects to nothing yet.
pub(crate) async fn arrive(options: &Options) -> Result<Arrival> {
    let (server, schema) = server_of(options)?;
    let tls = tls_of(&server).await?;
    let meters = Arc::<Meters>::default();
    let patience = Patience { answer: options.answer_max, commit: options.commit_max };
    // A try ends before the call that waits for it, so that the call can say why.
    let limit = options.wait_max * 5 / 6;
    let noise = Arc::clone(&options.noise);
    let setup = setup(&schema);
    let door = Door::new(&server, tls, setup, patience, limit, Arc::clone(&meters), noise);
    Ok(Arrival { door: Arc::new(door), schema, meters })
}

/// The server and the schema that the options name.
fn server_of(options: &Options) -> Result<(Server, String)> {
    let wrong = |problem: String| StoreError::Unusable {
        path: "the URL of the store".to_owned(),
        detail: problem,
    };
    let (mut server, own) = Server::parse(&options.url, &["schema"])
        .map_err(|error| wrong(format!("it {error}; write postgres://user@host/database")))?;
    let schema = own.get("schema").map_or("becket", String::as_str);
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if schema.is_empty() || schema.len() > 48 || !schema.bytes().all(fits) {
        let problem = "`schema` is up to 48 lower-case letters, digits and underscores";
        return Err(wrong(problem.to_owned()));
    }
    let name: String = options.name.chars().filter(|one| one.is_ascii_graphic()).collect();
    server.config.application_name(format!("becket {name}").trim_end());
    server.config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
    // A server that has gone without a word is noticed within 20 seconds.
    server.config.keepalives_idle(Duration::from_secs(10));
    server.config.keepalives_interval(Duration::from_secs(3));
    server.config.keepalives_retries(3);
    server.config.tcp_user_timeout(Duration::from_secs(10));
    Ok((server, schema.to_owned()))
}

/// What is set in every session.
fn setup(schema: &str) -> String {
    format!(
        "SET search_path TO \"{schema}\"; SET client_min_messages TO warning; \
         SET statement_timeout TO '5s'; SET lock_timeout TO '4s'; \
         SET idle_in_transaction_session_timeout TO '5s'; \
         SET default_transaction_isolation TO 'read committed'; SET jit TO off"
    )
}

/// Reads the trusted certificates, if any connection may be encrypted.
async fn tls_of(server: &Server) -> Result<Option<Tls>> {
    if server.config.get_ssl_mode() == tokio_postgres::config::SslMode::Disable {
        return Ok(None);
    }
    let roots = server.root_certificate().map(Path::to_path_buf);
    let read = tokio::task::spawn_blocking(move || Tls::new(roots.as_deref())).await;
    let tls = read.map_err(|error| unusable(error.to_string()))?;
    tls.map(Some).map_err(unusable)
}

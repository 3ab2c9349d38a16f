//! Streams of Redis: an entry for each event, by `XADD`, with the fields `id`, `type`, `source`, `body`
//! and `headers` (a JSON object). Redis recognises no repeats; consumers compare the field `id`.

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ErrorKind, IntoConnectionInfo as _, RedisError, ServerErrorKind,
};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::action::{Broker, Trouble};
use crate::dial::Dialer;
use crate::message::Message;
use crate::plan::{QueueError, QueueSettings};

pub(crate) struct Redis {
    dialer: Dialer,
    login: redis::RedisConnectionInfo,
    max_length: Option<u64>,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    pub(crate) fn new(settings: &QueueSettings) -> Result<Self, QueueError> {
        // TLS is made here, so the library is to see a plain URL.
        let (encrypted, url) = match settings.url.strip_prefix("rediss://") {
            Some(rest) => (true, format!("redis://{rest}")),
            None => (false, settings.url.clone()),
        };
        let wrong = || QueueError::Url("cannot be read as a Redis URL".to_owned());
        let info = url.into_connection_info().map_err(|_| wrong())?;
        let redis::ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(wrong());
        };
        Ok(Self {
            dialer: Dialer::new(host, *port, encrypted, settings.root_certificate.clone()),
            login: info.redis_settings().clone(),
            max_length: settings.max_length,
            connection: Mutex::new(None),
        })
    }

    /// The kept connection, or a new one.
    async fn connection(&self) -> Result<MultiplexedConnection, Trouble> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.as_ref() {
            return Ok(connection.clone());
        }
        let stream =
            self.dialer.dial().await.map_err(|error| {
                Trouble::Unreachable(format!("Redis cannot be reached: {error}."))
            })?;
        // The attempt has a time of its own.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&self.login, stream, config)
                .await
                .map_err(|error| trouble(&error))?;
        tokio::spawn(driver);
        *kept = Some(connection.clone());
        Ok(connection)
    }
}

#[async_trait]
impl Broker for Redis {
    async fn publish(&self, message: &Message, _until: Instant) -> Result<String, Trouble> {
        let mut connection = self.connection().await?;
        let headers: Map<String, Value> = message
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(value.clone())))
            .collect();
        let mut add = redis::cmd("XADD");
        add.arg(&message.subject);
        if let Some(length) = self.max_length {
            add.arg("MAXLEN").arg("~").arg(length);
        }
        add.arg("*").arg("id").arg(&message.id).arg("type").arg(&message.event_type);
        add.arg("source").arg(&message.source).arg("body").arg(message.body.as_ref());
        add.arg("headers").arg(Value::Object(headers).to_string());
        match add.query_async::<String>(&mut connection).await {
            Ok(entry) => Ok(format!("to the stream `{}` as {entry}", message.subject)),
            Err(error) => {
                let trouble = trouble(&error);
                if matches!(trouble, Trouble::Unreachable(_)) {
                    *self.connection.lock().await = None;
                }
                Err(trouble)
            }
        }
    }
}

fn trouble(error: &RedisError) -> Trouble {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => {
            Trouble::Unreachable(format!("The connection to Redis failed: {error}."))
        }
        ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain) => {
            let code = error.code().unwrap_or_default();
            Trouble::Unreachable(format!("Redis is not ready ({code})."))
        }
        ErrorKind::AuthenticationFailed => {
            Trouble::Refused("Redis refused the user or its password.".to_owned())
        }
        // What the server says about a command names keys and commands, not values.
        _ => Trouble::Refused(format!("Redis did not take the entry: {error}.")),
    }
}

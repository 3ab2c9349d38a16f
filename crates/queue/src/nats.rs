//! NATS with JetStream: a message for each event, acknowledged by a stream that keeps it. Its
//! `Nats-Msg-Id` is the event's id, by which the stream drops repeats within its `duplicate_window`.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{ContextBuilder, PublishErrorKind};
use async_nats::{Client, ConnectOptions, HeaderMap, ServerAddr};
use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::action::{Broker, Trouble};
use crate::message::Message;
use crate::plan::{QueueError, QueueSettings};

/// What one try may take at least, however little time the attempt has left.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

pub(crate) struct Nats {
    address: ServerAddr,
    settings: QueueSettings,
    client: Mutex<Option<Client>>,
}

impl Nats {
    pub(crate) fn new(settings: &QueueSettings) -> Result<Self, QueueError> {
        let address = settings
            .url
            .parse()
            .map_err(|_| QueueError::Url("cannot be read as a NATS URL".to_owned()))?;
        Ok(Self { address, settings: settings.clone(), client: Mutex::new(None) })
    }

    /// The kept connection if it is one, or a new one.
    async fn client(&self, until: Instant) -> Result<Client, Trouble> {
        let mut kept = self.client.lock().await;
        if let Some(client) = kept.as_ref() {
            if client.connection_state() == async_nats::connection::State::Connected {
                return Ok(client.clone());
            }
            // Its own reconnecting would publish what it holds after the attempt has ended.
            *kept = None;
        }
        let left = until.saturating_duration_since(Instant::now()).max(SHORTEST_WAIT);
        let mut options = ConnectOptions::new()
            .name("becket")
            .connection_timeout(left)
            .max_reconnects(1)
            .request_timeout(None)
            .event_callback(|event| async move {
                tracing::debug!(%event, "a connection to NATS changed");
            });
        match (self.address.username(), self.address.password()) {
            (Some(user), Some(password)) => {
                options = options.user_and_password(user.to_owned(), password.to_owned());
            }
            (Some(token), None) => options = options.token(token.to_owned()),
            (None, _) => {}
        }
        let tls = crate::tls::client(self.settings.root_certificate.as_deref())
            .map_err(|problem| Trouble::Refused(format!("NATS cannot be used: {problem}.")))?;
        options = options.tls_client_config(tls);
        let client = options.connect(self.address.clone()).await.map_err(|error| {
            use async_nats::ConnectErrorKind::{Authentication, AuthorizationViolation};
            match error.kind() {
                Authentication | AuthorizationViolation => {
                    Trouble::Refused("NATS refused the user, password or token.".to_owned())
                }
                _ => Trouble::Unreachable(format!("NATS cannot be reached: {error}.")),
            }
        })?;
        *kept = Some(client.clone());
        Ok(client)
    }

    fn context(client: Client, until: Instant) -> Context {
        let left = until.saturating_duration_since(Instant::now()).max(SHORTEST_WAIT);
        ContextBuilder::new().ack_timeout(left).build(client)
    }
}

#[async_trait]
impl Broker for Nats {
    async fn publish(&self, message: &Message, until: Instant) -> Result<String, Trouble> {
        let client = self.client(until).await?;
        let limit = client.server_info().max_payload;
        if limit > 0 && message.body.len() > limit {
            return Err(Trouble::Never(format!(
                "The body has {} bytes, and the server's `max_payload` is {limit}.",
                message.body.len()
            )));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            headers.append(name.as_str(), value.as_str());
        }
        headers.insert("Nats-Msg-Id", message.id.as_str());
        headers.insert("becket-event-id", message.id.as_str());
        headers.insert("becket-event-type", message.event_type.as_str());
        headers.insert("becket-source", message.source.as_str());
        let context = Self::context(client, until);
        let subject = message.subject.clone();
        let sent = context.publish_with_headers(subject, headers, message.body.clone()).await;
        let acknowledged = match sent {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        let error = match acknowledged {
            Ok(ack) => {
                let again = if ack.duplicate { ", which had it already" } else { "" };
                let (stream, sequence) = (ack.stream, ack.sequence);
                return Ok(format!("to the stream `{stream}` as {sequence}{again}"));
            }
            Err(error) => error,
        };
        match error.kind() {
            PublishErrorKind::StreamNotFound => Err(Trouble::Refused(format!(
                "No stream keeps the subject `{}`; add the subject to one (nats stream add).",
                message.subject
            ))),
            PublishErrorKind::MaxPayloadExceeded => Err(Trouble::Never(
                "Body and headers together are larger than the server's `max_payload`.".to_owned(),
            )),
            PublishErrorKind::BrokenPipe | PublishErrorKind::TimedOut => {
                *self.client.lock().await = None;
                Err(Trouble::Unreachable("NATS did not acknowledge the message.".to_owned()))
            }
            _ => Err(Trouble::Refused(format!("NATS did not take the message: {error}."))),
        }
    }
}

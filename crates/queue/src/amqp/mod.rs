//! RabbitMQ: a persistent message for each event, published as mandatory on a channel with
//! confirmations. Its `message_id` is the event's id; consumers compare it, RabbitMQ does not.
//!
//! Invariant: a channel has one message under way at a time, so that one that comes back as
//! unroutable is known to be that one.

mod runtime;

use std::sync::Arc;

use async_trait::async_trait;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{
    AsyncTcpStream, BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    ErrorKind,
};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::compat::TokioAsyncReadCompatExt as _;

use crate::action::{Broker, Trouble};
use crate::dial::Dialer;
use crate::message::Message;
use crate::plan::{QueueError, QueueSettings};
use runtime::OwnRuntime;

/// AMQP's mark for a message that outlives the broker.
const PERSISTENT: u8 = 2;
/// AMQP's short strings have no more bytes.
const SHORT_BYTES_MAX: usize = 255;

pub(crate) struct Amqp {
    uri: AMQPUri,
    dialer: Arc<Dialer>,
    exchange: ShortString,
    link: Mutex<Option<Arc<Link>>>,
}

/// A connection with the channels that are free.
struct Link {
    connection: Connection,
    idle: parking_lot::Mutex<Vec<Channel>>,
}

impl Amqp {
    pub(crate) fn new(settings: &QueueSettings) -> Result<Self, QueueError> {
        let wrong = || QueueError::Url("cannot be read as an AMQP URL".to_owned());
        let mut uri: AMQPUri = settings.url.parse().map_err(|_| wrong())?;
        // Letter by letter `amqp://host/` is the virtual host without a name, which nobody has.
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        let exchange = settings.exchange.clone().unwrap_or_default();
        if exchange.len() > SHORT_BYTES_MAX {
            return Err(QueueError::Url("has an `exchange` beside it that is too long".to_owned()));
        }
        let dialer = Dialer::new(
            &uri.authority.host,
            uri.authority.port,
            uri.scheme == AMQPScheme::AMQPS,
            settings.root_certificate.clone(),
        );
        Ok(Self {
            uri,
            dialer: Arc::new(dialer),
            exchange: exchange.into(),
            link: Mutex::new(None),
        })
    }

    /// The kept connection if it is one, or a new one.
    async fn link(&self) -> Result<Arc<Link>, Trouble> {
        let mut kept = self.link.lock().await;
        if let Some(link) = kept.as_ref().filter(|link| link.connection.status().connected()) {
            return Ok(Arc::clone(link));
        }
        let dialer = Arc::clone(&self.dialer);
        let connect = async move |_: AMQPUri, _: async_rs::Runtime<OwnRuntime>| {
            Ok(AsyncTcpStream::Plain(dialer.dial().await?.compat()))
        };
        let properties = ConnectionProperties::default().with_connection_name("becket".into());
        let runtime = async_rs::Runtime::new(OwnRuntime::current());
        let connection = Connection::connector(self.uri.clone(), runtime, connect, properties)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::ProtocolError(told) => Trouble::Refused(format!(
                    "RabbitMQ refused the connection: {}.",
                    told.get_message()
                )),
                _ => Trouble::Unreachable(format!("RabbitMQ cannot be reached: {error}.")),
            })?;
        let link = Arc::new(Link { connection, idle: parking_lot::Mutex::default() });
        *kept = Some(Arc::clone(&link));
        Ok(link)
    }

    fn properties(message: &Message) -> BasicProperties {
        let short = |text: &str| -> Option<ShortString> {
            (!text.is_empty() && text.len() <= SHORT_BYTES_MAX).then(|| text.into())
        };
        let mut headers = FieldTable::default();
        let mut put = |name: &str, value: &str| {
            if let Some(name) = short(name) {
                headers.insert(name, AMQPValue::LongString(LongString::from(value)));
            }
        };
        for (name, value) in &message.headers {
            put(name, value);
        }
        put("becket-event-id", &message.id);
        put("becket-event-type", &message.event_type);
        put("becket-source", &message.source);
        let seconds = u64::try_from(message.received_at_ms / 1_000).unwrap_or_default();
        let mut properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_app_id("becket".into())
            .with_timestamp(seconds)
            .with_headers(headers);
        if let Some(id) = short(&message.id) {
            properties = properties.with_message_id(id);
        }
        if let Some(event_type) = short(&message.event_type) {
            properties = properties.with_type(event_type);
        }
        if let Some(content_type) = message.content_type.as_deref().and_then(short) {
            properties = properties.with_content_type(content_type);
        }
        properties
    }
}

impl Link {
    /// A channel that confirms and that nobody else uses.
    async fn channel(&self) -> lapin::Result<Channel> {
        while let Some(channel) = self.idle.lock().pop() {
            if channel.status().connected() {
                return Ok(channel);
            }
        }
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }
}

#[async_trait]
impl Broker for Amqp {
    async fn publish(&self, message: &Message, _until: Instant) -> Result<String, Trouble> {
        let link = self.link().await?;
        let sent = async {
            let channel = link.channel().await?;
            let confirm = channel
                .basic_publish(
                    self.exchange.clone(),
                    message.subject.as_str().into(),
                    BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() },
                    &message.body,
                    Self::properties(message),
                )
                .await?;
            let confirmed = confirm.await?;
            link.idle.lock().push(channel);
            lapin::Result::Ok(confirmed)
        };
        let exchange = self.exchange.as_str();
        let place = match exchange {
            "" => format!("the queue `{}`", message.subject),
            _ => format!("the exchange `{exchange}` with the key `{}`", message.subject),
        };
        match sent.await {
            Ok(Confirmation::Ack(None)) => Ok(format!("to {place}")),
            Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_))) => {
                Err(Trouble::Refused(match exchange {
                    "" => format!("There is no queue `{}`; declare it.", message.subject),
                    _ => format!("No queue is bound to {place}; bind one."),
                }))
            }
            Ok(Confirmation::Nack(None)) => Err(Trouble::Refused(
                "RabbitMQ did not take responsibility for the message; its queue may be full."
                    .to_owned(),
            )),
            Ok(Confirmation::NotRequested) => {
                Err(Trouble::Refused("RabbitMQ does not confirm messages.".to_owned()))
            }
            Err(error) => Err(match error.kind() {
                // The channel is gone, the connection is not.
                ErrorKind::ProtocolError(told) if link.connection.status().connected() => {
                    Trouble::Refused(format!(
                        "RabbitMQ did not take the message: {}.",
                        told.get_message()
                    ))
                }
                _ => Trouble::Unreachable(format!("The connection to RabbitMQ failed: {error}.")),
            }),
        }
    }
}

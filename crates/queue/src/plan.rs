//! Which broker, and where in it: the configuration, checked as far as it can be without a connection.

use std::fmt;
use std::path::PathBuf;

use becket_egress::action::template::Template;

/// A kind of broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerKind {
    /// NATS with JetStream.
    Nats,
    /// RabbitMQ, by AMQP 0-9-1.
    Amqp,
    /// A stream of Redis or Valkey.
    Redis,
}

impl BrokerKind {
    /// Whether this build can publish to it.
    #[must_use]
    pub const fn is_built_in(self) -> bool {
        match self {
            Self::Nats => cfg!(feature = "nats"),
            Self::Amqp => cfg!(feature = "amqp"),
            Self::Redis => cfg!(feature = "redis"),
        }
    }

    /// The feature of the gateway's build that it needs.
    #[must_use]
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Nats => "queue-nats",
            Self::Amqp => "queue-amqp",
            Self::Redis => "queue-redis",
        }
    }

    /// What a message is published to, in its words.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Self::Nats => "subject",
            Self::Amqp => "routing key",
            Self::Redis => "stream",
        }
    }
}

impl fmt::Display for BrokerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nats => "NATS",
            Self::Amqp => "RabbitMQ",
            Self::Redis => "Redis",
        })
    }
}

/// What an endpoint that publishes is configured with.
#[derive(Clone)]
pub struct QueueSettings {
    /// `nats://`, `tls://`, `amqp://`, `amqps://`, `redis://` or `rediss://`, with user and password.
    pub url: String,
    /// The subject (NATS), routing key (RabbitMQ) or stream (Redis); may have `{{...}}` in it.
    pub subject: String,
    /// The exchange of RabbitMQ; the default one, which routes by the queue's name, if absent.
    pub exchange: Option<String>,
    /// About how many entries a stream of Redis may have; no limit if absent.
    pub max_length: Option<u64>,
    /// A file with further certificate authorities.
    pub root_certificate: Option<PathBuf>,
}

/// Why a configuration cannot work, found without a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The URL names no broker. It is not repeated: it may hold a password.
    #[error("`url` {0}")]
    Url(String),
    /// This build does not know this kind of broker.
    #[error(
        "this build cannot publish to {kind}; build the gateway with `--features {}`",
        kind.feature()
    )]
    NotBuiltIn {
        /// The kind.
        kind: BrokerKind,
    },
    /// The subject is no text with fields.
    #[error("`subject` {0}")]
    Subject(String),
    /// A setting that belongs to another kind of broker.
    #[error("`{setting}` is for {kind} only")]
    Foreign {
        /// The setting.
        setting: &'static str,
        /// The kind that has it.
        kind: BrokerKind,
    },
    /// The thread that talks to the broker could not be started.
    #[error("the thread that talks to the broker could not be started: {0}")]
    Thread(String),
}

impl QueueError {
    /// A stable code for each kind.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Url(_) => "queue_url",
            Self::NotBuiltIn { .. } => "queue_not_built_in",
            Self::Subject(_) => "queue_subject",
            Self::Foreign { .. } => "queue_setting",
            Self::Thread(_) => "queue_thread",
        }
    }
}

/// A configuration that can work, as far as that shows without a connection.
#[derive(Clone)]
pub struct QueuePlan {
    pub(crate) kind: BrokerKind,
    #[cfg_attr(
        not(any(feature = "nats", feature = "amqp", feature = "redis")),
        expect(dead_code, reason = "without brokers nobody connects")
    )]
    pub(crate) settings: QueueSettings,
    pub(crate) subject: Template,
}

const SCHEMES: [(&str, BrokerKind); 6] = [
    ("nats", BrokerKind::Nats),
    ("tls", BrokerKind::Nats),
    ("amqp", BrokerKind::Amqp),
    ("amqps", BrokerKind::Amqp),
    ("redis", BrokerKind::Redis),
    ("rediss", BrokerKind::Redis),
];

impl QueuePlan {
    /// Checks a configuration.
    ///
    /// # Errors
    /// The first thing that cannot work, in a sentence.
    pub fn new(settings: &QueueSettings) -> Result<Self, QueueError> {
        let scheme = settings.url.split_once("://").map(|(scheme, _)| scheme);
        let known = SCHEMES.iter().find(|(name, _)| Some(*name) == scheme);
        let Some((_, kind)) = known else {
            let names = SCHEMES.map(|(name, _)| format!("{name}://")).join(", ");
            return Err(QueueError::Url(format!("begins with one of {names}")));
        };
        let kind = *kind;
        let subject = Template::parse(&settings.subject)
            .map_err(|error| QueueError::Subject(error.to_string()))?;
        if settings.subject.is_empty() {
            return Err(QueueError::Subject("is empty".to_owned()));
        }
        for (setting, given, of) in [
            ("exchange", settings.exchange.is_some(), BrokerKind::Amqp),
            ("max_length", settings.max_length.is_some(), BrokerKind::Redis),
        ] {
            if given && kind != of {
                return Err(QueueError::Foreign { setting, kind: of });
            }
        }
        if !kind.is_built_in() {
            return Err(QueueError::NotBuiltIn { kind });
        }
        if subject.is_fixed()
            && let Some(problem) = crate::message::subject_problem(kind, &settings.subject)
        {
            return Err(QueueError::Subject(problem.to_owned()));
        }
        Ok(Self { kind, settings: settings.clone(), subject })
    }
}

//! Endpoints that publish: each event becomes a message at a broker, which has to confirm it before
//! the delivery counts as done.
//!
//! Role: [`QueuePlan::new`] checks what was configured, without any connection; [`QueueAction`]
//! publishes to NATS JetStream, RabbitMQ or a Redis stream. Each kind is a feature of the build
//! (`nats`, `amqp`, `redis`), because each brings a library of its own.
//!
//! Invariants:
//! - Done means that the broker said so: JetStream's acknowledgement, RabbitMQ's confirmation of a
//!   persistent message that was routed to a queue, the id that Redis gave the entry.
//! - Every message carries the event's id where the broker or its consumers look for it, so that one
//!   that is published again after a lost confirmation can be recognised.
//! - A connection that broke is made again with growing pauses for as long as the attempt lasts.
//! - Neither payloads nor passwords are in a note or in the log.
//!
//! Deliberately absent: making streams, exchanges and queues (they belong to whoever consumes),
//! consuming, Kafka and the clouds' own queues.
//!
//! Where next: `plan` for the settings, `message` for what is published, one file for each broker.

mod action;
#[cfg(feature = "amqp")]
mod amqp;
#[cfg(any(feature = "amqp", feature = "redis"))]
mod dial;
mod message;
#[cfg(feature = "nats")]
mod nats;
mod plan;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "nats", feature = "amqp", feature = "redis"))]
mod tls;

pub use action::QueueAction;
pub use plan::{BrokerKind, QueueError, QueuePlan, QueueSettings};

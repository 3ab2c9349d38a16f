//! `[source.endpoint.queue]`: a broker that each event is published to.

use std::path::PathBuf;
use std::sync::Arc;

use becket_egress::action::Action;
use becket_queue::{QueueAction, QueuePlan, QueueSettings};

use super::ActContext;
use crate::config::secret::Secret;
use crate::config::table::table;

table! {
    /// A broker that each event is published to.
    pub struct Queue {
        /// Where it is: `nats://` or `tls://` (NATS JetStream), `amqp://` or `amqps://` (RabbitMQ),
        /// `redis://` or `rediss://` (Redis streams), with user and password.
        url: Secret,
        /// The subject (NATS), routing key (RabbitMQ) or stream (Redis), which may have `{{...}}` in
        /// it.
        subject: String = "webhooks.{{event.source}}",
        /// The exchange, RabbitMQ only; if absent the default one, whose routing keys are queues.
        exchange: Option<String>,
        /// About how many entries a stream may have, Redis only; no limit if absent.
        max_length: Option<u64>,
        /// A file with certificate authorities that are trusted beside the usual ones.
        root_certificate: Option<PathBuf>,
    }
}

impl Queue {
    /// The action that this describes.
    ///
    /// # Errors
    /// A sentence about what cannot work.
    pub fn action(&self, _context: &ActContext) -> Result<Arc<dyn Action>, String> {
        let settings = QueueSettings {
            url: self.url.expose().to_owned(),
            subject: self.subject.clone(),
            exchange: self.exchange.clone(),
            max_length: self.max_length,
            root_certificate: self.root_certificate.clone(),
        };
        let plan = QueuePlan::new(&settings).map_err(|error| error.to_string())?;
        let action = QueueAction::new(plan).map_err(|error| error.to_string())?;
        Ok(Arc::new(action))
    }
}

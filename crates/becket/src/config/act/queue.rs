//! `[source.endpoint.queue]`: a broker that each event is published to.

use std::sync::Arc;

use becket_egress::action::Action;

use super::ActContext;
use crate::config::table::table;

table! {
    /// A broker that each event is published to.
    pub struct Queue {
        /// The subject, stream or routing key, which may have `{{...}}` in it.
        subject: String = "{{event.type}}",
    }
}

impl Queue {
    /// The action that this describes.
    ///
    /// # Errors
    /// A sentence about what cannot work.
    pub fn action(&self, _context: &ActContext) -> Result<Arc<dyn Action>, String> {
        Err("this kind of endpoint is not ready yet".to_owned())
    }
}

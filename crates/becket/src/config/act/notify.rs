//! `[source.endpoint.notify]`: a message to people.

use std::sync::Arc;

use becket_egress::action::Action;

use super::ActContext;
use crate::config::table::table;

table! {
    /// A message to people.
    pub struct Notify {
        /// The text, which may have `{{...}}` in it.
        text: String = "",
    }
}

impl Notify {
    /// The action that this describes.
    ///
    /// # Errors
    /// A sentence about what cannot work.
    pub fn action(&self, _context: &ActContext) -> Result<Arc<dyn Action>, String> {
        Err("this kind of endpoint is not ready yet".to_owned())
    }
}

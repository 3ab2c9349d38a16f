//! `[source.endpoint.exec]`: a program that is run for each delivery.

use std::sync::Arc;

use becket_egress::action::Action;

use super::ActContext;
use crate::config::table::table;

table! {
    /// A program that is run for each delivery, with the payload on its standard input.
    pub struct Exec {
        /// The program and its arguments, which may have `{{...}}` in them.
        command: Vec<String>,
    }
}

impl Exec {
    /// The action that this describes.
    ///
    /// # Errors
    /// A sentence about what cannot work.
    pub fn action(&self, _context: &ActContext) -> Result<Arc<dyn Action>, String> {
        Err("this kind of endpoint is not ready yet".to_owned())
    }
}

//! `[source.endpoint.transform]`: JavaScript that changes a delivery before it is signed.

use std::collections::BTreeMap;

use crate::config::table::table;

table! {
    /// JavaScript that changes a delivery before it is signed.
    pub struct Transform {
        /// The file with the code.
        file: Option<String>,
        /// The code itself.
        code: Option<String>,
        /// What the code finds as `variables`.
        variables: BTreeMap<String, String>,
    }
}

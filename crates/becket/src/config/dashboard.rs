//! `[dashboard]`: the pages for operators.

use std::path::PathBuf;

use super::table::table;

table! {
    /// The pages for operators at `/`, and the portal's at `/portal/`.
    pub struct Dashboard {
        /// Whether they are served; the API is not affected.
        enabled: bool = "true",
        /// A folder with built files to serve instead of those in the binary.
        dir: Option<PathBuf>,
    }
}

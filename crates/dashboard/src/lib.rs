//! The dashboard and the customer portal, as the gateway serves them.
//!
//! Role: decides which file answers a path, and with which headers. The files are embedded when
//! `make dashboard` has been run before the build; else there is one page that says so. A folder
//! can be served instead.
//!
//! Invariants: a path leads to a file below the bundle or to nothing; no path is decoded. A page
//! carries a fresh nonce and is never cached, everything else is named after its content or has an
//! ETag. The content security policy allows no inline script.
//!
//! Deliberately absent: sockets, the API's data, and making the bundle, which `make dashboard` does.
//!
//! Where next: `answer` for the decisions, `site` for where files come from.

mod answer;
mod headers;
mod negotiate;
mod site;

pub use answer::{Answer, Asked, answer, is_ours};
pub use headers::{PICTURE_POLICY, common_headers};
pub use site::{FILE_BYTES_MAX, Site, SiteError};

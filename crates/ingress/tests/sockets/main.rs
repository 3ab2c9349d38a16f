//! The receiving side over real sockets, on the store of plain maps.
//!
//! Where next: `common` starts a gateway and speaks to it in raw bytes; `raw_cases` is the table of
//! malformed and smuggling requests.

mod common;
mod gated_store;
mod leaving;
mod outcomes;
mod raw_cases;
mod raw_socket;
mod release;
mod rules;
mod server;
mod slow;

//! Messages as services get them: requests recorded on loopback, and mail through a real server.

mod mail;
mod services;
mod support;

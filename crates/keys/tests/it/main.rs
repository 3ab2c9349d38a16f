//! Fetching with a scripted clock from a TLS server with an authority of its own.

mod fetching;
mod support;

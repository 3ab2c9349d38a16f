//! The binary's parts: command line, configuration and the wiring of the gateway.
//!
//! Invariants: only this crate reads the environment, the command line and the configuration file;
//! it hands plain values to the other crates and decides nothing about webhooks itself.
//!
//! Deliberately absent: signature schemes (`signature`), HTTP handling (`ingress`, `api`), storage.
//!
//! Where next: [`cli`] for the commands, [`config`] for `becket.toml`, [`serve`] for the wiring.

pub mod cli;
pub mod config;
pub mod serve;

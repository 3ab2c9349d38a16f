//! Tools for whoever writes a handler: making events, recording them, sending them again as tests,
//! following them to one's own machine, and finding out what is wrong with a set-up.
//!
//! Invariants: everything that is sent goes through `becket_egress`; time and randomness are given by
//! the caller.
//!
//! Deliberately absent: command lines, terminals and files, which are the binary's.
pub mod doctor;
pub mod listen;
pub mod record;
pub mod test;
pub mod trigger;

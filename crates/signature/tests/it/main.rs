//! Tests from outside: the catalogue against its vectors, signing against verifying, rubbish against both.

mod answers;
mod catalogue;
mod doctor;
mod entries;
mod explain;
mod hardening;
mod keys;
mod mutations;
mod properties;
mod standard;
mod vectors;

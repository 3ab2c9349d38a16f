//! Tests from outside: the catalogue against its vectors, signing against verifying, rubbish against both.

mod catalogue;
mod entries;
mod explain;
mod properties;
mod standard;
mod vectors;

//! The API over the plain-map store: who may ask, what is answered, and what is changed.

mod access;
mod changes;
mod coverage;
mod idempotency;
mod lists;
mod shapes;
mod support;
mod tail;
mod tasks;
mod tenancy;
mod tokens;

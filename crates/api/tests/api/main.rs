//! The API over the plain-map store: who may ask, what is answered, and what is changed.

mod access;
mod changes;
mod idempotency;
mod lists;
mod resources;
mod shapes;
mod sources;
mod support;
mod tail;
mod tasks;
mod tokens;

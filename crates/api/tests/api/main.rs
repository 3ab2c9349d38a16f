//! The API over the plain-map store: who may ask, what is answered, and what is changed.

mod access;
mod changes;
mod coverage;
mod event_types;
mod filters;
mod idempotency;
mod listeners;
mod lists;
mod messages;
mod model;
mod operational;
mod quarantine;
mod resources;
mod shapes;
mod sources;
mod stand_ins;
mod support;
mod tail;
mod tasks;
mod tenancy;
mod tokens;

//! What goes over the wire: the specification's shapes and our own.

pub(crate) mod access;
pub(crate) mod applications;
pub(crate) mod becket;
pub(crate) mod body;
pub(crate) mod endpoints;
pub(crate) mod event_types;
pub(crate) mod messages;
pub(crate) mod sources;
pub(crate) mod specification;
pub(crate) mod statistics;

//! What goes over the wire: the specification's shapes and our own.

pub(crate) mod access;
pub(crate) mod activity;
pub(crate) mod applications;
pub(crate) mod becket;
pub(crate) mod body;
pub(crate) mod endpoints;
pub(crate) mod event_types;
pub(crate) mod listeners;
pub(crate) mod messages;
pub(crate) mod quarantine;
pub(crate) mod sources;
pub(crate) mod specification;
pub(crate) mod statistics;

use serde::{Deserialize, Deserializer};

/// Reads a field so that null (`Some(None)`) is told from absent (`None`, by `default`).
pub(crate) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

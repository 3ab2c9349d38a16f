//! Small values as they stand in columns.

use becket_model::{ApplicationKey, ApplicationKind, EndpointKey, EndpointState, Origin};
use becket_store::{Owner, Result, StoreError};

/// The state of an endpoint that is removed, as SQL knows it.
pub(crate) const REMOVED: i16 = 3;

pub(crate) const fn kind(kind: ApplicationKind) -> i16 {
    match kind {
        ApplicationKind::Customer => 0,
        ApplicationKind::Source => 1,
        ApplicationKind::Operational => 2,
    }
}

pub(crate) const fn kind_from(column: i16) -> ApplicationKind {
    match column {
        0 => ApplicationKind::Customer,
        1 => ApplicationKind::Source,
        _ => ApplicationKind::Operational,
    }
}

pub(crate) const fn origin(origin: Origin) -> i16 {
    match origin {
        Origin::File => 0,
        Origin::Api => 1,
    }
}

pub(crate) const fn origin_from(column: i16) -> Origin {
    if column == 0 { Origin::File } else { Origin::Api }
}

pub(crate) const fn state(state: EndpointState) -> i16 {
    match state {
        EndpointState::Enabled => 0,
        EndpointState::Paused => 1,
        EndpointState::Disabled => 2,
        EndpointState::Removed => REMOVED,
    }
}

pub(crate) const fn state_from(column: i16) -> EndpointState {
    match column {
        0 => EndpointState::Enabled,
        1 => EndpointState::Paused,
        2 => EndpointState::Disabled,
        _ => EndpointState::Removed,
    }
}

/// Numbers that the trait counts without a sign fill the same 32 bits.
pub(crate) const fn owner(owner: Owner) -> i32 {
    owner.number().cast_signed()
}

pub(crate) const fn owner_from(column: i32) -> Owner {
    Owner::new(column.cast_unsigned())
}

pub(crate) const fn application(key: ApplicationKey) -> i32 {
    key.0.cast_signed()
}

pub(crate) const fn application_from(column: i32) -> ApplicationKey {
    ApplicationKey(column.cast_unsigned())
}

pub(crate) const fn endpoint(key: EndpointKey) -> i32 {
    key.0.cast_signed()
}

pub(crate) const fn endpoint_from(column: i32) -> EndpointKey {
    EndpointKey(column.cast_unsigned())
}

/// How many rows at most.
pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The twenty bytes of an id.
pub(crate) fn id(bytes: &[u8]) -> Result<[u8; 20]> {
    bytes.try_into().map_err(|_| StoreError::Unusable {
        path: "the database".to_owned(),
        detail: "an id has not 20 bytes; restore a backup".to_owned(),
    })
}

/// What stands before the first id of a list.
pub(crate) fn edge_of_ids(after: Option<&[u8]>, descending: bool) -> Vec<u8> {
    match after {
        Some(id) => id.to_vec(),
        None if descending => vec![0xff; 21],
        None => Vec::new(),
    }
}

/// How the next one in a list compares, and the order.
pub(crate) const fn beyond(descending: bool) -> (&'static str, &'static str) {
    if descending { ("<", "DESC") } else { (">", "ASC") }
}

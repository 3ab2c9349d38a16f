//! Event types (`v1.event-type`).

use super::Route;

pub(super) const TABLE: &[Route] = &[];

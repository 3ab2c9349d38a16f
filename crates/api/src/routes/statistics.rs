//! Counts over time (`v1.statistics`).

use super::Route;

pub(super) const TABLE: &[Route] = &[];

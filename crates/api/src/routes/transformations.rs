//! Transformations of endpoints (`v1.endpoint.transformation`, `v1.ingest.endpoint.transformation`).

use super::Route;

pub(super) const TABLE: &[Route] = &[];

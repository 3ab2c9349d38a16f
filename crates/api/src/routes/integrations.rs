//! Programs that act for an application (`v1.integration`).

use super::Route;

pub(super) const TABLE: &[Route] = &[];

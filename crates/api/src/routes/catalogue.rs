//! The event catalogue and the reference, as pages and documents.

use super::Route;

pub(super) const TABLE: &[Route] = &[];

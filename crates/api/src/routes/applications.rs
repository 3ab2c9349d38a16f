//! Customers: applications and what is set for them (`v1.application`).

use super::Route;

pub(super) const TABLE: &[Route] = &[];

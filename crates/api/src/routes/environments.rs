//! Tenants, and moving what they define (`v1.environment`, `becket.environment`).

use super::Route;

pub(super) const TABLE: &[Route] = &[];

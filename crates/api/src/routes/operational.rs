//! Endpoints that hear about the gateway itself (`v1.operational-webhook.endpoint`).

use super::Route;

pub(super) const TABLE: &[Route] = &[];

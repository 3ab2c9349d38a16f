//! Portal access and tokens (`v1.authentication`, `v1.ingest.authentication`, `becket.token`).

use super::Route;

pub(super) const TABLE: &[Route] = &[];

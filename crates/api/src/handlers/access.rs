//! Portal access and tokens (`v1.authentication`, `v1.ingest.authentication`, `becket.token`).

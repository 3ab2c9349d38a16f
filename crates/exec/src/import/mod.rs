//! Reads the configuration of adnanh/webhook and writes it as `becket.toml`.

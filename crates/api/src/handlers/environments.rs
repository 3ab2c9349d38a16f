//! Tenants, and moving what they define (`v1.environment`, `becket.environment`).

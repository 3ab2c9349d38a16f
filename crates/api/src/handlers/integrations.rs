//! Programs that act for an application (`v1.integration`).

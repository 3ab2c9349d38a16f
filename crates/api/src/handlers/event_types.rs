//! Event types (`v1.event-type`).

//! The event catalogue and the reference, as pages and documents.

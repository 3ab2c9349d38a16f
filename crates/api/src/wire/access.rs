//! The public shapes of access.

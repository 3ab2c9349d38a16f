//! The public shapes of endpoints.

//! The public shapes of sources.

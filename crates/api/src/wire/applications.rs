//! The public shapes of applications.

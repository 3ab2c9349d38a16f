//! The public shapes of statistics.

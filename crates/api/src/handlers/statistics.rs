//! Counts over time (`v1.statistics`).

//! The public shapes of event types.

//! The public shapes of messages.

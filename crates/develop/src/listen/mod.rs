//! What `becket listen` is made of, without a terminal, a socket or a clock: what the stream says,
//! where an event goes, what is remembered and how it is shown.
//!
//! Invariants: memory is bounded ([`state::ENTRIES_MAX`], [`state::BODIES_MAX_BYTES`]); whatever came
//! from outside is made harmless ([`text::harmless`]) before it is shown; a repeat is never shown as
//! something new.
//!
//! Deliberately absent: connections, files, keys being pressed and time going by, which are in the
//! binary (`cli/listen`).
//!
//! Where next: [`wire`] for the stream, [`state`] for what happens, [`view`] for the screen.

pub mod lines;
pub mod proxy;
pub mod routing;
pub mod state;
pub mod text;
pub mod view;
pub mod wire;

//! The two things that the world hands in: the time and random bytes.
//!
//! The binary gives the real ones; tests and the simulation give ones that repeat.

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970, by the wall clock.
    fn now_ms(&self) -> i64;
}

/// Gives random bytes that nobody can guess.
pub trait Noise: Send + Sync + 'static {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

//! Changes that read something first take turns, so that none of them is lost.
//!
//! Invariants: whoever holds the turn of an application is alone in changing it and its endpoints by
//! reading and writing; the engine's own changes (states) do not need one. The number of locks is
//! fixed, so two applications may share one.

use becket_model::ApplicationKey;
use tokio::sync::{Mutex, MutexGuard};

const LOCKS: usize = 64;

/// The turns of all applications.
#[derive(Debug)]
pub(crate) struct Turns([Mutex<()>; LOCKS]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Turns {
    /// Waits for the turn of an application.
    pub async fn take(&self, application: ApplicationKey) -> MutexGuard<'_, ()> {
        self.0[application.0 as usize % LOCKS].lock().await
    }
}

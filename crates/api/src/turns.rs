//! Changes that read something first: none of them is lost.
//!
//! Invariants: what such a change writes it has thought out from what it read, and the store makes it
//! only if that is still so; whoever was slower, perhaps through another node, reads again ([`again`]).
//! In one process those that would meet take turns instead ([`Turns`]): whoever holds the turn of an
//! application is alone here in changing it and its endpoints by reading and writing. The engine's own
//! changes (states) need neither. The number of locks is fixed, so two applications may share one.

use becket_model::ApplicationKey;
use tokio::sync::{Mutex, MutexGuard};

use crate::problem::{ApiError, Result};

const LOCKS: usize = 64;
/// How often a change is thought out when others are quicker.
const TRIES: usize = 5;

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

/// Reads, thinks and writes; once more, up to [`TRIES`] times in all, if somebody else was quicker.
///
/// # Errors
/// Those of `attempt`; [`quicker`] if somebody else was so each time.
pub(crate) async fn again<T, F>(attempt: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    for _ in 1..TRIES {
        match attempt().await {
            Err(error) if error.is_meanwhile() => {}
            done => return done,
        }
    }
    attempt().await
}

/// Somebody else has changed something between reading and writing.
pub(crate) fn quicker(what: &str, name: &str) -> ApiError {
    let what = format!("the {what} `{name}` was changed at the same time");
    ApiError::new("changed_meanwhile", what).hint("repeat the request")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn who_was_slower_thinks_again_but_not_for_ever() {
        let asked = Cell::new(0);
        let attempt = |answer: Result<()>| {
            asked.set(asked.get() + 1);
            std::future::ready(if asked.get() < TRIES { answer } else { Ok(()) })
        };
        again(|| attempt(Err(quicker("endpoint", "hook")))).await.unwrap();
        assert_eq!(asked.replace(0), TRIES);
        let error = ApiError::not_found("endpoint", "hook");
        let refused = again(|| attempt(Err(error.clone()))).await;
        assert_eq!((refused.unwrap_err().code(), asked.get()), ("not_found", 1));
        let never: Result<()> = Err(quicker("endpoint", "hook"));
        let refused = again(|| std::future::ready(never.clone())).await;
        assert_eq!(refused.unwrap_err().code(), "changed_meanwhile");
    }
}

//! Whether a pooler that changes the session between transactions stands before the server.
//!
//! Two sessions of ours never share a process of the server. A pooler in transaction mode gives the
//! second the process that the first has just left, and forgets what was set in the first.

use becket_store::Result;
use becket_store::cluster::Advice;

use super::OPERATION;
use crate::errors::Failure;
use crate::session::Session;
use crate::shared::Shared;

const PROCESS: &str =
    "SELECT pg_backend_pid(), coalesce(current_setting('becket.probe', true), '')";

/// What to do about it.
pub(super) fn advice() -> Advice {
    Advice {
        code: "pooler_transaction_mode",
        text:
            "a pooler in transaction mode stands before the server: news between nodes, prepared \
               statements and time limits do not work through it; let Becket connect to the server \
               itself, or through a pool in session mode"
                .to_owned(),
        urgent: true,
    }
}

/// Tries it, with two connections of its own.
pub(super) async fn is_between(shared: &Shared) -> Result<bool> {
    let first = shared.connect_dedicated(OPERATION).await?;
    let mut second = shared.connect_dedicated(OPERATION).await?;
    Ok(differ(&first, &mut second).await?)
}

async fn differ(first: &Session, second: &mut Session) -> Result<bool, Failure> {
    first.batch(OPERATION, "SET becket.probe = 'first'").await?;
    let before = process(first).await?;
    let tx = second.begin(OPERATION).await?;
    let other = tx.simple(PROCESS).await?;
    let after = process(first).await?;
    drop(tx);
    Ok(other.first() == before.first() || before != after)
}

/// Asked without a prepared statement, which would fail where this finds something.
async fn process(session: &Session) -> Result<Vec<String>, Failure> {
    session.simple(OPERATION, PROCESS).await
}

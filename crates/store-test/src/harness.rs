//! How the suite gets hold of a store: made fresh, crashed and reopened, with its differences
//! declared.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use becket_store::Store;

/// In what a store may differ from another one. Each is asserted both ways: a store that does
/// more than it declares fails the suite as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// What was acknowledged is there after [`Harness::reopen`]; otherwise everything is gone.
    pub durable: bool,
    /// Leases hold beyond [`Harness::reopen`], because others share the store; otherwise they end
    /// with the process that held them.
    pub keeps_leases: bool,
    /// The due moment of a delivery that was only given back, or only hurried by a replay, holds
    /// beyond [`Harness::reopen`]; otherwise it is due when its receipt, replay or last attempt
    /// said.
    pub keeps_released_due: bool,
    /// `backup` writes a copy that opens; otherwise it answers with an error.
    pub backup: bool,
    /// How much longer than the policy says retention may keep an event, in milliseconds, because
    /// it looks at old events only so often (at most a day).
    pub sweep_lag_ms: u64,
    /// How many of the newest events retention may keep although the store is above its cap,
    /// because it removes whole files; none has more than so many. Above 64 the suite does not try.
    pub cap_lag: usize,
    /// How many refused requests are kept: the newest, at least so many, and a tenth more at most.
    pub quarantine_rows: usize,
}

/// One store under test, alone in its place.
pub trait Harness: Sized + 'static {
    /// What the store declares.
    fn capabilities() -> Capabilities;

    /// An empty store.
    fn fresh() -> impl Future<Output = Self>;

    /// The store. The suite drops what it got from here before [`Harness::reopen`].
    fn store(&self) -> Arc<dyn Store>;

    /// A crash and a new start: the old store is given up without [`Store::close`] (unless a case
    /// closed it before), and a new one is opened in the same place.
    fn reopen(&mut self) -> impl Future<Output = ()>;

    /// A place for a backup: a folder that does not exist yet, another one at every call.
    fn backup_folder(&self) -> PathBuf;

    /// Opens a backup as a store of its own.
    fn open_backup(&self, folder: &Path) -> impl Future<Output = Arc<dyn Store>>;
}

/// Runs one case on a runtime of its own with several threads.
///
/// # Panics
/// If the case fails, or no runtime can be started.
pub fn run_case(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime starts")
        .block_on(case);
}

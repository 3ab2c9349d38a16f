//! Where a store under test is opened, whatever store it is: a [`Harness`] whose type is forgotten, so
//! that the cases are compiled once and not for each store.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use becket_store::Store;

use crate::{Capabilities, Harness};

pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Opens stores of one kind.
#[derive(Clone, Copy)]
pub struct Place {
    capabilities: Capabilities,
    fresh: fn() -> Later<'static, Box<dyn Opened>>,
}

impl Place {
    /// The place in which a harness opens its stores.
    #[must_use]
    pub fn of<H: Harness>() -> Self {
        let fresh: fn() -> Later<'static, Box<dyn Opened>> =
            || Box::pin(async { Box::new(H::fresh().await) as Box<dyn Opened> });
        Self { capabilities: H::capabilities(), fresh }
    }

    pub(crate) fn capabilities(self) -> Capabilities {
        self.capabilities
    }

    pub(crate) async fn fresh(self) -> Box<dyn Opened> {
        (self.fresh)().await
    }
}

/// An open store with its harness; each call is the [`Harness`]'s.
pub(crate) trait Opened {
    fn store(&self) -> Arc<dyn Store>;
    fn reopen(&mut self) -> Later<'_, ()>;
    fn backup_folder(&self) -> PathBuf;
    fn open_backup<'a>(&'a self, folder: &'a Path) -> Later<'a, Arc<dyn Store>>;
}

impl<H: Harness> Opened for H {
    fn store(&self) -> Arc<dyn Store> {
        Harness::store(self)
    }

    fn reopen(&mut self) -> Later<'_, ()> {
        Box::pin(Harness::reopen(self))
    }

    fn backup_folder(&self) -> PathBuf {
        Harness::backup_folder(self)
    }

    fn open_backup<'a>(&'a self, folder: &'a Path) -> Later<'a, Arc<dyn Store>> {
        Box::pin(Harness::open_backup(self, folder))
    }
}

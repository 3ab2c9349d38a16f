//! What the API asks of the running gateway.

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use becket_api::{
    Control, ControlError, KeysRotated, LetOut, LetOutcome, NodesShown, SourceTest, SourceTested,
    Standing, StoredTransformation, TestRefusal,
};
use becket_model::{EndpointKey, RetrySchedule};
use becket_store::{Application, Endpoint, Owner, Scope, StoreError};

use super::gateway::Gateway;
use super::keys::MASTER_KEY_FILE;
use super::rotation;

#[async_trait]
impl Control for Gateway {
    async fn wake(&self, endpoint: EndpointKey) {
        match &self.node {
            Some(node) => node.wake(endpoint),
            None => self.engine.wake(endpoint),
        }
    }

    async fn endpoint_changed(&self, owner: Owner, endpoint: &Endpoint) {
        let taken = self.take_over_endpoint(owner, endpoint).await;
        self.taken_over(&endpoint.id, taken);
        self.changed_here();
    }

    async fn application_changed(&self, application: &Application) {
        let taken = self.take_over_application(application).await;
        self.taken_over(&application.id, taken);
        self.changed_here();
    }

    async fn transformation_check(
        &self,
        endpoint: EndpointKey,
        transformation: StoredTransformation,
    ) -> Result<(), String> {
        self.transforms.check(endpoint, transformation).await
    }

    /// The schedules are read again: those at hand may be older than what is in force by now.
    async fn retry_by_type_changed(&self, owner: Owner, _: HashMap<String, RetrySchedule>) {
        let mut registry = self.changing.lock().await;
        let taken = self.take_over_retries(&mut registry, owner).await;
        drop(registry);
        self.taken_over(&"retry schedules", taken);
        self.changed_here();
    }

    async fn backup(&self, folder: &Path) -> Result<u64, ControlError> {
        if self.node.is_some() {
            return Err(ControlError {
                detail: "the store is a PostgreSQL database, which has better tools for it".to_owned(),
                hint: Some(
                    "use pg_dump, or pg_basebackup with an archive of the log; keep the master key apart"
                        .to_owned(),
                ),
            });
        }
        let failed = |detail: String| ControlError {
            detail,
            hint: Some("name a folder that does not exist yet on a disk with enough room".into()),
        };
        let mut bytes =
            self.store.backup(folder).await.map_err(|error| failed(error.to_string()))?;
        let key = self.folder.join(MASTER_KEY_FILE);
        if key.exists() {
            // Copying keeps the mode, which is for the owner only.
            bytes += std::fs::copy(&key, folder.join(MASTER_KEY_FILE))
                .map_err(|error| failed(format!("the master key could not be copied: {error}")))?;
        }
        Ok(bytes)
    }

    async fn keys_rotate(&self) -> Result<KeysRotated, ControlError> {
        match self.own.upgrade() {
            Some(gateway) => rotation::rotate(&gateway).await,
            None => Err(ControlError { detail: "the gateway is stopping".to_owned(), hint: None }),
        }
    }

    async fn let_out(
        &self,
        scope: Scope,
        number: i64,
        how: LetOut,
    ) -> Result<LetOutcome, StoreError> {
        // Nobody is listened to before there is a receiving side.
        let Some(ingress) = self.ingress.get() else { return Err(StoreError::Closed) };
        let how = becket_ingress::LetOut { by: how.by, reason: how.reason };
        Ok(match ingress.let_out(scope, number, &how).await? {
            becket_ingress::LetOutcome::Accepted(event) => LetOutcome::Accepted(event),
            becket_ingress::LetOutcome::Repeat(event) => LetOutcome::Repeat(event),
            becket_ingress::LetOutcome::Stays { code, words } => {
                LetOutcome::Stays { code: code.to_owned(), words }
            }
            becket_ingress::LetOutcome::Absent => LetOutcome::Absent,
        })
    }

    async fn problems(&self, owner: Owner) -> Result<Vec<Standing>, StoreError> {
        Ok(self.board.of(self, owner))
    }

    fn nodes(&self) -> NodesShown {
        match &self.node {
            Some(node) => node.shown(),
            None => NodesShown { store: "sqlite", nodes: Vec::new(), advice: Vec::new() },
        }
    }

    fn node(&self) -> Option<u32> {
        self.node.as_ref().map(|node| node.number().0)
    }

    fn node_lives(&self, number: u32) -> bool {
        self.node.as_ref().is_some_and(|node| node.lives(number))
    }

    fn is_first_node(&self) -> bool {
        self.is_first()
    }

    fn lend(&self, endpoint: EndpointKey, lent: bool) {
        if let Some(node) = &self.node {
            node.lend(endpoint, lent);
        }
    }

    async fn source_test(
        &self,
        source: &Application,
        test: SourceTest,
    ) -> Result<SourceTested, TestRefusal> {
        super::source_test::test(self, source, test).await
    }

    async fn reload(&self) -> Result<Vec<String>, ControlError> {
        Gateway::reload(self).await.map_err(|not_applied| ControlError {
            detail: not_applied.detail,
            hint: Some(not_applied.hint.to_owned()),
        })
    }
}

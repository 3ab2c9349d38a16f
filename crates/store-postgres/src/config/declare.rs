//! What the operator's file declares, compared with what is there.
//!
//! Everything of the owner is read once, under the right to change it; what differs is written.

use std::collections::HashSet;
use std::sync::Arc;

use becket_model::{
    ApplicationKey, ApplicationKind, ApplicationSettings, EndpointKey, EndpointState, Origin,
};
use becket_store::{
    Application, ConfigSnapshot, Endpoint, EndpointDeclaration, Owner, Result, SourceDeclaration,
};

use super::{Revision, Tried, Tries, applications, endpoints};
use crate::errors::Failure;
use crate::shared::Shared;
use crate::transaction::Tx;

/// Makes the sources and endpoints of the file known.
pub(crate) async fn config_declare(
    shared: &Arc<Shared>,
    owner: Owner,
    declared: Vec<SourceDeclaration>,
    now_ms: i64,
) -> Result<ConfigSnapshot> {
    let mut tries = Tries::new();
    loop {
        let outcome = declare_once(shared, owner, &declared, now_ms).await;
        if let Tried::Answer(snapshot) = tries.judge(shared, outcome)? {
            for known in &snapshot.applications {
                shared.know_application(known.key, owner);
            }
            for known in &snapshot.endpoints {
                shared.know_endpoint(known.key, known.application);
            }
            return Ok(snapshot);
        }
    }
}

async fn declare_once(
    shared: &Arc<Shared>,
    owner: Owner,
    declared: &[SourceDeclaration],
    now_ms: i64,
) -> Result<(ConfigSnapshot, bool), Failure> {
    let mut conn = shared.write("declare sources").await?;
    let tx = conn.begin("declare sources").await?;
    let revision = Revision::take(&tx).await?;
    let mut declaring = Declaring {
        applications: applications::all(&tx, owner).await?,
        endpoints: endpoints::all(&tx, owner).await?,
        tx: &tx,
        owner,
        now_ms,
        revision: revision.next,
        changed: false,
    };
    let mut kept = HashSet::new();
    for source in declared {
        let application = declaring.source(source).await?;
        kept.insert(application);
        let mut kept_endpoints = HashSet::new();
        for endpoint in &source.endpoints {
            kept_endpoints.insert(declaring.endpoint(application, endpoint).await?);
        }
        declaring.remove_endpoints(application, &kept_endpoints).await?;
    }
    declaring.remove_sources(&kept).await?;
    let Declaring { applications, endpoints, changed, .. } = declaring;
    if changed {
        revision.raise(&tx).await?;
        tx.commit().await?;
    }
    Ok((ConfigSnapshot { applications, endpoints }, changed))
}

/// An owner's applications and endpoints while they are compared.
struct Declaring<'a> {
    tx: &'a Tx<'a>,
    owner: Owner,
    now_ms: i64,
    revision: i64,
    applications: Vec<Application>,
    endpoints: Vec<Endpoint>,
    changed: bool,
}

impl Declaring<'_> {
    /// Makes a source known, brings it back, or takes over the one that the API made under its name.
    async fn source(&mut self, declared: &SourceDeclaration) -> Result<ApplicationKey, Failure> {
        let named = |known: &Application| {
            known.kind == ApplicationKind::Source && known.uid.as_ref() == Some(&declared.uid)
        };
        let all = &self.applications;
        let there = all.iter().position(|known| named(known) && !known.removed);
        // Otherwise the last one of the file that had the name.
        let at = there.or_else(|| {
            all.iter()
                .rposition(|known| named(known) && known.removed && known.origin == Origin::File)
        });
        let Some(at) = at else { return self.new_source(declared).await };
        let known = &all[at];
        let mut after = Application { origin: Origin::File, removed: false, ..known.clone() };
        if known.origin == Origin::Api {
            after.settings = ApplicationSettings::default();
            after.credentials = None;
        }
        after.settings.provider.clone_from(&declared.provider);
        if after != *known {
            after.updated_at_ms = self.now_ms;
            self.write_application(at, after).await?;
        }
        Ok(self.applications[at].key)
    }

    async fn new_source(
        &mut self,
        declared: &SourceDeclaration,
    ) -> Result<ApplicationKey, Failure> {
        let mut new = Application {
            key: ApplicationKey(0),
            owner: self.owner,
            kind: ApplicationKind::Source,
            id: declared.id,
            uid: Some(declared.uid.clone()),
            origin: Origin::File,
            settings: ApplicationSettings::for_provider(&declared.provider),
            credentials: None,
            created_at_ms: self.now_ms,
            updated_at_ms: self.now_ms,
            removed: false,
        };
        new.key = applications::insert(self.tx, &new, self.revision).await?;
        let key = new.key;
        self.applications.push(new);
        self.changed = true;
        Ok(key)
    }

    async fn endpoint(
        &mut self,
        application: ApplicationKey,
        declared: &EndpointDeclaration,
    ) -> Result<EndpointKey, Failure> {
        let named = |known: &Endpoint| {
            known.application == application && known.uid.as_ref() == Some(&declared.uid)
        };
        let all = &self.endpoints;
        let removed = |known: &Endpoint| known.state == EndpointState::Removed;
        let there = all.iter().position(|known| named(known) && !removed(known));
        let at = there.or_else(|| {
            all.iter()
                .rposition(|known| named(known) && removed(known) && known.origin == Origin::File)
        });
        let at = match at {
            Some(at) => {
                self.known_endpoint(at, declared).await?;
                at
            }
            None => self.new_endpoint(application, declared).await?,
        };
        let endpoint = &mut self.endpoints[at];
        let given = endpoints::insert_secret(self.tx, endpoint, &declared.secret).await?;
        let endpoint = endpoint.clone();
        if given {
            // It is another one now for whoever asks what has changed.
            endpoints::update(self.tx, &endpoint, self.revision).await?;
            self.changed = true;
        }
        Ok(endpoint.key)
    }

    async fn known_endpoint(
        &mut self,
        at: usize,
        declared: &EndpointDeclaration,
    ) -> Result<(), Failure> {
        let known = &self.endpoints[at];
        let mut after =
            Endpoint { origin: Origin::File, settings: declared.settings.clone(), ..known.clone() };
        if known.origin == Origin::Api {
            after.headers = None;
        }
        if known.state == EndpointState::Removed {
            after.state = EndpointState::Enabled;
            after.state_reason.clear();
            after.failing_since_ms = None;
        }
        if after != *known {
            after.updated_at_ms = self.now_ms;
            self.write_endpoint(at, after).await?;
        }
        Ok(())
    }

    async fn new_endpoint(
        &mut self,
        application: ApplicationKey,
        declared: &EndpointDeclaration,
    ) -> Result<usize, Failure> {
        let mut new = Endpoint {
            key: EndpointKey(0),
            id: declared.id,
            uid: Some(declared.uid.clone()),
            application,
            origin: Origin::File,
            settings: declared.settings.clone(),
            headers: None,
            state: EndpointState::Enabled,
            state_reason: String::new(),
            failing_since_ms: None,
            secrets: Vec::new(),
            created_at_ms: self.now_ms,
            updated_at_ms: self.now_ms,
        };
        endpoints::insert(self.tx, &mut new, self.revision).await?;
        self.endpoints.push(new);
        self.changed = true;
        Ok(self.endpoints.len() - 1)
    }

    /// Removes the endpoints that the file gave an application and does not name any more.
    async fn remove_endpoints(
        &mut self,
        application: ApplicationKey,
        kept: &HashSet<EndpointKey>,
    ) -> Result<(), Failure> {
        for at in 0..self.endpoints.len() {
            let known = &self.endpoints[at];
            let gone = known.application == application
                && known.origin == Origin::File
                && known.state != EndpointState::Removed
                && !kept.contains(&known.key);
            if gone {
                let after = Endpoint {
                    state: EndpointState::Removed,
                    state_reason: "no longer declared".to_owned(),
                    updated_at_ms: self.now_ms,
                    ..known.clone()
                };
                self.write_endpoint(at, after).await?;
            }
        }
        Ok(())
    }

    /// Removes the sources that the file does not name any more, with the endpoints that it gave them;
    /// those that the API made stay, and are there again when the source comes back.
    async fn remove_sources(&mut self, kept: &HashSet<ApplicationKey>) -> Result<(), Failure> {
        for at in 0..self.applications.len() {
            let known = &self.applications[at];
            let gone = known.kind == ApplicationKind::Source
                && known.origin == Origin::File
                && !known.removed
                && !kept.contains(&known.key);
            if gone {
                let after =
                    Application { removed: true, updated_at_ms: self.now_ms, ..known.clone() };
                self.remove_endpoints(after.key, &HashSet::new()).await?;
                self.write_application(at, after).await?;
            }
        }
        Ok(())
    }

    async fn write_application(&mut self, at: usize, after: Application) -> Result<(), Failure> {
        applications::update(self.tx, &after, self.revision).await?;
        self.applications[at] = after;
        self.changed = true;
        Ok(())
    }

    async fn write_endpoint(&mut self, at: usize, after: Endpoint) -> Result<(), Failure> {
        endpoints::update(self.tx, &after, self.revision).await?;
        self.endpoints[at] = after;
        self.changed = true;
        Ok(())
    }
}

//! What the operator's file declares, in the model store.

use becket_model::{
    ApplicationKey, ApplicationKind, ApplicationSettings, EndpointKey, EndpointState, Origin,
};
use becket_store::{
    Application, ConfigSnapshot, Endpoint, EndpointDeclaration, Owner, SourceDeclaration,
    StoredSecret,
};

use super::State;

impl State {
    pub(super) fn config_list(&self, owner: Owner) -> ConfigSnapshot {
        let applications = self.applications.values().filter(|known| known.owner == owner);
        let endpoints = self.endpoints.values().filter(|(whose, _)| *whose == owner);
        ConfigSnapshot {
            applications: applications.cloned().collect(),
            endpoints: endpoints.map(|(_, endpoint)| endpoint.clone()).collect(),
        }
    }

    pub(super) fn owner_list(&self) -> Vec<Owner> {
        let mut owners: Vec<Owner> = self.applications.values().map(|known| known.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    pub(super) fn config_declare(
        &mut self,
        owner: Owner,
        declared: Vec<SourceDeclaration>,
        now_ms: i64,
    ) -> ConfigSnapshot {
        let (mut sources, mut endpoints) = (Vec::new(), Vec::new());
        for declaration in declared {
            let application = self.source_declare(owner, &declaration, now_ms);
            sources.push(application);
            for endpoint in declaration.endpoints {
                endpoints.push(self.endpoint_declare(owner, application, endpoint, now_ms));
            }
        }
        for known in self.applications.values_mut().filter(|known| known.owner == owner) {
            let gone = known.origin == Origin::File && !sources.contains(&known.key);
            if gone && !known.removed {
                known.removed = true;
                known.updated_at_ms = now_ms;
            }
        }
        for (_, endpoint) in self.endpoints.values_mut().filter(|(whose, _)| *whose == owner) {
            let gone = endpoint.origin == Origin::File && !endpoints.contains(&endpoint.key);
            if gone && endpoint.state != EndpointState::Removed {
                endpoint.state = EndpointState::Removed;
                endpoint.state_reason.clear();
                endpoint.updated_at_ms = now_ms;
            }
        }
        self.config_list(owner)
    }

    /// Makes a source known and answers with its key.
    fn source_declare(
        &mut self,
        owner: Owner,
        declared: &SourceDeclaration,
        now_ms: i64,
    ) -> ApplicationKey {
        let known = self
            .applications
            .values_mut()
            .filter(|known| {
                known.owner == owner
                    && known.kind == ApplicationKind::Source
                    && known.uid.as_ref() == Some(&declared.uid)
            })
            .max_by_key(|known| (!known.removed, known.key));
        if let Some(source) = known {
            let before = source.clone();
            if source.origin == Origin::Api {
                source.origin = Origin::File;
                source.settings = ApplicationSettings::default();
                source.credentials = None;
            }
            source.settings.provider.clone_from(&declared.provider);
            source.removed = false;
            if *source != before {
                source.updated_at_ms = now_ms;
            }
            return source.key;
        }
        let key = self.next_application();
        let source = Application {
            key,
            owner,
            kind: ApplicationKind::Source,
            id: declared.id,
            uid: Some(declared.uid.clone()),
            origin: Origin::File,
            settings: ApplicationSettings::for_provider(&declared.provider),
            credentials: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            removed: false,
        };
        self.applications.insert(key, source);
        key
    }

    /// Makes an endpoint known and answers with its key.
    fn endpoint_declare(
        &mut self,
        owner: Owner,
        application: ApplicationKey,
        declared: EndpointDeclaration,
        now_ms: i64,
    ) -> EndpointKey {
        let known = self
            .endpoints
            .values_mut()
            .map(|(_, endpoint)| endpoint)
            .filter(|known| {
                known.application == application && known.uid.as_ref() == Some(&declared.uid)
            })
            .max_by_key(|known| (known.state != EndpointState::Removed, known.key));
        if let Some(endpoint) = known {
            let before = endpoint.clone();
            if endpoint.origin == Origin::Api {
                endpoint.origin = Origin::File;
                endpoint.headers = None;
            }
            endpoint.settings = declared.settings;
            if endpoint.state == EndpointState::Removed {
                endpoint.state = EndpointState::Enabled;
                endpoint.state_reason.clear();
                endpoint.failing_since_ms = None;
            }
            if *endpoint != before {
                endpoint.updated_at_ms = now_ms;
            }
            if endpoint.secrets.is_empty() {
                endpoint.secrets = first_secret(declared.secret);
            }
            return endpoint.key;
        }
        let key = self.next_endpoint();
        let endpoint = Endpoint {
            key,
            id: declared.id,
            uid: Some(declared.uid),
            application,
            origin: Origin::File,
            settings: declared.settings,
            headers: None,
            state: EndpointState::Enabled,
            state_reason: String::new(),
            failing_since_ms: None,
            secrets: first_secret(declared.secret),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        };
        self.endpoints.insert(key, (owner, endpoint));
        key
    }

    /// A number that no application had; rows stay for good.
    pub(super) fn next_application(&self) -> ApplicationKey {
        ApplicationKey(self.applications.len() as u32 + 1)
    }

    /// A number that no endpoint had; rows stay for good.
    pub(super) fn next_endpoint(&self) -> EndpointKey {
        EndpointKey(self.endpoints.len() as u32 + 1)
    }
}

pub(super) fn first_secret(envelope: Vec<u8>) -> Vec<StoredSecret> {
    if envelope.is_empty() {
        return Vec::new();
    }
    vec![StoredSecret { envelope, expires_at_ms: None }]
}

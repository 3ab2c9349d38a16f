//! Sources and endpoints of the model store.

use becket_model::{ApplicationKey, EndpointId, EndpointKey, EndpointState, Origin};
use becket_store::{
    ConfigSnapshot, Endpoint, EndpointChange, EndpointDeclaration, Owner, Source,
    SourceDeclaration, StoredSecret,
};

use super::State;

impl State {
    pub(super) fn config_list(&self, owner: Owner) -> ConfigSnapshot {
        let sources = self.sources.values().filter(|(whose, _)| *whose == owner);
        let endpoints = self.endpoints.values().filter(|(whose, _)| *whose == owner);
        ConfigSnapshot {
            sources: sources.map(|(_, source)| source.clone()).collect(),
            endpoints: endpoints.map(|(_, endpoint)| endpoint.clone()).collect(),
        }
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
        for (_, source) in self.sources.values_mut().filter(|(whose, _)| *whose == owner) {
            source.removed = !sources.contains(&source.key);
        }
        for (_, endpoint) in self.endpoints.values_mut().filter(|(whose, _)| *whose == owner) {
            let gone = !endpoints.contains(&endpoint.key);
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
            .sources
            .values_mut()
            .find(|(whose, source)| *whose == owner && source.uid == declared.uid);
        if let Some((_, source)) = known {
            source.provider.clone_from(&declared.provider);
            return source.key;
        }
        let key = ApplicationKey(self.sources.len() as u32 + 1);
        let source = Source {
            key,
            id: declared.id,
            uid: declared.uid.clone(),
            provider: declared.provider.clone(),
            origin: Origin::File,
            created_at_ms: now_ms,
            removed: false,
        };
        self.sources.insert(key, (owner, source));
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
        let known = self.endpoints.values_mut().find(|(_, endpoint)| {
            endpoint.application == application && endpoint.uid == declared.uid
        });
        if let Some((_, endpoint)) = known {
            if endpoint.settings != declared.settings {
                endpoint.settings = declared.settings;
                endpoint.updated_at_ms = now_ms;
            }
            if endpoint.state == EndpointState::Removed {
                endpoint.state = EndpointState::Enabled;
                endpoint.failing_since_ms = None;
                endpoint.updated_at_ms = now_ms;
            }
            if endpoint.secrets.is_empty() {
                endpoint.secrets = first_secret(declared.secret);
            }
            return endpoint.key;
        }
        let key = EndpointKey(self.endpoints.len() as u32 + 1);
        let endpoint = Endpoint {
            key,
            id: declared.id,
            uid: declared.uid,
            application,
            origin: Origin::File,
            settings: declared.settings,
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

    pub(super) fn endpoint_change(
        &mut self,
        owner: Owner,
        id: EndpointId,
        change: EndpointChange,
        now_ms: i64,
    ) -> Option<Endpoint> {
        let (_, endpoint) = self
            .endpoints
            .values_mut()
            .find(|(whose, endpoint)| *whose == owner && endpoint.id == id)?;
        match change {
            EndpointChange::State { state, reason } => {
                endpoint.updated_at_ms = now_ms;
                endpoint.state = state;
                endpoint.state_reason = reason;
                if state == EndpointState::Enabled {
                    endpoint.state_reason.clear();
                    endpoint.failing_since_ms = None;
                }
            }
            EndpointChange::FailingSince(since_ms) => endpoint.failing_since_ms = since_ms,
            EndpointChange::RotateSecret { envelope, old_expire_at_ms } => {
                endpoint.updated_at_ms = now_ms;
                for old in &mut endpoint.secrets {
                    let sooner =
                        old.expires_at_ms.map_or(old_expire_at_ms, |at| at.min(old_expire_at_ms));
                    old.expires_at_ms = Some(sooner);
                }
                endpoint.secrets.insert(0, StoredSecret { envelope, expires_at_ms: None });
            }
        }
        Some(endpoint.clone())
    }
}

fn first_secret(envelope: Vec<u8>) -> Vec<StoredSecret> {
    if envelope.is_empty() {
        return Vec::new();
    }
    vec![StoredSecret { envelope, expires_at_ms: None }]
}

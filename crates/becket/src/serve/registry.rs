//! What deliveries need to know beside the endpoint itself, of all endpoints of all nodes.
//!
//! Invariant: the rate that the endpoints of an application share is this node's part of it, as large
//! as its part of the application's enabled endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use becket_engine::SharedRate;
use becket_model::{ApplicationKey, EndpointKey, EndpointState, Rate, RetrySchedule};
use becket_store::cluster::shard_of;
use becket_store::{Application, Endpoint, Owner};

use super::assemble;
use super::gateway::{Current, Gateway, SourceInForce};
use super::node::{self, Node};

/// What deliveries need to know beside the endpoint itself.
#[derive(Default)]
pub(super) struct Registry {
    /// All endpoints that are not removed, with whether they are enabled.
    pub(super) endpoints: HashMap<ApplicationKey, HashMap<EndpointKey, bool>>,
    /// The applications with a rate of their own.
    rates: HashMap<ApplicationKey, Shared>,
    /// Retry schedules by event type.
    pub(super) retries: HashMap<Owner, Arc<HashMap<String, RetrySchedule>>>,
}

/// A rate that all endpoints of an application share.
struct Shared {
    /// Over all nodes.
    whole: Rate,
    /// This node's part.
    part: Arc<SharedRate>,
}

impl Registry {
    /// Whether an application has a rate now and had none, or the other way round: its endpoints have to
    /// be told once [`Self::rate_of`] has noted it.
    pub(super) fn exchanges_rate(&self, application: &Application) -> bool {
        self.rates.contains_key(&application.key) != application.settings.rate.is_some()
    }

    /// Notes an application's rate.
    pub(super) fn rate_of(&mut self, application: &Application, node: Option<&Node>) {
        let key = application.key;
        let rate = application.settings.rate;
        if self.rates.get(&key).map(|known| known.whole) == rate {
            return;
        }
        match (rate, self.rates.get_mut(&key)) {
            // All who share it have another rate from now on; nothing has to be exchanged.
            (Some(whole), Some(shared)) => {
                shared.whole = whole;
                self.divide(key, node);
            }
            (Some(whole), None) => {
                let part = Arc::new(SharedRate::new(whole));
                self.rates.insert(key, Shared { whole, part });
                self.divide(key, node);
            }
            (None, _) => {
                self.rates.remove(&key);
            }
        }
    }

    /// An application is gone; its endpoints.
    pub(super) fn remove(&mut self, application: ApplicationKey) -> Vec<EndpointKey> {
        self.rates.remove(&application);
        self.endpoints.remove(&application).unwrap_or_default().into_keys().collect()
    }

    /// Notes an endpoint as it is now.
    pub(super) fn know(&mut self, endpoint: &Endpoint, node: Option<&Node>) {
        let enabled = endpoint.state == EndpointState::Enabled;
        let known = self.endpoints.entry(endpoint.application).or_default();
        if known.insert(endpoint.key, enabled) != Some(enabled) {
            self.divide(endpoint.application, node);
        }
    }

    /// An endpoint is gone.
    pub(super) fn forget(&mut self, endpoint: &Endpoint, node: Option<&Node>) {
        if let Some(known) = self.endpoints.get_mut(&endpoint.application) {
            known.remove(&endpoint.key);
            self.divide(endpoint.application, node);
        }
    }

    /// Whether there is such an endpoint.
    pub(super) fn knows(&self, endpoint: EndpointKey) -> bool {
        self.endpoints.values().any(|known| known.contains_key(&endpoint))
    }

    /// The endpoints in some shards.
    pub(super) fn in_shards(&self, has: impl Fn(u16) -> bool) -> Vec<EndpointKey> {
        let keys = self.endpoints.values().flat_map(HashMap::keys);
        keys.filter(|key| has(shard_of(**key))).copied().collect()
    }

    /// Works out this node's part of every rate: it delivers to other endpoints than before.
    pub(super) fn divide_rates(&self, node: Option<&Node>) {
        self.rates.keys().for_each(|application| self.divide(*application, node));
    }

    fn divide(&self, application: ApplicationKey, node: Option<&Node>) {
        let Some(shared) = self.rates.get(&application) else { return };
        let part = match (node, self.endpoints.get(&application)) {
            (Some(node), Some(endpoints)) => {
                let enabled = || endpoints.iter().filter(|(_, enabled)| **enabled);
                let own = enabled().filter(|(key, _)| node.delivers(**key)).count();
                node::part_of(shared.whole, own, enabled().count())
            }
            _ => shared.whole,
        };
        if shared.part.rate() != part {
            shared.part.rate_set(part);
        }
    }

    pub(super) fn setting<'s>(
        &'s self,
        current: &'s Current,
        owner: Owner,
        source: Option<&'s SourceInForce>,
        gateway: &'s Gateway,
    ) -> assemble::Setting<'s> {
        let public_url = &current.loaded.config.server.public_url;
        assemble::Setting {
            acts: &gateway.acts,
            transforms: &gateway.transforms,
            public_url: public_url.as_ref().map(|url| url.as_str().to_owned()),
            owner,
            source,
            policies: &current.policies,
            registry: self,
            retries: self.retries.get(&owner).cloned().unwrap_or_default(),
        }
    }

    /// The rate that an application's endpoints share.
    pub(super) fn shared_rate(&self, application: ApplicationKey) -> Option<Arc<SharedRate>> {
        self.rates.get(&application).map(|shared| Arc::clone(&shared.part))
    }
}

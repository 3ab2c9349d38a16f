//! What endpoints do that are not posted to: made from the file, kept while its words stay the same.
//!
//! Invariant: an action lives as long as what describes it does not change, so that pausing an endpoint
//! or reloading the file neither breaks its connections nor forgets what it is in the middle of.
//!
//! Absent: every kind of action (`config::act` and the crates behind it).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use becket_egress::EgressConfig;
use becket_egress::action::Action;
use becket_model::{EndpointKey, EndpointKind, EndpointState};
use becket_store::Endpoint;
use parking_lot::Mutex;

use super::relay::ListenAction;
use crate::config::{self, ActContext};

/// How connections to the outside are configured.
pub(super) type MakeEgress = Arc<dyn Fn() -> EgressConfig + Send + Sync>;

/// The actions that are in force.
pub(super) struct Actions {
    data_folder: PathBuf,
    egress: MakeEgress,
    relay: Arc<becket_api::Relay>,
    made: Mutex<HashMap<EndpointKey, Made>>,
}

struct Made {
    described: config::Endpoint,
    public_url: Option<String>,
    action: Option<Arc<dyn Action>>,
}

impl Actions {
    pub(super) fn new(
        data_folder: PathBuf,
        egress: MakeEgress,
        relay: Arc<becket_api::Relay>,
    ) -> Self {
        Self { data_folder, egress, relay, made: Mutex::default() }
    }

    /// The action of an endpoint of the file; `None` for one that is posted to.
    pub(super) fn of_file(
        &self,
        source: &str,
        endpoint: &Endpoint,
        described: &config::Endpoint,
        public_url: Option<String>,
    ) -> Result<Option<Arc<dyn Action>>, String> {
        let mut made = self.made.lock();
        if let Some(known) = made.get(&endpoint.key)
            && known.described == *described
            && known.public_url == public_url
        {
            return Ok(known.action.clone());
        }
        let context = ActContext {
            endpoint_id: endpoint.id.to_string(),
            endpoint: endpoint.name(),
            source: source.to_owned(),
            public_url: public_url.clone(),
            data_folder: self.data_folder.clone(),
            egress: Arc::clone(&self.egress),
        };
        let action = described.action(&context)?;
        let described = described.clone();
        made.insert(endpoint.key, Made { described, public_url, action: action.clone() });
        Ok(action)
    }

    /// The action of an endpoint that the API made; `None` for one that is posted to.
    pub(super) fn of_api(&self, endpoint: &Endpoint) -> Option<Arc<dyn Action>> {
        let listens = endpoint.settings.kind == EndpointKind::Listen;
        listens.then(|| Arc::new(ListenAction::new(&self.relay, endpoint.key)) as Arc<dyn Action>)
    }

    /// The state of an endpoint as the engine is to have it.
    pub(super) fn state_of(&self, endpoint: &Endpoint) -> EndpointState {
        super::relay::state_of(&self.relay, endpoint)
    }

    /// The endpoint was removed.
    pub(super) fn forget(&self, endpoint: EndpointKey) {
        self.made.lock().remove(&endpoint);
    }
}

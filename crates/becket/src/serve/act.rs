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
    /// How long the engine's leases hold: an attempt may not take longer.
    lease_ms: u64,
}

/// How long a lease must hold for the slowest endpoint of the file, in milliseconds: twice its time and
/// that of recording the result, so that what waits for a place behind it can still begin.
pub(super) fn lease_ms(config: &config::Config) -> u64 {
    let endpoints = config.sources.iter().flat_map(|source| &source.endpoints);
    let longest = endpoints.map(|one| milliseconds(one.timeout())).max().unwrap_or_default();
    becket_engine::EngineConfig::default().lease_ms.max(2 * (longest + RECORDING_MS))
}

/// What an attempt's lease needs beyond its time.
const RECORDING_MS: u64 = 10_000;

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
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
        Self { data_folder, egress, relay, made: Mutex::default(), lease_ms: u64::MAX }
    }

    /// Refuses endpoints that would need longer leases than these, in milliseconds.
    pub(super) fn leased_for(self, lease_ms: u64) -> Self {
        Self { lease_ms, ..self }
    }

    /// The action of an endpoint of the file; `None` for one that is posted to.
    pub(super) fn of_file(
        &self,
        source: &str,
        endpoint: &Endpoint,
        described: &config::Endpoint,
        public_url: Option<String>,
    ) -> Result<Option<Arc<dyn Action>>, String> {
        if milliseconds(described.timeout()) + RECORDING_MS >= self.lease_ms {
            let problem = "its `timeout` is longer than any was when the gateway started; restart the \
                           gateway";
            return Err(problem.to_owned());
        }
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

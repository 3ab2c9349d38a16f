//! From a host name to its addresses: the trait that tests script, and the system's own resolver.
//!
//! Answers are not trusted: whatever a resolver returns is checked, every address of it, by the
//! policy before anything is dialled.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::read_system_conf;
use parking_lot::Mutex;

/// Time for one query to one name server, before it is repeated or another is asked.
const QUERY_TIMEOUT_MS: u64 = 2_000;
/// How often the system's files are looked at for changes.
const RELOAD_CHECK: Duration = Duration::from_secs(10);
/// The files that decide how names resolve.
const SYSTEM_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The name does not exist, or has no address.
    #[error("the name does not exist or has no address")]
    NotFound,
    /// No answer in time.
    #[error("the name servers did not answer in time")]
    Timeout,
    /// An answer that is an error, or no way to ask.
    #[error("the name servers could not answer: {0}")]
    Failed(String),
}

/// Turns a host name into addresses. Called once per new connection.
#[async_trait::async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `host` (A and AAAA), in the order in which to try them.
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError>;
}

/// The system's resolver configuration (`/etc/resolv.conf`, `/etc/hosts`), asked from inside the
/// process. Built at first use and again when either file changes. Use one per tokio runtime: its
/// sockets belong to the runtime that first used it.
#[derive(Default)]
pub struct SystemResolver {
    current: Mutex<Option<Built>>,
}

#[derive(Clone)]
struct Built {
    resolver: Arc<TokioResolver>,
    checked: Instant,
    stamps: [Option<SystemTime>; 2],
}

impl SystemResolver {
    /// A resolver that reads nothing until it is first asked.
    pub fn new() -> Self {
        Self::default()
    }

    fn resolver(&self) -> Result<Arc<TokioResolver>, ResolveError> {
        let mut current = self.current.lock();
        if let Some(built) = current.as_mut() {
            if built.checked.elapsed() < RELOAD_CHECK {
                return Ok(Arc::clone(&built.resolver));
            }
            built.checked = Instant::now();
            if built.stamps == file_stamps() {
                return Ok(Arc::clone(&built.resolver));
            }
        }
        // Stamped before reading: a change in between is found at the next check.
        let stamps = file_stamps();
        let resolver = Arc::new(build_resolver()?);
        *current = Some(Built { resolver: Arc::clone(&resolver), checked: Instant::now(), stamps });
        Ok(resolver)
    }
}

#[async_trait::async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let resolver = self.resolver()?;
        match resolver.lookup_ip(host).await {
            Ok(answer) => Ok(answer.iter().collect()),
            Err(error) if error.is_no_records_found() && !is_server_failure(&error) => {
                Err(ResolveError::NotFound)
            }
            Err(NetError::Timeout) => Err(ResolveError::Timeout),
            Err(error) => Err(ResolveError::Failed(error.to_string())),
        }
    }
}

/// "No records" is also how a SERVFAIL or REFUSED with an empty answer is reported.
fn is_server_failure(error: &NetError) -> bool {
    use hickory_resolver::net::DnsError;
    use hickory_resolver::proto::op::ResponseCode;
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            !matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
        }
        _ => false,
    }
}

fn build_resolver() -> Result<TokioResolver, ResolveError> {
    let (config, mut options) = match read_system_conf() {
        Ok(system) => system,
        Err(error) => {
            // Without a configuration the C library asks this machine's own name server.
            tracing::debug!(%error, "no resolver configuration; asking 127.0.0.1");
            let local = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![local]);
            (config, ResolverOpts::default())
        }
    };
    options.use_hosts_file = ResolveHosts::Always;
    options.ip_strategy = hickory_resolver::config::LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = options.timeout.min(Duration::from_millis(QUERY_TIMEOUT_MS));
    // A dotted name is asked as it is before any search list is tried, whatever the file says:
    // search lists with a high `ndots` would otherwise ask the inside about outside names first.
    options.ndots = 1;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build().map_err(|error| ResolveError::Failed(error.to_string()))
}

fn file_stamps() -> [Option<SystemTime>; 2] {
    SYSTEM_FILES.map(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok())
}

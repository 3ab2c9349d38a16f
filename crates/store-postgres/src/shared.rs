//! What everything in the store stands on: connections, the node's number, what is known of owners,
//! background work.

use std::collections::HashMap;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use becket_model::{ApplicationKey, Clock, EndpointKey, Noise};
use becket_store::cluster::NodeNumber;
use becket_store::{LeaseToken, Owner, Result, Scope, StoreError};
use deadpool::managed::{Object, PoolError};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_postgres::Notification;

use crate::accept::Accepting;
use crate::cluster::ClusterState;
use crate::config::Listed;
use crate::errors::unavailable;
use crate::finish::Finishing;
use crate::gauges::Meters;
use crate::options::Options;
use crate::partitions::Partitions;
use crate::pool::{Door, Manager, Pool};
use crate::quarantine::Trimming;
use crate::session::Session;

/// So many bits of a lease's token count; the rest is the node's number.
pub(crate) const LEASE_COUNTER_BITS: u32 = 40;
/// News that wait to be read; who falls further behind loses the connection and looks for itself.
const NEWS_MAX: usize = 1_024;

/// A connection of the pool, given back when dropped.
pub(crate) struct Conn {
    session: Object<Manager>,
    _reading: Option<OwnedSemaphorePermit>,
}

impl Deref for Conn {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Conn {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

/// The parts of an open store.
pub(crate) struct Shared {
    pub(crate) pool: Pool,
    pub(crate) door: Arc<Door>,
    pub(crate) schema: String,
    pub(crate) options: Options,
    pub(crate) noise: Arc<dyn Noise>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) accepting: Accepting,
    pub(crate) finishing: Finishing,
    pub(crate) partitions: Partitions,
    pub(crate) trimming: Trimming,
    pub(crate) cluster: Arc<ClusterState>,
    pub(crate) listed: Listed,
    /// Reads leave a quarter of the pool to writes.
    reading: Arc<Semaphore>,
    node: AtomicU32,
    leases: AtomicU64,
    closed: AtomicBool,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// The server that configuration was read from last; 0 is none yet.
    server: AtomicI64,
    /// Whose an application is, and which an endpoint belongs to: neither ever changes on one server.
    owners: RwLock<HashMap<u32, Owner>>,
    applications: RwLock<HashMap<u32, ApplicationKey>>,
}

impl Shared {
    pub(crate) fn new(
        options: Options,
        schema: String,
        door: Arc<Door>,
        pool: Pool,
        meters: Arc<Meters>,
        node: NodeNumber,
    ) -> Arc<Self> {
        let reads = options.pool_max - options.pool_max / 4;
        Arc::new(Self {
            accepting: Accepting::new(&options),
            finishing: Finishing::new(&options),
            partitions: Partitions::new(),
            trimming: Trimming::new(options.quarantine_rows),
            cluster: Arc::new(ClusterState::new(&options)),
            noise: Arc::clone(&options.noise),
            clock: Arc::clone(&options.clock),
            reading: Arc::new(Semaphore::new(reads.max(1))),
            node: AtomicU32::new(node.0),
            leases: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            tasks: Mutex::default(),
            listed: Listed::default(),
            server: AtomicI64::new(0),
            owners: RwLock::default(),
            applications: RwLock::default(),
            pool,
            door,
            schema,
            options,
            meters,
        })
    }

    /// An error if the store has been closed.
    pub(crate) fn open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Closes the store to further calls; whether it was open.
    pub(crate) fn shut(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// A connection for reading. Statements in it end after five seconds.
    pub(crate) async fn read(&self, operation: &'static str) -> Result<Conn> {
        self.open()?;
        let permit = Arc::clone(&self.reading).acquire_owned();
        let wait = tokio::time::timeout(self.options.wait_max, permit).await;
        // The semaphore is never closed.
        let permit = wait.map_err(|_| self.busy())?.map_err(|_| StoreError::Closed)?;
        Ok(Conn { _reading: Some(permit), ..self.pooled(operation).await? })
    }

    /// A connection for writing.
    pub(crate) async fn write(&self, operation: &'static str) -> Result<Conn> {
        self.open()?;
        self.pooled(operation).await
    }

    async fn pooled(&self, operation: &'static str) -> Result<Conn> {
        let mut problem = None;
        let wait = tokio::time::timeout(self.options.wait_max, async {
            loop {
                match self.pool.get().await {
                    Ok(session) => return Ok(Conn { session, _reading: None }),
                    // What needs somebody to act does not become better by waiting.
                    Err(PoolError::Backend(error @ StoreError::Unusable { .. })) => {
                        return Err(error);
                    }
                    Err(PoolError::Backend(error)) => problem = Some(error),
                    Err(PoolError::Closed) => return Err(StoreError::Closed),
                    Err(error) => return Err(unavailable(operation, error.to_string())),
                }
            }
        });
        match wait.await {
            Ok(answer) => answer,
            Err(_) => Err(match problem.or_else(|| self.door.trouble()) {
                Some(StoreError::Unavailable { detail, .. }) => unavailable(operation, detail),
                Some(error) => error,
                None => self.busy(),
            }),
        }
    }

    fn busy(&self) -> StoreError {
        StoreError::Busy { waiting: self.pool.status().waiting + 1 }
    }

    /// A session outside the pool, for a task that keeps it. Waits as long as is due after a failure.
    pub(crate) async fn connect_dedicated(&self, operation: &'static str) -> Result<Session> {
        self.open()?;
        Ok(self.door.connect(operation, None).await?.dedicated())
    }

    /// Likewise, with what is notified in it. The receiver ends with the session, also if it does not
    /// keep up.
    pub(crate) async fn connect_listening(
        &self,
        operation: &'static str,
    ) -> Result<(Session, mpsc::Receiver<Notification>)> {
        self.open()?;
        let (news, receiver) = mpsc::channel(NEWS_MAX);
        let session = self.door.connect(operation, Some(news)).await?.dedicated();
        Ok((session, receiver))
    }

    /// The number of this node, which no other has had before.
    pub(crate) fn node(&self) -> NodeNumber {
        NodeNumber(self.node.load(Ordering::Acquire))
    }

    /// The node has joined anew, under another number.
    pub(crate) fn set_node(&self, node: NodeNumber) {
        self.node.store(node.0, Ordering::Release);
    }

    /// A token that was never given before; its upper bits tell the node.
    pub(crate) fn next_lease(&self) -> LeaseToken {
        let count = self.leases.fetch_add(1, Ordering::Relaxed) + 1;
        let count = count & ((1 << LEASE_COUNTER_BITS) - 1);
        LeaseToken(u64::from(self.node().0) << LEASE_COUNTER_BITS | count)
    }

    /// Runs something in the background until the store is closed or dropped. It should end by itself
    /// when [`Self::open`] says so.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push(tokio::spawn(work));
    }

    /// Ends what runs in the background.
    pub(crate) fn end_tasks(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }

    /// Configuration is read from this server. Another one than before may have lost what was made last,
    /// and have given its keys to others.
    pub(crate) fn meet_server(&self, server: i64) {
        if self.server.swap(server, Ordering::AcqRel) != server {
            self.owners.write().clear();
            self.applications.write().clear();
        }
    }

    /// Remembers whose applications are.
    pub(crate) fn know_application(&self, application: ApplicationKey, owner: Owner) {
        self.owners.write().insert(application.0, owner);
    }

    /// Remembers which application an endpoint belongs to.
    pub(crate) fn know_endpoint(&self, endpoint: EndpointKey, application: ApplicationKey) {
        self.applications.write().insert(endpoint.0, application);
    }

    /// Whose an application is, removed or not.
    pub(crate) async fn owner_of(&self, application: ApplicationKey) -> Result<Option<Owner>> {
        let known = self.owners.read().get(&application.0).copied();
        if known.is_some() {
            return Ok(known);
        }
        let conn = self.read("read applications").await?;
        let sql = "SELECT owner FROM application WHERE key = $1";
        let key = i64::from(application.0);
        let Ok(key) = i32::try_from(key) else { return Ok(None) };
        let row = conn.row("read applications", sql, &[&key]).await?;
        let owner = row.map(|row| Owner::new(row.get::<_, i32>(0).cast_unsigned()));
        if let Some(owner) = owner {
            self.know_application(application, owner);
        }
        Ok(owner)
    }

    /// Whether an application is in a scope.
    pub(crate) async fn in_scope(&self, scope: Scope, application: ApplicationKey) -> Result<bool> {
        if scope.application.is_some_and(|only| only != application) {
            return Ok(false);
        }
        Ok(self.owner_of(application).await? == Some(scope.owner))
    }

    /// Which application an endpoint belongs to, removed or not.
    pub(crate) async fn application_of(
        &self,
        endpoint: EndpointKey,
    ) -> Result<Option<ApplicationKey>> {
        let known = self.applications.read().get(&endpoint.0).copied();
        if known.is_some() {
            return Ok(known);
        }
        let Ok(key) = i32::try_from(endpoint.0) else { return Ok(None) };
        let conn = self.read("read endpoints").await?;
        let sql = "SELECT application FROM endpoint WHERE key = $1";
        let row = conn.row("read endpoints", sql, &[&key]).await?;
        let application = row.map(|row| ApplicationKey(row.get::<_, i32>(0).cast_unsigned()));
        if let Some(application) = application {
            self.know_endpoint(endpoint, application);
        }
        Ok(application)
    }
}

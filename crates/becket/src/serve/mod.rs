//! Wiring of the gateway: store, engine, receiving and management in one process.
//!
//! Role: makes the parts, hands each what it needs, applies changes of the configuration, and stops
//! everything in an order in which nothing is lost (`handover::leave`).
//!
//! Deliberately absent: decisions about webhooks.
//!
//! Where next: `run` for the process around it, `gateway` for what is in force, `assemble` for how configuration becomes parts.

mod acme;
mod act;
mod activity;
mod alerts;
mod assemble;
mod changed;
mod control;
mod dashboard;
mod demo;
mod directory;
mod doctor;
mod error;
mod fallback;
mod gateway;
mod handoff;
pub(crate) mod handover;
mod identity;
mod keys;
pub(crate) use doctor::{UNUSABLE, unpinned};
pub(crate) use keys::read_keys;
mod listen;
mod log;
mod node;
mod oidc;
mod open;
mod outside;
mod registry;
mod relay;
mod rotation;
pub(crate) mod run;
mod source_test;
mod telemetry;
mod tls;
mod transforms;
mod watch;
pub(crate) mod world;

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use becket_api::{ApiState, Auth};
use becket_egress::{Egress, EgressConfig};
use becket_engine::{Door, Engine, EngineConfig, Environment};
use becket_ingress::server::{Bind, Listener, ServeConfig, Server, Serves};
use becket_ingress::{Ingress, ServerLimits, SourceTable};
use becket_keys::{KeyFetcher, KeysConfig};
use becket_model::{Clock, Noise};
use becket_store::{RetentionPolicy, Store};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::sync::{Mutex, watch as channel};

use crate::config::{Config, Loaded};
use assemble::Policies;
use error::ServeError;
use gateway::{ConfigSource, Current, Gateway};
use handoff::EngineHandoff;
use handover::Left;
use handover::control::Control;
use handover::leave::Leaving;
pub use run::run;
use telemetry::Telemetry;
use world::{SystemClock, SystemNoise};

/// The longest that results in flight are waited for beyond the configured grace.
const ENGINE_GRACE_EXTRA: Duration = Duration::from_secs(5);
/// How long an endpoint has to fail before other nodes hear of it.
const FAILING_NOTED_AFTER_MS: u64 = 10_000;
/// The setting by which a store knows the master key it was made with.
const FINGERPRINT_SETTING: &str = "master_key_fingerprint";

/// What a gateway is given beside its configuration.
struct Once<'p> {
    doors: Arc<handover::Doors>,
    relieved: &'p mut handover::arrive::Relieved,
    again: handover::control::Again,
    shares_store: bool,
    signals: &'p mut watch::Signals,
}

/// Wires a gateway and runs it until it is told to stop, or has been relieved.
async fn serve_once(
    source: ConfigSource,
    loaded: Loaded,
    lines: Arc<log::Lines>,
    once: Once<'_>,
) -> Result<Left, ServeError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let noise: Arc<dyn Noise> = Arc::new(SystemNoise);
    let config = loaded.config.clone();
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.one_line());
    }
    let folder = config.local_folder();
    let (vault, master_key_file) = keys::vault(&config, &folder, noise.as_ref())?;
    let open::Opened { store, clock, database_clock } =
        open::open(&config, clock, &noise, &mut *once.signals).await?;
    let token = keys::operators_token(&config, &folder, noise.as_ref(), store.as_ref()).await?;
    keys::check(&vault, store.as_ref()).await?;

    let counting = activity::node_name(&config, noise.as_ref());
    let telemetry = Arc::new(Telemetry::new(lines, Arc::clone(&clock), &counting));
    let make_egress = make_egress(&config)?;
    let engine = start_engine(&config, &store, &clock, &noise, &telemetry, &make_egress)?;
    let local_url = local_url(&config);
    // Where several nodes share a store, each would have a secret of its own for it.
    let demo = match database_clock {
        None => demo::of(&config, &folder, &local_url, noise.as_ref())?,
        Some(_) => None,
    };
    let policies = Arc::new(Policies::of(&loaded.config));
    let keys = key_fetcher(&config, &policies, &clock, &noise, &telemetry)?;
    let relay: Arc<becket_api::Relay> = Arc::default();
    let sign_in =
        oidc::Held::new(extra_roots(&config)?, Arc::clone(&policies.operator), Arc::clone(&clock))?;
    let node = match (store.cluster(), database_clock) {
        (Some(cluster), Some(clock)) => {
            let declared = node::Declared::of(&assemble::declared(&config, demo.as_ref()));
            Some(node::Node::join(cluster, engine.clone(), clock, &config, &declared).await?)
        }
        _ => None,
    };
    let gateway = Arc::new_cyclic(|own| Gateway {
        store: Arc::clone(&store),
        engine,
        node,
        elsewhere: Arc::default(),
        table: Arc::new(ArcSwap::from_pointee(SourceTable::default())),
        current: ArcSwap::from_pointee(Current {
            pages: dashboard::Pages::none(),
            policies,
            loaded: Arc::new(loaded.clone()),
            declared: Arc::default(),
            sources: HashMap::new(),
            unusable: HashMap::new(),
        }),
        vault: ArcSwap::from_pointee(vault),
        master_key_file,
        clock: Arc::clone(&clock),
        noise: Arc::clone(&noise),
        folder: folder.clone(),
        config_source: source,
        demo,
        changing: Mutex::default(),
        rotating: Mutex::default(),
        own: Weak::clone(own),
        unfinished: Arc::default(),
        former: parking_lot::Mutex::default(),
        ingress: std::sync::OnceLock::new(),
        keys,
        acts: act::Actions::new(folder, make_egress, Arc::clone(&relay))
            .leased_for(act::lease_ms(&config)),
        transforms: transforms::Transforms::new(),
        captured_at_ms: Mutex::default(),
        sign_in,
        relay: Arc::clone(&relay),
        board: alerts::Board::default(),
        behind: AtomicBool::default(),
        leaving: AtomicBool::default(),
        local_url,
    });
    let ended = serve_wired(&gateway, &telemetry, &token, loaded, once).await;
    if let (Err(_), Some(node)) = (&ended, &gateway.node) {
        // The others need not find out by waiting.
        node.leave().await;
    }
    ended
}

/// Runs a gateway whose parts are made.
async fn serve_wired(
    gateway: &Arc<Gateway>,
    telemetry: &Arc<Telemetry>,
    token: &keys::AdminToken,
    loaded: Loaded,
    once: Once<'_>,
) -> Result<Left, ServeError> {
    let Once { doors, relieved, again, shares_store, signals } = once;
    let (place, grace) = (run::folder_of(&loaded.config), loaded.config.server.shutdown_grace);
    hear_of_changes(gateway, telemetry);
    watch_ends(gateway);
    gateway.apply(loaded).await?;
    node::follow(gateway);
    rotation::resume(gateway).await?;

    let (closing, closed) = channel::channel(false);
    let running = listen_and_serve(gateway, telemetry, token, closed, &doors).await?;
    if let Some(node) = &gateway.node {
        node.ready();
    }
    relieved.serving().await;
    announce(gateway, token, gateway.demo.as_ref());
    listen::notify("READY=1");
    let Running { server, certificate, tasks } = running;
    let mut control = Control::start(Arc::clone(&doors), place, again, shares_store);
    let ended = watch::until_stopped(gateway, signals, &mut control, certificate).await;
    drop(control);

    let engine = gateway.engine.clone();
    let (gateway, telemetry) = (gateway.as_ref(), telemetry.as_ref());
    let leaving = Leaving { server, doors, engine, closing, tasks, grace, gateway, telemetry };
    match ended {
        watch::Ended::Stop => leaving.stop().await,
        watch::Ended::HandOver(conversation) => leaving.hand_over(*conversation).await,
    }
}

/// Carries on what was begun for callers that have gone, writes the counts down and closes the store.
async fn finish(gateway: &Gateway, telemetry: &Telemetry) -> Result<(), ServeError> {
    let patience = tokio::time::Instant::now() + ENGINE_GRACE_EXTRA;
    while gateway.unfinished.load(Ordering::Acquire) > 0 && tokio::time::Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    activity::end(gateway, &telemetry.activity).await;
    if let Some(node) = &gateway.node {
        node.leave().await;
    }
    gateway.store.close().await?;
    Ok(())
}

/// How many changes of endpoints by the engine may wait to be taken over.
const NOTICES_MAX: usize = 1_024;

/// Lets what is noticed reach whoever is told of it: the owners' operational endpoints, the rest of the
/// gateway, those who get alerts, and the counts.
fn hear_of_changes(gateway: &Arc<Gateway>, telemetry: &Telemetry) {
    alerts::start(gateway, Arc::clone(&telemetry.alerts), Arc::clone(&telemetry.activity));
    activity::start(gateway, &telemetry.activity);
    let reporter = becket_api::OperationalReporter::start(
        Arc::clone(&gateway.store),
        EngineHandoff::new(&gateway.engine, gateway.node.as_ref()),
        Arc::clone(&gateway.clock),
        gateway.engine.lease_ms(),
        Arc::clone(&gateway.unfinished),
        Arc::clone(&telemetry.activity),
    );
    let (sender, mut notices) = tokio::sync::mpsc::channel(NOTICES_MAX);
    // Both are set once, here, before anything is delivered.
    if telemetry.reporter.set(reporter).is_err() || telemetry.notices.set(sender).is_err() {
        tracing::error!("changes of endpoints are told twice");
    }
    let gateway = Arc::downgrade(gateway);
    tokio::spawn(async move {
        while let Some(notice) = notices.recv().await {
            let Some(gateway) = gateway.upgrade() else { return };
            gateway.take_over_notice(&notice).await;
        }
    });
}

/// How often it is looked whether a former secret or receiving URL has ended.
const ENDS_EVERY: Duration = Duration::from_secs(1);

/// Takes former secrets and receiving URLs out of force when their time is over, and puts in force what
/// could not be read when it was changed.
fn watch_ends(gateway: &Arc<Gateway>) {
    let gateway = Arc::downgrade(gateway);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(ENDS_EVERY).await;
            let Some(gateway) = gateway.upgrade() else { return };
            gateway.end_overdue().await;
            gateway.catch_up_alone().await;
        }
    });
}

fn start_engine(
    config: &Config,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    noise: &Arc<dyn Noise>,
    telemetry: &Arc<Telemetry>,
    make_egress: &act::MakeEgress,
) -> Result<Engine, ServeError> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let engine_config = EngineConfig {
        shards: cores().div_ceil(2),
        concurrency_in_all: config.egress.concurrency as usize,
        retention: Some(RetentionPolicy {
            delivered_ms: ms(config.store.retention.delivered),
            failed_ms: ms(config.store.retention.failed),
            cap_bytes: Some(config.store.cap.0),
        }),
        lease_ms: act::lease_ms(config),
        failing_noted_after_ms: match config.store.url.folder() {
            Some(_) => 0,
            None => FAILING_NOTED_AFTER_MS,
        },
        ..EngineConfig::default()
    };
    let environment = Environment {
        store: Arc::clone(store),
        clock: Arc::clone(clock),
        noise: Arc::clone(noise),
        observer: Arc::clone(telemetry) as Arc<dyn becket_engine::Observer>,
    };
    let egress_config = Arc::clone(make_egress);
    let door = move || -> Arc<dyn Door> {
        #[expect(clippy::expect_used, reason = "the same configuration was accepted just before")]
        let egress = Egress::new(egress_config()).expect("the egress configuration is valid");
        Arc::new(egress)
    };
    Ok(Engine::start(engine_config, environment, door)?)
}

/// How everything that leaves is connected.
fn make_egress(config: &Config) -> Result<act::MakeEgress, ServeError> {
    let roots = extra_roots(config)?;
    // As many connections may rest as there may be attempts: an endpoint with a high concurrency
    // must not dial anew for most of them.
    let idle_max = (config.egress.concurrency as usize).max(1);
    let egress_config = move || EgressConfig {
        extra_root_certs: roots.clone(),
        max_idle_per_endpoint: idle_max,
        max_idle_total: idle_max,
        ..EgressConfig::default()
    };
    // Made once here, so that a wrong setting is found at start and not in a thread.
    drop(Egress::new(egress_config())?);
    Ok(Arc::new(egress_config))
}

/// The authorities that the configuration adds for connections to the outside.
fn extra_roots(config: &Config) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let Some(file) = &config.egress.ca_file else { return Ok(Vec::new()) };
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| ServeError::Tls { detail: format!("{}: {error}", file.display()) })
}

/// Providers' addresses come from requests and entries: they may lead where deliveries of the API may.
fn key_fetcher(
    config: &Config,
    policies: &Policies,
    clock: &Arc<dyn Clock>,
    noise: &Arc<dyn Noise>,
    telemetry: &Arc<Telemetry>,
) -> Result<KeyFetcher, ServeError> {
    let keys = KeysConfig {
        extra_root_certs: extra_roots(config)?,
        ..KeysConfig::new(Arc::clone(&policies.public))
    };
    let environment = becket_keys::Environment {
        clock: Arc::clone(clock),
        noise: Arc::clone(noise),
        observer: Arc::clone(telemetry) as Arc<dyn becket_keys::FetchObserver>,
        runtime: tokio::runtime::Handle::current(),
    };
    Ok(KeyFetcher::new(keys, environment)?)
}

/// What runs beside the watching of signals.
struct Running {
    server: Server,
    certificate: Option<(crate::config::Tls, tls::Served)>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// The API over everything that it asks for.
fn api_router(
    gateway: &Arc<Gateway>,
    telemetry: &Telemetry,
    token: &keys::AdminToken,
    closing: channel::Receiver<bool>,
) -> axum::Router {
    becket_api::router(ApiState {
        store: Arc::clone(&gateway.store),
        directory: Arc::clone(gateway) as Arc<dyn becket_api::Directory>,
        control: Arc::clone(gateway) as Arc<dyn becket_api::Control>,
        clock: Arc::clone(&gateway.clock),
        noise: Arc::clone(&gateway.noise),
        auth: Auth::admin(token.hashes.clone()),
        handoff: EngineHandoff::new(&gateway.engine, gateway.node.as_ref()),
        elsewhere: Arc::clone(&gateway.elsewhere),
        relay: Arc::clone(&gateway.relay),
        activity: Arc::clone(&telemetry.activity),
        lease_ms: gateway.engine.lease_ms(),
        unfinished: Arc::clone(&gateway.unfinished),
        closing,
    })
}

async fn listen_and_serve(
    gateway: &Arc<Gateway>,
    telemetry: &Arc<Telemetry>,
    token: &keys::AdminToken,
    closing: channel::Receiver<bool>,
    doors: &handover::Doors,
) -> Result<Running, ServeError> {
    let current = gateway.current.load_full();
    let config = &current.loaded.config;
    let ingress = Ingress::new(
        Arc::clone(&gateway.store),
        Arc::clone(&gateway.table),
        EngineHandoff::new(&gateway.engine, gateway.node.as_ref()),
        Arc::clone(telemetry) as Arc<dyn becket_ingress::Observer>,
        Arc::clone(&gateway.clock),
        limits(config),
    );
    let outside = Arc::clone(gateway) as Arc<dyn becket_ingress::Outside>;
    let receives = config.cluster.roles().ingress;
    let ingress = Arc::new(ingress.with_outside(outside).receiving(receives));
    // Set once, here, before anything is asked for.
    if gateway.ingress.set(Arc::clone(&ingress)).is_err() {
        tracing::error!("there are two receiving sides");
    }
    let keeper =
        config.server.acme.as_ref().map(|acme| {
            acme::Keeper::new(acme.clone(), &gateway.folder, Arc::clone(&gateway.clock))
        });
    let management = Arc::new(fallback::Management {
        router: api_router(gateway, telemetry, token, closing),
        gateway: Arc::clone(gateway),
        telemetry: Arc::clone(telemetry),
        serves_api: config.cluster.roles().api,
        echo: gateway.demo.is_some(),
        identity: identity::Identity::new(gateway.noise.as_ref(), Arc::clone(&gateway.clock)),
        challenges: keeper.as_ref().map(|keeper| keeper.challenges.clone()).unwrap_or_default(),
    });
    let cannot_use = |error| ServeError::system("using the sockets that are open", &error);
    let mut tasks = Vec::new();
    let mut certificate = None;
    let mut challenge_server = None;
    let served = match (&config.server.tls, keeper) {
        (Some(files), _) => {
            let read = tls::from_files(&files.cert_file, &files.key_file)?;
            let served: tls::Served = Arc::new(ArcSwap::from_pointee(read));
            certificate = Some((files.clone(), Arc::clone(&served)));
            Some(served)
        }
        (None, Some(keeper)) => {
            // The authority asks on a listener of its own, which has to answer before there is a
            // certificate to serve with.
            let bind = Bind::Open(doors.copies(handover::Use::Challenge).map_err(cannot_use)?);
            let listeners = vec![Listener { bind, serves: Serves::Fallback, tls: None }];
            let serve = ServeConfig { threads: Some(1), ..ServeConfig::new(listeners) };
            let only = Arc::new(keeper.challenges.clone());
            challenge_server = Some(Server::start(serve, Arc::clone(&ingress), only)?);
            let first = match keeper.kept() {
                Some(kept) => kept,
                None => keeper.issue().await?,
            };
            let served: tls::Served = Arc::new(ArcSwap::from_pointee(first));
            let renewing = Arc::clone(&served);
            tasks.push(tokio::spawn(async move { keeper.renew(renewing).await }));
            Some(served)
        }
        (None, None) => None,
    };
    let (listeners, inherited) = (listen::listeners(doors, served)?, doors.is_activated());
    let serve = ServeConfig {
        threads: config.server.threads.map(usize::from),
        passed_on: doors.forwarded().map_err(cannot_use)?,
        grace: config.server.shutdown_grace,
        ..ServeConfig::new(listeners)
    };
    let server = Server::start(serve, ingress, management as _)?;
    if let Some(challenges) = challenge_server {
        // It lives as long as the task list: aborting the task drops and so stops it.
        tasks.push(tokio::spawn(async move {
            let _answers_as_long_as_held = challenges;
            std::future::pending::<()>().await;
        }));
    }
    for address in server.addresses() {
        tracing::info!(%address, inherited, "listening");
    }
    Ok(Running { server, certificate, tasks })
}

fn limits(config: &Config) -> ServerLimits {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let server = &config.server;
    ServerLimits {
        header_timeout_ms: ms(server.header_timeout),
        body_idle_timeout_ms: ms(server.body_idle_timeout),
        request_timeout_ms: ms(server.request_timeout),
        connections_max: server.connections_max as usize,
        connections_per_address_max: server.connections_per_address_max as usize,
        trusted_proxies: server.trusted_proxies.clone(),
        unverified_rate: server.unverified_rate_limit,
        unverified_burst: server.unverified_burst,
        ..ServerLimits::default()
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The URL under which this machine reaches the gateway.
fn local_url(config: &Config) -> String {
    let secure = config.server.tls.is_some() || config.server.acme.is_some();
    let scheme = if secure { "https" } else { "http" };
    format!("{scheme}://{}", reachable(config.server.listen))
}

/// The address under which this machine reaches a listener of its own.
fn reachable(listen: std::net::SocketAddr) -> std::net::SocketAddr {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    match listen {
        SocketAddr::V4(address) if address.ip().is_unspecified() => {
            (Ipv4Addr::LOCALHOST, address.port()).into()
        }
        SocketAddr::V6(address) if address.ip().is_unspecified() => {
            (Ipv6Addr::LOCALHOST, address.port()).into()
        }
        other => other,
    }
}

/// Says where to send what, on standard output.
fn announce(gateway: &Gateway, token: &keys::AdminToken, demo: Option<&crate::config::Source>) {
    use becket_api::Directory as _;
    let mut text = String::from("Becket is running.\n\n");
    let current = gateway.current.load();
    let mut sources: Vec<_> = current.sources.values().collect();
    sources.sort_unstable_by_key(|source| source.application.key);
    sources.retain(|source| source.rules.id != crate::config::ALERTS_SOURCE);
    for source in sources {
        let url = gateway.receiving_url(&source.application);
        let name = source.application.name();
        text.push_str(&format!("  {:<20}{url}\n", format!("receives {name}")));
        if source.rules.verification == crate::config::Verification::Observe {
            text.push_str(&format!("  {:<20}WARNING: {}\n", "", doctor::OBSERVES));
        }
    }
    let config = &current.loaded.config;
    // An address of its own for management is always plain HTTP.
    let own = config.server.admin_listen.map(|own| format!("http://{}", reachable(own)));
    let management = own.as_deref().unwrap_or(&gateway.local_url);
    if config.dashboard.enabled {
        text.push_str(&format!("  {:<20}{management}/\n", "dashboard"));
    }
    text.push_str(&format!("  {:<20}{management}/api/v1\n", "management"));
    match token.kept.as_ref().map(|kept| (kept, kept.file.as_ref())) {
        Some((kept, Some(file))) if kept.fresh || demo.is_some() => {
            text.push_str(&format!("  admin token         {}\n", kept.text.as_str()));
            text.push_str(&format!("                      (kept in {})\n", file.display()));
        }
        Some((_, Some(file))) => {
            text.push_str(&format!("  admin token         in {}\n", file.display()));
        }
        Some((_, None)) => text.push_str("  admin token         from BECKET_ADMIN_TOKEN\n"),
        None => {
            text.push_str("  admin token         made by another node, and kept on its machine\n")
        }
    }
    if let Some(demo) = demo {
        let mut random = [0; 16];
        gateway.noise.fill(&mut random);
        let delivery = hex::encode(random);
        let url = format!("{}/in/{}", gateway.local_url, demo.id);
        let now_ms = gateway.clock.now_ms();
        // As it was called, so that the line can be pasted where no `becket` is in the path.
        let becket = std::env::args().next().unwrap_or_else(|| "becket".to_owned());
        if let Some(line) = demo::curl_line(config, demo, &url, &delivery, now_ms) {
            text.push_str(&format!(
                "\nSend it a signed event from another terminal:\n\n  {line}\n\nand look at it:\n\n  {becket} events list\n\n"
            ));
        }
    }
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason not to run.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

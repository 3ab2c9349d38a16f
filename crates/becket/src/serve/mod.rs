//! Wiring of the gateway: store, engine, receiving and management in one process.
//!
//! Role: makes the parts, hands each what it needs, applies changes of the configuration, and stops
//! everything in an order in which nothing is lost: first receiving, then delivering, then the store.
//!
//! Deliberately absent: decisions about webhooks.
//!
//! Where next: `gateway` for what is in force, `assemble` for how configuration becomes parts.

mod acme;
mod act;
mod activity;
mod alerts;
mod assemble;
mod control;
mod dashboard;
mod demo;
mod directory;
mod doctor;
mod error;
mod fallback;
mod gateway;
mod identity;
mod keys;
pub(crate) use keys::read_keys;
mod listen;
mod log;
mod oidc;
mod outside;
mod relay;
mod rotation;
mod source_test;
mod telemetry;
mod tls;
mod transforms;
mod watch;
mod world;

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use becket_api::{ApiState, Auth};
use becket_egress::{Egress, EgressConfig};
use becket_engine::{Door, Engine, EngineConfig, Environment};
use becket_ingress::server::{Listener, ServeConfig, Server, Serves};
use becket_ingress::{Ingress, ServerLimits, SourceTable};
use becket_keys::{KeyFetcher, KeysConfig};
use becket_model::{Clock, Noise};
use becket_store::vault::Vault;
use becket_store::{Owner, RetentionPolicy, Store};
use becket_store_sqlite::{Options, SqliteStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::sync::{Mutex, watch as channel};

use crate::cli::{Globals, ServeArgs};
use crate::config::{Config, Loaded, StoreUrl};
use assemble::Policies;
use error::ServeError;
use gateway::{ConfigSource, Current, EngineHandoff, Gateway};
use telemetry::Telemetry;
use world::{SystemClock, SystemNoise};

/// The longest that results in flight are waited for beyond the configured grace.
const ENGINE_GRACE_EXTRA: Duration = Duration::from_secs(5);
/// The setting by which a store knows the master key it was made with.
const FINGERPRINT_SETTING: &str = "master_key_fingerprint";

/// Runs the gateway until it is told to stop.
pub fn run(args: ServeArgs, globals: &Globals) -> ExitCode {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let source = ConfigSource { path: globals.config.clone(), env, flags: args.flags() };
    let loaded = match source.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::FAILURE;
        }
    };
    let lines = log::start(&loaded.config.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("becket")
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let until_stdin_closes = args.until_stdin_closes;
    let ended = runtime.block_on(serve(source, loaded, Arc::clone(&lines), until_stdin_closes));
    lines.end();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(
    source: ConfigSource,
    loaded: Loaded,
    lines: Arc<log::Lines>,
    until_stdin_closes: bool,
) -> Result<(), ServeError> {
    let signals = watch::Signals::new(until_stdin_closes)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let noise: Arc<dyn Noise> = Arc::new(SystemNoise);
    let config = loaded.config.clone();
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.one_line());
    }
    let StoreUrl::Sqlite { folder } = config.store.url.clone();
    let (master_keys, master_key) = keys::master_keys(&config, &folder, noise.as_ref())?;
    let token = keys::admin_token(&config, &folder, noise.as_ref())?;
    if let (true, Some(file)) = (master_key.fresh, &master_key.file) {
        tracing::warn!(file = %file.display(), "a master key was made; keep a copy: stored secrets cannot be read without it");
    }
    let vault = Vault::with_keys(master_keys);
    let store = open_store(&config, folder.clone(), &clock, &noise)?;
    let fingerprint = vault.fingerprint().to_vec();
    let known = store.setting_init(Owner::MAIN, FINGERPRINT_SETTING, fingerprint).await?;
    if !vault.fingerprints().iter().any(|own| own.as_slice() == known) {
        return Err(ServeError::OtherMasterKey);
    }

    let telemetry = Arc::new(Telemetry::new(lines, Arc::clone(&clock)));
    let make_egress = make_egress(&config)?;
    let engine = start_engine(&config, &store, &clock, &noise, &telemetry, &make_egress)?;
    let scheme =
        if config.server.tls.is_some() || config.server.acme.is_some() { "https" } else { "http" };
    let local_url = format!("{scheme}://{}", reachable(config.server.listen));
    let demo = match config.is_empty_of_sources() && scheme == "http" {
        true => {
            let secret = keys::demo_secret(&folder, noise.as_ref())?;
            Some(demo::source(&secret.text, &local_url)?)
        }
        false => None,
    };
    let policies = Arc::new(Policies::of(&loaded.config));
    let keys = key_fetcher(&config, &policies, &clock, &noise, &telemetry)?;
    let relay: Arc<becket_api::Relay> = Arc::default();
    let sign_in =
        oidc::Held::new(extra_roots(&config)?, Arc::clone(&policies.operator), Arc::clone(&clock))?;
    let gateway = Arc::new_cyclic(|own| Gateway {
        store: Arc::clone(&store),
        engine: engine.clone(),
        table: Arc::new(ArcSwap::from_pointee(SourceTable::default())),
        current: ArcSwap::from_pointee(Current {
            pages: dashboard::Pages::none(),
            policies,
            loaded: Arc::new(loaded.clone()),
            declared: Arc::default(),
            sources: HashMap::new(),
        }),
        vault: ArcSwap::from_pointee(vault),
        master_key_file: config.master_key_file.clone().or(master_key.file),
        clock: Arc::clone(&clock),
        noise: Arc::clone(&noise),
        folder: folder.clone(),
        config_source: source,
        demo: demo.clone(),
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
        local_url,
    });
    hear_of_changes(&gateway, &telemetry);
    watch_ends(&gateway);
    gateway.apply(loaded).await?;
    rotation::resume(&gateway).await?;

    let (closing, closed) = channel::channel(false);
    let running = listen_and_serve(&gateway, &telemetry, &token.text, closed).await?;
    announce(&gateway, &token, demo.as_ref());
    listen::notify("READY=1");
    let Running { server, certificate, tasks } = running;
    watch::until_stopped(&gateway, signals, certificate).await;

    tracing::info!("stopping: no new requests, finishing what is in flight");
    listen::notify("STOPPING=1");
    closing.send_replace(true);
    let joined = tokio::task::spawn_blocking(move || server.join()).await;
    joined.map_err(|error| ServeError::system("stopping the listeners", &error))?;
    let grace = config.server.shutdown_grace + ENGINE_GRACE_EXTRA;
    engine.shutdown(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX)).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    finish(&gateway, &telemetry).await
}

/// Carries on what was begun for callers that have gone, writes the counts down and closes the store.
async fn finish(gateway: &Gateway, telemetry: &Telemetry) -> Result<(), ServeError> {
    let patience = tokio::time::Instant::now() + ENGINE_GRACE_EXTRA;
    while gateway.unfinished.load(Ordering::Acquire) > 0 && tokio::time::Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    activity::end(gateway, &telemetry.activity).await;
    gateway.store.close().await?;
    tracing::info!("stopped");
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
        Arc::new(EngineHandoff(gateway.engine.clone())),
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

/// Takes former secrets and receiving URLs out of force when their time is over.
fn watch_ends(gateway: &Arc<Gateway>) {
    let gateway = Arc::downgrade(gateway);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(ENDS_EVERY).await;
            let Some(gateway) = gateway.upgrade() else { return };
            gateway.end_overdue().await;
        }
    });
}

fn open_store(
    config: &Config,
    folder: PathBuf,
    clock: &Arc<dyn Clock>,
    noise: &Arc<dyn Noise>,
) -> Result<Arc<dyn Store>, ServeError> {
    let mut options = Options::new(folder, Arc::clone(noise), Arc::clone(clock));
    options.min_free_bytes = config.store.min_free.0;
    options.cap_bytes = Some(config.store.cap.0);
    if let Some(events) = config.store.segment_events {
        options.segment_events = events.into();
    }
    if let Some(bytes) = &config.store.segment_bytes {
        options.segment_bytes = bytes.0;
    }
    Ok(Arc::new(SqliteStore::open(options)?))
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

async fn listen_and_serve(
    gateway: &Arc<Gateway>,
    telemetry: &Arc<Telemetry>,
    token: &str,
    closing: channel::Receiver<bool>,
) -> Result<Running, ServeError> {
    let current = gateway.current.load_full();
    let config = &current.loaded.config;
    let ingress = Ingress::new(
        Arc::clone(&gateway.store),
        Arc::clone(&gateway.table),
        Arc::new(EngineHandoff(gateway.engine.clone())),
        Arc::clone(telemetry) as Arc<dyn becket_ingress::Observer>,
        Arc::clone(&gateway.clock),
        limits(config),
    );
    let outside = Arc::clone(gateway) as Arc<dyn becket_ingress::Outside>;
    let ingress = Arc::new(ingress.with_outside(outside));
    // Set once, here, before anything is asked for.
    if gateway.ingress.set(Arc::clone(&ingress)).is_err() {
        tracing::error!("there are two receiving sides");
    }
    let keeper =
        config.server.acme.as_ref().map(|acme| {
            acme::Keeper::new(acme.clone(), &gateway.folder, Arc::clone(&gateway.clock))
        });
    let router = becket_api::router(ApiState {
        store: Arc::clone(&gateway.store),
        directory: Arc::clone(gateway) as Arc<dyn becket_api::Directory>,
        control: Arc::clone(gateway) as Arc<dyn becket_api::Control>,
        clock: Arc::clone(&gateway.clock),
        noise: Arc::clone(&gateway.noise),
        auth: Auth::admin(vec![Auth::hash(token)]),
        handoff: Arc::new(EngineHandoff(gateway.engine.clone())),
        relay: Arc::clone(&gateway.relay),
        activity: Arc::clone(&telemetry.activity),
        lease_ms: gateway.engine.lease_ms(),
        unfinished: Arc::clone(&gateway.unfinished),
        closing,
    });
    let management = Arc::new(fallback::Management {
        router,
        gateway: Arc::clone(gateway),
        telemetry: Arc::clone(telemetry),
        echo: gateway.demo.is_some(),
        identity: identity::Identity::new(gateway.noise.as_ref(), Arc::clone(&gateway.clock)),
        challenges: keeper.as_ref().map(|keeper| keeper.challenges.clone()).unwrap_or_default(),
    });
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
            let on = Listener::on(keeper.challenge_listen());
            let listeners = vec![Listener { serves: Serves::Fallback, ..on }];
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
    let (listeners, inherited) = listen::listeners(&config.server, served)?;
    let serve = ServeConfig {
        threads: config.server.threads.map(usize::from),
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
fn announce(gateway: &Gateway, token: &keys::Kept, demo: Option<&crate::config::Source>) {
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
    if current.loaded.config.dashboard.enabled {
        text.push_str(&format!("  {:<20}{}/\n", "dashboard", gateway.local_url));
    }
    text.push_str(&format!("  {:<20}{}/api/v1\n", "management", gateway.local_url));
    match (&token.file, token.fresh || demo.is_some()) {
        (Some(file), true) => {
            text.push_str(&format!("  admin token         {}\n", token.text.as_str()));
            text.push_str(&format!("                      (kept in {})\n", file.display()));
        }
        (Some(file), false) => {
            text.push_str(&format!("  admin token         in {}\n", file.display()));
        }
        (None, _) => text.push_str("  admin token         from BECKET_ADMIN_TOKEN\n"),
    }
    if let Some(demo) = demo {
        let mut random = [0; 16];
        gateway.noise.fill(&mut random);
        let delivery = hex::encode(random);
        let url = format!("{}/in/{}", gateway.local_url, demo.id);
        let now_ms = gateway.clock.now_ms();
        let config = &current.loaded.config;
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

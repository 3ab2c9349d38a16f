//! What can be seen without asking anybody: configuration, folder, disk, limits, clock, listeners.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use becket_develop::doctor::clock::{Kept, Narrowest, Reading};
use becket_develop::doctor::{Finding, clock as clocks, counted, place};
use becket_signature::Tolerance;

use super::Facts;
use super::gateway::Online;
use crate::config::{Config, ConfigErrors, Loaded, Severity, StoreUrl, Verification};
use crate::serve;

/// The file of the master key in the data folder.
const MASTER_KEY_FILE: &str = "master.key";
/// Errors that are shown; `becket config check` shows all.
const ERRORS_SHOWN: usize = 3;

/// A configuration that holds.
pub(super) fn configuration(facts: &mut Facts, loaded: &Loaded) {
    const CHECK: &str = "configuration";
    let config = &loaded.config;
    let file = loaded
        .file
        .as_ref()
        .map_or("no file, the defaults".to_owned(), |file| file.display().to_string());
    let endpoints = config.sources.iter().map(|source| source.endpoints.len() as u64).sum();
    let sources = config.sources.len() as u64;
    facts.add(Finding::fine(
        CHECK,
        format!("{file}: {}, {}", counted(sources, "source"), counted(endpoints, "endpoint")),
    ));
    for warning in &loaded.warnings {
        facts.add(Finding::warning(CHECK, warning.one_line()));
    }
}

/// A configuration that does not.
pub(super) fn broken_configuration(facts: &mut Facts, errors: &ConfigErrors) {
    const CHECK: &str = "configuration";
    let file = errors.file.as_ref().map_or("it".to_owned(), |file| file.display().to_string());
    let count = errors.error_count() as u64;
    let mut finding = Finding::problem(CHECK, format!("{file} has {}", counted(count, "error")));
    let wrong = errors.problems.iter().filter(|problem| problem.severity == Severity::Error);
    for problem in wrong.take(ERRORS_SHOWN) {
        finding = finding.advise(problem.one_line());
    }
    facts.add(finding.advise("becket config check shows everything that is wrong"));
}

/// The machine that the gateway runs on, if it is this one.
pub(super) fn machine(facts: &mut Facts, online: Option<&Online>) {
    let config = facts.config.clone();
    let folder = &config.local_folder();
    let shared = matches!(config.store.url, StoreUrl::Postgres { .. });
    if facts.loaded.is_some() && shared {
        facts.add(database(&config));
        facts.add(given_key(&config));
        facts.add(open_files(&config, folder));
    } else if facts.loaded.is_some() {
        if online.is_some_and(|online| !online.is_here()) && !folder.exists() {
            facts.add(Finding::skipped("data_folder", "the gateway runs on another machine"));
        } else {
            facts.add_all(place::folder(folder));
            let used = online.map(|online| online.store_bytes());
            let (free, cap) = (config.store.min_free.0, config.store.cap.0);
            facts.add(place::space(folder, free, cap, used));
            facts.add(place::file_system(folder));
            facts.add(master_key(&config, folder));
            facts.add(open_files(&config, folder));
        }
    }
    if facts.loaded.is_some() {
        facts.add_all(exposure(&config));
        // A gateway that was asked tells this of its sources itself.
        if online.is_none() {
            facts.add_all(observing(&config));
            facts.add_all(unpinned(&config));
        }
        facts.add_all(proxy(&config));
    }
}

/// Where the store is, if it is a database. Whether it can be reached is the gateway's to say.
fn database(config: &Config) -> Finding {
    let shown = config.store.url.shown();
    if shown.contains("sslmode=disable")
        && !shown.contains("@127.")
        && !shown.contains("@localhost")
    {
        return Finding::warning("store", format!("{shown} is spoken to without encryption"))
            .advise(
                "write sslmode=verify-full, and sslrootcert=FILE for an authority of your own",
            );
    }
    Finding::fine("store", shown)
}

/// With a database the master key has to be given.
fn given_key(config: &Config) -> Finding {
    const CHECK: &str = "master_key";
    match (&config.master_key, &config.master_key_file) {
        (Some(_), _) => Finding::fine(CHECK, "given by the environment or the file"),
        (None, Some(file)) => Finding::fine(CHECK, format!("in {}", file.display())),
        (None, None) => Finding::problem(CHECK, "none is given, and with PostgreSQL none is made")
            .advise("make one with `openssl rand -base64 32`, and give it to every node as BECKET_MASTER_KEY"),
    }
}

fn master_key(config: &Config, folder: &Path) -> Finding {
    const CHECK: &str = "master_key";
    if config.master_key.is_some() {
        return Finding::fine(CHECK, "given by the environment or the file");
    }
    if let Some(file) = &config.master_key_file {
        let shown = file.display();
        return match std::fs::metadata(file) {
            Ok(_) if file.starts_with(folder) => beside(&shown.to_string()),
            Ok(_) => Finding::fine(CHECK, format!("in {shown}")),
            Err(error) => Finding::problem(CHECK, format!("{shown} cannot be read: {error}"))
                .advise(
                    "run this as the gateway's user; without the key no stored secret can be read",
                ),
        };
    }
    let file = folder.join(MASTER_KEY_FILE);
    match file.exists() {
        true => beside(&file.display().to_string()),
        false => Finding::skipped(CHECK, "there is none yet; it is made at the first start"),
    }
}

/// A key that burns with the house.
fn beside(file: &str) -> Finding {
    Finding::note("master_key", format!("{file}, beside the data it opens"))
        .advise("keep a copy elsewhere: a backup without it cannot read one secret")
        .advise("copied already? --skip master_key, or keep it apart with master_key_file")
}

/// The limit of the gateway's process if it can be found, else that of this one.
fn open_files(config: &Config, folder: &Path) -> Finding {
    let connections = u64::from(config.server.connections_max);
    let attempts = u64::from(config.egress.concurrency);
    let limits = gateway_process(folder)
        .and_then(|process| std::fs::read_to_string(process.join("limits")).ok());
    match limits {
        Some(limits) => {
            place::open_files("the gateway", place::open_files_of(&limits), connections, attempts)
        }
        None => place::open_files("this shell", place::own_open_files(), connections, attempts),
    }
}

/// The process that holds the store's lock, as its folder in `/proc`.
fn gateway_process(folder: &Path) -> Option<PathBuf> {
    let lock = std::fs::canonicalize(folder.join("lock")).ok()?;
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    processes.map(|process| process.path()).find(|process| {
        let is_process = process
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        is_process
            && std::fs::read_dir(process.join("fd")).is_ok_and(|files| {
                files
                    .filter_map(Result::ok)
                    .any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == lock))
            })
    })
}

/// Who can reach management, and whether anybody between can read along.
fn exposure(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "exposure";
    let server = &config.server;
    let has_tls = server.tls.is_some() || server.acme.is_some();
    let management: SocketAddr = server.admin_listen.unwrap_or(server.listen);
    // A separate listener for management speaks no TLS.
    let in_plain = server.admin_listen.is_some() || !has_tls;
    if management.ip().is_loopback() {
        return vec![Finding::fine(
            CHECK,
            format!("management on {management}, for this machine only"),
        )];
    }
    if in_plain {
        return vec![
            Finding::warning(
                CHECK,
                format!("management on {management} without TLS: the token can be read on its way"),
            )
            .advise(
                "set [server] admin_listen = \"127.0.0.1:8081\", and reach it by ssh -L or a VPN",
            )
            .advise("behind a proxy that ends TLS: let it listen for that proxy only"),
        ];
    }
    vec![
        Finding::note(CHECK, format!("management is reachable on {management}, over TLS"))
            .advise("[server] admin_listen = \"127.0.0.1:8081\" keeps it to this machine"),
    ]
}

/// Sources that take what they cannot verify.
fn observing(config: &Config) -> Vec<Finding> {
    let finding = |id: &str| {
        Finding::warning(
            "sources",
            format!("`{id}` only observes: what cannot be verified is delivered too"),
        )
        .advise("set verification = \"enforce\" once its signatures are right")
    };
    let observing = config.sources.iter().filter(|it| it.verification == Verification::Observe);
    observing.map(|source| finding(&source.id)).collect()
}

/// Sources whose provider signs for all its customers with one key, and which do not say whose requests
/// they take. A page of the source says it in the same words.
fn unpinned(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &config.sources {
        let Some(entry) = config.entry_of(source) else { continue };
        for warning in serve::unpinned(&entry, source) {
            let advice = format!(
                "give it in `credentials` of [[source]]; `becket providers show {}` says what it is",
                entry.slug
            );
            let says = format!("`{}`: {warning}", source.id);
            findings.push(Finding::warning("sources", says).advise(advice));
        }
    }
    findings
}

/// A proxy that is not named hides who sends.
fn proxy(config: &Config) -> Vec<Finding> {
    let server = &config.server;
    let public_tls =
        server.public_url.as_ref().is_some_and(|url| url.as_str().starts_with("https:"));
    let own_tls = server.tls.is_some() || server.acme.is_some();
    if !public_tls || own_tls || !server.trusted_proxies.is_empty() {
        return Vec::new();
    }
    vec![
        Finding::note("proxy", "something before the gateway ends TLS, and it is not named")
            .advise("name its network in [server] trusted_proxies: else every sender has its address, and shares its limits"),
    ]
}

/// The clock against the narrowest tolerance of the sources.
pub(super) fn clock(facts: &mut Facts, readings: &[Reading]) {
    let finding = clocks::judge(kept(), readings, narrowest(&facts.config).as_ref());
    facts.add(finding);
}

/// What the system says of its clock. The kernel's own answer needs a call that only C can make.
fn kept() -> Kept {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Kept::Yes;
    }
    let asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match asked.as_ref().map(|output| output.stdout.trim_ascii()) {
        Ok(b"yes") => Kept::Yes,
        Ok(b"no") => Kept::No,
        _ => Kept::Unknown,
    }
}

/// The source that forgives least.
fn narrowest(config: &Config) -> Option<Narrowest> {
    let tolerance = |source: &crate::config::Source| {
        let (max_age_s, max_future_s) = source.tolerance_s();
        let own = [max_age_s, max_future_s].into_iter().flatten().min();
        let entry = config.entry_of(source)?;
        let of_entry = entry
            .schemes
            .iter()
            .filter_map(|scheme| scheme.timestamp.as_ref())
            .flat_map(|spec| [spec.max_age_s, spec.max_future_s])
            .filter_map(|tolerance| match tolerance {
                Tolerance::Seconds(seconds) => Some(seconds),
                Tolerance::Unchecked => None,
            })
            .min();
        own.or(of_entry)
    };
    config
        .sources
        .iter()
        .filter_map(|source| {
            Some(Narrowest { source: source.id.clone(), tolerance_s: tolerance(source)? })
        })
        .min_by_key(|narrowest| narrowest.tolerance_s)
}

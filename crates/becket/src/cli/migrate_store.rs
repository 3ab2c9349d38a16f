//! `becket migrate-store`: everything that one store keeps, moved into another.
//!
//! Invariants: both stores are out of use meanwhile; what is moved is compared item by item before
//! the target becomes a store; a move that was broken off goes on with the same command; no password
//! is ever shown.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use becket_model::Clock as _;
use becket_store::transfer::{
    Kind, Progress, Report, Step, Tally, Transfer, TransferError, Verified, move_store, verify,
};
use becket_store_postgres::PostgresTransfer;
use becket_store_sqlite::SqliteTransfer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use parking_lot::Mutex;
use serde_json::json;

use super::{ADMIN_TOKEN_FILE, CliError, Globals, Paint, env_map, print};
use crate::config::{Secret, StoreUrl};
use crate::serve::world::{SystemClock, SystemNoise};

/// Without a terminal, a line about the progress is written so often.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Opening a store is not worth a word for so long.
const OPENING_QUIET: Duration = Duration::from_secs(3);
/// What a shell says of a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Arguments of `becket migrate-store`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub struct MigrateStoreArgs {
    /// The store to move: sqlite:FOLDER, postgres://USER@HOST/DATABASE, env:VARIABLE or @FILE
    #[arg(long, value_name = "URL")]
    from: String,
    /// Where it goes: a folder or schema that is empty or does not exist yet
    #[arg(long, value_name = "URL")]
    to: String,
    /// Write nothing: compare two stores item by item
    #[arg(long)]
    verify_only: bool,
    /// Do not wait for nodes of a database that were killed: you know that none is running
    #[arg(long)]
    force: bool,
}

const HELP: &str = "\
Moves applications, sources, endpoints, secrets (sealed as they are), settings,
events with their deliveries and attempts, and quarantine. Ids, times and bytes
stay as they are. Stop every gateway on both stores first: the source is only
read.

The target is complete only at the end, after every item was read back and
compared with the source; until then no gateway opens it. Broken off at any
moment (Ctrl-C, a crash, a lost connection), the move goes on where it stopped
when the same command is given again.

Gateways on the new store need the same master key. Do not start the old store
again afterwards: what was pending there would be delivered a second time.

A URL with a password is best kept out of the list of processes: env:VARIABLE
reads it from the environment, @FILE from a file.

Examples:
  becket migrate-store --from sqlite:data --to 'postgres://becket@db.example/becket'
  becket migrate-store --from sqlite:data --to env:BECKET_STORE_URL --json
  becket migrate-store --from env:BECKET_STORE_URL --to sqlite:/var/lib/becket/data
  becket migrate-store --from sqlite:data --to env:BECKET_STORE_URL --verify-only

Exit codes: 0 moved, or the same; 1 failed, or not the same; 2 wrong usage; 130 interrupted.";

/// Runs the command.
pub(super) fn run(args: &MigrateStoreArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    let (from, to) = (url_of("--from", &args.from)?, url_of("--to", &args.to)?);
    if place_of(&from) == place_of(&to) {
        return Err(CliError::usage("--from and --to name the same store"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("no runtime: {error}")))?;
    let started = Instant::now();
    let watch = Watch::new(globals.json);
    let done = runtime.block_on(async {
        tokio::select! {
            done = work(args, &from, &to, &watch) => done,
            _ = tokio::signal::ctrl_c() => Err(interrupted(args.verify_only)),
        }
    });
    watch.clear();
    // A thread that still reads a file is not waited for.
    runtime.shutdown_background();
    let outcome = Outcome {
        from: from.shown(),
        to: to.shown(),
        seconds: started.elapsed().as_secs_f64(),
        done: done?,
    };
    if globals.json {
        print(&format!("{:#}", outcome.json()))?;
    } else {
        print(&outcome.text(&from, &to))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn interrupted(verify_only: bool) -> CliError {
    let error = CliError::new("interrupted").with_code(INTERRUPTED);
    if verify_only { error } else { error.hint("give the same command again to go on") }
}

/// Reads a URL from where the argument says.
fn url_of(flag: &str, given: &str) -> Result<StoreUrl, CliError> {
    let text = if let Some(name) = given.strip_prefix("env:") {
        env_map().remove(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            CliError::usage(format!("{flag} names the variable {name}, which is not set"))
        })?
    } else if let Some(file) = given.strip_prefix('@') {
        std::fs::read_to_string(file).map_err(|error| {
            CliError::usage(format!("{flag} names the file {file}, which cannot be read: {error}"))
        })?
    } else {
        given.to_owned()
    };
    StoreUrl::of(Secret::plain(text.trim()))
        .map_err(|problem| CliError::usage(format!("{flag}: {problem}")))
}

/// What tells two stores apart.
fn place_of(url: &StoreUrl) -> String {
    match url {
        StoreUrl::Sqlite { folder } => {
            let whole = folder.canonicalize().or_else(|_| std::path::absolute(folder));
            whole.unwrap_or_else(|_| folder.clone()).display().to_string()
        }
        StoreUrl::Postgres { .. } => url.shown(),
    }
}

/// What was done.
enum Done {
    Moved(Report),
    Verified(Tally, Vec<Verified>),
}

async fn work(
    args: &MigrateStoreArgs,
    from: &StoreUrl,
    to: &StoreUrl,
    watch: &Watch,
) -> Result<Done, CliError> {
    let source = open_telling(from, false, args.force, watch).await?;
    let target = open_telling(to, !args.verify_only, args.force, watch).await?;
    let tell = |progress| watch.tell(progress);
    let done = if args.verify_only {
        match source.tally().await {
            Ok(tally) => {
                let verified = verify(&*source, &*target, &tell).await;
                verified.map(|verified| Done::Verified(tally, verified))
            }
            Err(error) => Err(error.into()),
        }
    } else {
        move_store(&*source, &*target, SystemClock.now_ms(), &tell).await.map(Done::Moved)
    };
    let done = done.map_err(|error| told(&error, args.verify_only))?;
    for store in [source, target] {
        store.close().await.map_err(|error| CliError::new(error.to_string()))?;
    }
    Ok(done)
}

fn told(error: &TransferError, verify_only: bool) -> CliError {
    let told = CliError::new(error.to_string());
    match (error.hint(), error) {
        (Some(_), TransferError::Differs { .. } | TransferError::Missing { .. }) if verify_only => {
            told.hint("the two stores are not the same; was one of them used since the move?")
        }
        (Some(hint), _) => told.hint(hint),
        (None, _) if verify_only => told,
        (None, _) => told.hint("when that is put right, give the same command again to go on"),
    }
}

/// Opens a store for being moved, and says so if that takes long.
async fn open_telling(
    url: &StoreUrl,
    make: bool,
    force: bool,
    watch: &Watch,
) -> Result<Box<dyn Transfer>, CliError> {
    let mut opening = std::pin::pin!(open(url, make, force));
    if let Ok(opened) = tokio::time::timeout(OPENING_QUIET, &mut opening).await {
        return opened;
    }
    if !watch.silent {
        eprintln!(
            "still opening {}: nodes of a database that have all fallen silent get the time of a \
             membership to be heard of",
            url.shown()
        );
    }
    opening.await
}

/// Opens a store for being moved; `make` says that it may be made.
async fn open(url: &StoreUrl, make: bool, force: bool) -> Result<Box<dyn Transfer>, CliError> {
    let (noise, clock) = (Arc::new(SystemNoise), Arc::new(SystemClock));
    let opened: Result<Box<dyn Transfer>, _> = match url {
        StoreUrl::Sqlite { folder } => {
            let options = becket_store_sqlite::Options::new(folder, noise, clock);
            let opened = if make {
                SqliteTransfer::open_or_make(&options)
            } else {
                SqliteTransfer::open(&options)
            };
            opened.map(|store| Box::new(store) as _)
        }
        StoreUrl::Postgres { url } => {
            let mut options = becket_store_postgres::Options::new(url.expose(), noise, clock);
            options.name = "migrate-store".to_owned();
            let opened = if make {
                PostgresTransfer::open_or_make(options, force).await
            } else {
                PostgresTransfer::open(options, force).await
            };
            opened.map(|store| Box::new(store) as _)
        }
    };
    opened.map_err(|error| CliError::new(error.to_string()))
}

/// Shows how far it is: a bar on a terminal, now and then a line elsewhere.
struct Watch {
    state: Mutex<Shown>,
    terminal: bool,
    silent: bool,
}

struct Shown {
    at: Option<(Step, Kind)>,
    bar: ProgressBar,
    line_at: Instant,
}

impl Watch {
    fn new(json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let shown = Shown { at: None, bar: ProgressBar::hidden(), line_at: Instant::now() };
        Self { state: Mutex::new(shown), terminal, silent: json && !terminal }
    }

    fn tell(&self, progress: Progress) {
        let mut shown = self.state.lock();
        if shown.at != Some((progress.step, progress.kind)) {
            shown.bar.finish_and_clear();
            shown.at = Some((progress.step, progress.kind));
            if self.terminal {
                shown.bar = bar(progress);
            }
        }
        shown.bar.set_position(progress.done);
        if !self.terminal && !self.silent && shown.line_at.elapsed() >= LINE_EVERY {
            shown.line_at = Instant::now();
            eprintln!("{} {} of {}", doing(progress), progress.done, progress.total);
        }
    }

    fn clear(&self) {
        self.state.lock().bar.finish_and_clear();
    }
}

fn doing(progress: Progress) -> String {
    let verb = match progress.step {
        Step::Copy => "copying",
        Step::Verify => "comparing",
    };
    format!("{verb} {}", progress.kind.plural())
}

fn bar(progress: Progress) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(progress.total), ProgressDrawTarget::stderr())
        .with_position(progress.done)
        .with_message(doing(progress));
    // What an earlier run has done says nothing about how fast this one is.
    bar.reset_eta();
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A part that cannot be written is missing from the bar, nothing more.
        let _ = write!(out, "{:.0}/s", state.per_sec());
    };
    match ProgressStyle::with_template("{msg:27} {bar:30} {pos}/{len}, {rate}, {eta} left") {
        Ok(style) => bar.with_style(style.with_key("rate", rate)),
        Err(_) => bar,
    }
}

/// What is told at the end.
struct Outcome {
    from: String,
    to: String,
    seconds: f64,
    done: Done,
}

impl Outcome {
    fn parts(&self) -> (&Tally, &[Verified], Option<&Report>) {
        match &self.done {
            Done::Moved(report) => (&report.tally, &report.verified, Some(report)),
            Done::Verified(tally, verified) => (tally, verified, None),
        }
    }

    fn json(&self) -> serde_json::Value {
        let (tally, verified, report) = self.parts();
        let written = |kind: Kind| {
            let found = report?.written.iter().find(|(of, _)| *of == kind);
            found.map(|(_, count)| *count)
        };
        let items: Vec<_> = verified
            .iter()
            .map(|one| {
                json!({
                    "kind": one.kind.plural(),
                    "count": one.items,
                    "written": written(one.kind).unwrap_or(0),
                    "sha256": one.sha256,
                })
            })
            .collect();
        json!({
            "from": self.from,
            "to": self.to,
            "moved": report.is_some(),
            "resumed": report.is_some_and(|report| report.resumed),
            "pendingDeliveries": tally.pending,
            "items": items,
            "seconds": (self.seconds * 10.0).round() / 10.0,
        })
    }

    fn text(&self, from: &StoreUrl, to: &StoreUrl) -> String {
        let paint = Paint::for_stdout();
        let (tally, verified, report) = self.parts();
        let Self { from: source, to: target, seconds, .. } = self;
        let mut lines = Vec::new();
        match report {
            Some(report) => {
                let again = if report.resumed { ", going on with an earlier move" } else { "" };
                lines.push(format!(
                    "{} {source} to {target} in {seconds:.1} s{again}",
                    paint.green("moved")
                ));
            }
            None => lines.push(format!(
                "{} {source} and {target} hold the same, compared in {seconds:.1} s",
                paint.green("verified:")
            )),
        }
        for one in verified {
            let (kind, digest) = (one.kind.plural(), paint.dim(&one.sha256));
            lines.push(format!("  {kind:<18} {:>10}  sha256 {digest}", one.items));
        }
        lines.push(format!("  pending deliveries {:>10}", tally.pending));
        if report.is_some() {
            lines.push(String::new());
            lines.extend(next_steps(from, to, source, target));
        }
        lines.join("\n")
    }
}

/// What is left to do by hand.
fn next_steps(from: &StoreUrl, to: &StoreUrl, source: &str, target: &str) -> Vec<String> {
    let key = match (from.folder(), to.folder()) {
        (Some(old), None) if has_key(old) => format!(
            "give every node the master key in {}: BECKET_MASTER_KEY_FILE, or BECKET_MASTER_KEY",
            old.join(MASTER_KEY_FILE).display()
        ),
        (Some(old), Some(new)) if has_key(old) => format!(
            "copy {} into {}: secrets stay sealed with it",
            old.join(MASTER_KEY_FILE).display(),
            new.display()
        ),
        (None, Some(new)) => format!(
            "put the nodes' master key into {} (readable by you only), or give BECKET_MASTER_KEY",
            new.join(MASTER_KEY_FILE).display()
        ),
        _ => "start with the same master key as before".to_owned(),
    };
    let steps = [
        Some(key),
        admin_token_step(from, to),
        Some(format!("set [store] url to {target}, and start")),
        Some(format!("do not start {source} again: what was pending would be delivered twice")),
    ];
    let numbered = (1..).zip(steps.into_iter().flatten());
    let lines = numbered.map(|(number, step)| format!("  {number}. {step}"));
    std::iter::once("next:".to_owned()).chain(lines).collect()
}

/// How an admin token that was made on first start goes on. In files it is a file beside the store; a
/// database keeps what recognises it, which is moved into the next one.
fn admin_token_step(from: &StoreUrl, to: &StoreUrl) -> Option<String> {
    let how = match (from.folder(), to.folder()) {
        (Some(old), _) if !old.join(ADMIN_TOKEN_FILE).exists() => return None,
        (Some(old), None) => format!(
            "copy {} into the first node's [server] folder",
            old.join(ADMIN_TOKEN_FILE).display()
        ),
        (Some(old), Some(new)) => {
            format!("copy {} into {}", old.join(ADMIN_TOKEN_FILE).display(), new.display())
        }
        (None, Some(new)) => format!(
            "put the nodes' one into {} (readable by you only)",
            new.join(ADMIN_TOKEN_FILE).display()
        ),
        (None, None) => return None,
    };
    Some(format!("keep the admin token: {how}, or give BECKET_ADMIN_TOKEN"))
}

/// The file of the master key in a data folder.
const MASTER_KEY_FILE: &str = "master.key";

fn has_key(folder: &Path) -> bool {
    folder.join(MASTER_KEY_FILE).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_from_arguments_variables_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "postgres://u:hunter2@h/d\n").unwrap();
        let read = url_of("--to", &format!("@{}", file.display())).unwrap();
        assert!(matches!(&read, StoreUrl::Postgres { .. }));
        assert!(!read.shown().contains("hunter2"));
        let read = url_of("--from", "sqlite:data").unwrap();
        assert_eq!(read.folder(), Some(Path::new("data")));
        for wrong in ["mysql://x", "env:BECKET_TEST_THAT_IS_NOT_SET", "@/does/not/exist", ""] {
            assert_eq!(url_of("--from", wrong).unwrap_err().code(), 2, "{wrong}");
        }
        let error = url_of("--to", "postgres://u:hunter2@/d").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_same_store_is_seen_through_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().display();
        let (one, other) = (format!("sqlite:{name}"), format!("sqlite:{name}/."));
        let (one, other) = (url_of("--from", &one).unwrap(), url_of("--to", &other).unwrap());
        assert_eq!(place_of(&one), place_of(&other));
    }

    #[test]
    fn a_token_that_was_made_is_told_of_where_it_would_be_lost() {
        let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(with.path().join(ADMIN_TOKEN_FILE), "bkt_0\n").unwrap();
        let files = |folder: &Path| StoreUrl::Sqlite { folder: folder.to_owned() };
        let database = || url_of("--to", "postgres://u@h/d").unwrap();
        let steps = |from: &StoreUrl, to: &StoreUrl| next_steps(from, to, "A", "B").join("\n");
        let there = steps(&files(with.path()), &database());
        assert!(there.contains("into the first node's [server] folder"), "{there}");
        assert!(there.contains("  4. do not start A again"), "{there}");
        assert!(!there.contains("bkt_0"), "{there}");
        let given = steps(&files(without.path()), &database());
        assert!(!given.contains("admin token"), "{given}");
        let back = steps(&database(), &files(without.path()));
        assert!(back.contains("put the nodes' one into"), "{back}");
        assert!(!steps(&database(), &database()).contains("admin token"));
    }
}

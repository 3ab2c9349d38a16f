//! `becket listen`: events of a gateway, live, to a program on this machine.
//!
//! Invariants: nothing is lost when this ends or is killed: what was not answered comes again, to
//! whoever listens next under the name; a terminal is always left as it was found.
//!
//! Where next: `follow` for the connection, `screen` for the terminal, `embedded` for a gateway of
//! one's own; what is shown is in `becket_develop::listen`.

mod catch_up;
mod embedded;
mod follow;
mod forward;
mod link;
mod manage;
mod output;
mod screen;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use becket_develop::listen::routing::Routing;
use becket_develop::listen::state::{About, App};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};

use self::catch_up::{CatchUp, From};
use self::embedded::Embedded;
use self::follow::{Following, HAPPENINGS_MAX};
use self::forward::{Forwarder, WAY_MS};
use self::link::Link;
use super::online::failure::{Failure, Result};
use super::{CliError, Connection, ConnectionArgs, Globals};

const TIMEOUT_DEFAULT_S: u64 = 30;

/// Arguments of `becket listen`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ListenArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Where events go, such as http://localhost:3000/webhooks; a port alone means this machine
    #[arg(long, value_name = "URL", required_unless_present_any = ["list", "remove"])]
    forward_to: Option<String>,
    /// Only events of these sources, by id or name (several: comma, or give it again)
    #[arg(long = "source", value_name = "SOURCE", value_delimiter = ',')]
    sources: Vec<String>,
    /// Only events of these types; `invoice.*` means all that begin like this
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    events: Vec<String>,
    /// Only events that this filter passes: JSON, or @FILE
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Another URL for events of a type, such as 'invoice.*=http://localhost:3000/billing'
    #[arg(long = "route", value_name = "TYPE=URL")]
    routes: Vec<String>,
    /// Append what stands behind the source's name in the receiving URL
    #[arg(long)]
    keep_path: bool,
    /// The name to listen under; whoever listens under it gets what waits [default: user@host]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// First send events since then again: 2h, 3d, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with_all = ["after", "filter"])]
    since: Option<String>,
    /// First send the events behind this one again
    #[arg(long, value_name = "EVENT", conflicts_with = "filter")]
    after: Option<String>,
    /// End after the first event; the exit code says whether it was taken
    #[arg(long)]
    once: bool,
    /// Do not forward what waited while nobody listened
    #[arg(long)]
    skip_late: bool,
    /// Do not forward what was, or may have been, forwarded before
    #[arg(long)]
    skip_repeats: bool,
    /// How long a handler may take: 10s, up to 55s [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Events at the same time [default: 10]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    concurrency: Option<u32>,
    /// How long events are kept for you when you are away [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    keep: Option<Duration>,
    /// Remove the listener at the end, with what waits for it
    #[arg(long)]
    ephemeral: bool,
    /// A further certificate authority to trust when forwarding to https
    #[arg(long, value_name = "FILE")]
    forward_ca: Option<PathBuf>,
    /// Lines instead of a screen
    #[arg(long)]
    plain: bool,
    /// List the listeners of the gateway and end
    #[arg(long, conflicts_with = "forward_to")]
    list: bool,
    /// Remove a listener and end [default: the one of this name]
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with_all = ["forward_to", "list"])]
    remove: Option<Option<String>>,
    /// For a gateway of one's own: the secret of its source [env: BECKET_SOURCE_SECRET]
    #[arg(long, value_name = "SECRET", help_heading = "Without a gateway")]
    secret: Vec<String>,
    /// For a gateway of one's own: its port [default: 8080, or a free one]
    #[arg(long, value_name = "PORT", help_heading = "Without a gateway")]
    port: Option<u16>,
}

const EXAMPLES: &str = "\
Examples:
  becket listen --forward-to http://localhost:3000/webhooks
  becket listen --forward-to 3000/webhooks --source github,stripe --events 'push,invoice.*'
  becket listen --forward-to 3000 --route 'invoice.*=http://localhost:3000/billing'
  becket listen --forward-to 3000 --since 1h
  becket listen --forward-to 3000 --json | jq .status
  becket listen --remove

Without a gateway (no --url, no login, no becket.toml) one is started here, in ./.becket-dev, and its
receiving URL printed: send to it with curl, or paste it in a tunnel.";

/// A stretch of time such as `90s`, `5m`, `24h` or `3d`.
fn duration(text: &str) -> std::result::Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time; write it like 30s, 5m, 24h or 3d");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = count.checked_mul(seconds).filter(|seconds| *seconds > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

/// Runs the command.
pub(super) fn run(args: &ListenArgs, globals: &Globals) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::from(CliError::new(format!("no runtime: {error}"))));
    let done = runtime.and_then(|runtime| {
        let done = runtime.block_on(perform(args, globals));
        // Whoever still reads a key or resolves a name is not waited for.
        runtime.shutdown_timeout(Duration::from_millis(100));
        done
    });
    done.unwrap_or_else(|failure| failure.exit())
}

async fn perform(args: &ListenArgs, globals: &Globals) -> Result<ExitCode> {
    let env = super::env_map();
    let name = match &args.name {
        Some(name) => name.clone(),
        None => own_name(&env),
    };
    if args.list || args.remove.is_some() {
        let link = Link::new(&args.connection.resolve(globals)?, &env)?;
        return match &args.remove {
            Some(given) => manage::remove(&link, given.as_deref().unwrap_or(&name)).await,
            None => manage::list(&link, globals.json).await,
        };
    }
    let forward_to = args.forward_to.as_deref().unwrap_or_default();
    let routing = Routing::new(forward_to, &args.routes, args.keep_path)
        .map_err(|error| Failure::from(CliError::usage(error.to_string())))?;
    let forwarder = Forwarder::new(routing, args.forward_ca.as_deref())?;
    let listener = listener(args, &name)?;
    let catch_up = catch_up(args)?;
    let (connection, embedded) = gateway(args, globals)?;
    let link = Arc::new(Link::new(&connection, &env)?);
    let about = About {
        name: name.clone(),
        gateway: link.url().to_owned(),
        forward_to: forwarder.routing.forward_to().to_owned(),
        routes: forwarder.routing.routes().to_vec(),
        sources: match (&embedded, &args.sources[..]) {
            (Some(embedded), _) => embedded.sources(),
            (None, []) => vec!["all".to_owned()],
            (None, named) => named.to_vec(),
        },
        receives_at: embedded.as_ref().map(Embedded::receiving_urls).unwrap_or_default(),
    };
    let (happenings, told) = mpsc::channel(HAPPENINGS_MAX);
    let (pausing, paused) = watch::channel(false);
    let following = Following {
        link: Arc::clone(&link),
        forwarder,
        listener,
        name: name.clone(),
        catch_up,
        skip_late: args.skip_late,
        skip_repeats: args.skip_repeats,
        last_key: 0,
        happenings,
        paused,
    };
    let following = tokio::spawn(following.run());
    let showing = output::Showing {
        app: App::new(about),
        told,
        pausing,
        link: Arc::clone(&link),
        once: args.once,
        zone: jiff::tz::TimeZone::system(),
    };
    let on_screen = !globals.json
        && !args.plain
        && std::io::stdout().is_terminal()
        && std::io::stdin().is_terminal()
        && env.get("TERM").is_none_or(|term| term != "dumb");
    let ended = match (globals.json, on_screen) {
        (true, _) => showing.lines(output::Form::Json).await,
        (false, true) => showing.screen(&env).await,
        (false, false) => showing.lines(output::Form::Plain).await,
    };
    // It would connect again, which makes the listener anew, as soon as the gateway ends its stream.
    following.abort();
    let _ = following.await;
    let was_removed = matches!(&ended, Err(failure) if failure.is_refusal());
    farewell(args, &link, &name, was_removed).await;
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    ended
}

/// What is done and said at the end.
async fn farewell(args: &ListenArgs, link: &Link, name: &str, was_removed: bool) {
    if was_removed {
        return;
    }
    if args.ephemeral {
        if let Err(failure) = manage::take_away(link, name).await {
            eprintln!("the listener `{name}` could not be removed: {}", failure.message());
        }
        return;
    }
    if args.once {
        return;
    }
    let kept = args.keep.map_or(24 * 3_600, |keep| keep.as_secs());
    let kept = becket_develop::listen::text::whole_span(kept);
    eprintln!("Events for `{name}` are kept for {kept} and come when you listen again.");
    eprintln!("To stop that: becket listen --remove {name}");
}

/// The gateway to ask: the one that is configured, or one that is started for this.
fn gateway(args: &ListenArgs, globals: &Globals) -> Result<(Connection, Option<Embedded>)> {
    if args.connection.names_a_gateway(globals) {
        if !args.secret.is_empty() || args.port.is_some() {
            let message =
                "--secret and --port are for a gateway of one's own, and there is another";
            return Err(CliError::usage(message).hint("leave them out").into());
        }
        return Ok((args.connection.resolve(globals)?, None));
    }
    let embedded = Embedded::start(&embedded::Wanted {
        sources: args.sources.clone(),
        secrets: args.secret.clone(),
        port: args.port,
        ephemeral: args.ephemeral,
    })?;
    Ok((embedded.connection(), Some(embedded)))
}

/// The body that makes the listener.
fn listener(args: &ListenArgs, name: &str) -> Result<Value> {
    let timeout = args.timeout.map_or(TIMEOUT_DEFAULT_S, |timeout| timeout.as_secs());
    if timeout * 1_000 + WAY_MS > 60_000 {
        return Err(CliError::usage("--timeout: a handler may take 55 s at most").into());
    }
    let mut body = Map::new();
    body.insert("name".into(), json!(name));
    body.insert("timeoutMs".into(), json!(timeout * 1_000 + WAY_MS));
    if !args.sources.is_empty() {
        body.insert("sources".into(), json!(args.sources));
    }
    if !args.events.is_empty() {
        body.insert("eventTypes".into(), json!(args.events));
    }
    if let Some(keep) = args.keep {
        body.insert("keepS".into(), json!(keep.as_secs()));
    }
    if let Some(concurrency) = args.concurrency {
        body.insert("concurrency".into(), json!(concurrency));
    }
    if let Some(filter) = &args.filter {
        let text = match filter.strip_prefix('@') {
            None => filter.clone(),
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| CliError::usage(format!("--filter {file}: {error}")))?,
        };
        let filter: Value = serde_json::from_str(&text).map_err(|error| {
            CliError::usage(format!("--filter is not JSON: {error}"))
                .hint("write it like '{\"body\": {\"ref\": \"refs/heads/main\"}}'")
        })?;
        body.insert("filter".into(), filter);
    }
    Ok(Value::Object(body))
}

fn catch_up(args: &ListenArgs) -> Result<Option<CatchUp>> {
    let from = match (&args.since, &args.after) {
        (Some(since), _) => From::Since(super::online::since("--since", since, super::now_s())?),
        (None, Some(after)) => From::After(after.clone()),
        (None, None) => return Ok(None),
    };
    Ok(Some(CatchUp { from, event_types: args.events.clone() }))
}

/// Who and where: `user@host`.
fn own_name(env: &std::collections::BTreeMap<String, String>) -> String {
    let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| env.get(*name));
    let host = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
        .or_else(|| env.get("HOSTNAME").cloned());
    let clean = |text: Option<&str>, default: &str| {
        let text = text.unwrap_or_default().trim();
        let kept: String = text
            .chars()
            .map(|one| if one.is_ascii_alphanumeric() || "._-".contains(one) { one } else { '-' })
            .take(40)
            .collect();
        let kept = kept.trim_start_matches(['.', '_', '-']);
        if kept.is_empty() { default.to_owned() } else { kept.to_owned() }
    };
    format!("{}@{}", clean(user.map(String::as_str), "me"), clean(host.as_deref(), "here"))
}

/// The time in milliseconds since 1970.
fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the command line is where time comes in")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        for wrong in ["", "s", "5", "-1s", "0s", "1.5h", "99999999999999999999d", "3ö"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_made_of_user_and_host() {
        let env = [("USER".to_owned(), "Ann Smith".to_owned())].into();
        let name = own_name(&env);
        assert!(name.starts_with("Ann-Smith@"), "{name}");
        let allowed = |one: char| one.is_ascii_alphanumeric() || "._@-".contains(one);
        assert!(name.chars().all(allowed), "{name}");
        assert!(own_name(&std::collections::BTreeMap::new()).starts_with("me@"));
    }
}

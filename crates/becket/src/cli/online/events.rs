//! `becket events`: list, show, tail, body.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::Duration;

use becket_filter::Filter;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use super::client::PathBuilder;
use super::failure::{Failure, Result};
use super::list::{LimitArgs, show_list};
use super::show::{self, field, items, moment_of, number, size, state, text};
use super::{Session, timeline};
use crate::cli::{CliError, ConnectionArgs, print};

/// Arguments of `becket events`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct EventsArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: EventsCommand,
}

const EXAMPLES: &str = "\
Examples:
  becket events list --source github --status failed --since 2h
  becket events show msg_...             What came in, why it was genuine, and every attempt
  becket events tail                     Events as they arrive
  becket events tail --source github --grep 'release/'
  becket events tail --filter '{\"body\": {\"action\": \"opened\"}}' --json
  becket events body msg_... > body      The exact bytes
  becket events list --all --json | jq -r .id";

#[derive(Debug, clap::Subcommand)]
pub(super) enum EventsCommand {
    /// List events, newest first
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// Only events with this delivery id of the sender
        #[arg(long, value_name = "ID")]
        delivery_id: Option<String>,
        #[command(flatten)]
        limit: LimitArgs,
    },
    /// Tell the life of an event
    Show {
        /// The event's id
        event: String,
        /// Show everything in full: bodies, headers, signed text, responses
        #[arg(long)]
        full: bool,
        /// Show credentials among the sender's headers (the gateway logs it)
        #[arg(long)]
        reveal: bool,
    },
    /// Follow events as they arrive
    Tail {
        #[command(flatten)]
        filter: FilterArgs,
        /// Begin behind this event instead of now
        #[arg(long, value_name = "EVENT")]
        after: Option<String>,
        /// What they must be like inside.
        #[command(flatten)]
        content: ContentArgs,
    },
    /// Write the exact body to standard output
    Body {
        /// The event's id
        event: String,
    },
}

/// Which events.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct FilterArgs {
    /// Only this source, by id or name
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// Only this endpoint, by id, name or `source/name`
    #[arg(long, value_name = "ENDPOINT")]
    pub endpoint: Option<String>,
    /// Only events of this type (several: comma, or give it again)
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub event_types: Vec<String>,
    /// Only events whose last delivery stands like this
    #[arg(long, value_name = "STATE", value_parser = ["pending", "delivered", "failed", "cancelled"])]
    pub status: Option<String>,
    /// Only events decided like this on receipt
    #[arg(long, value_name = "DISPOSITION", value_parser = ["accepted", "filtered", "invalid"])]
    pub disposition: Option<String>,
    /// Only events since then: 2h, 3d, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only events before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

impl FilterArgs {
    fn onto(&self, path: PathBuilder, now_s: i64) -> Result<PathBuilder> {
        let time = |flag: &str, given: Option<&String>| {
            given.map(|given| show::since(flag, given, now_s)).transpose()
        };
        let types = self.event_types.join(",");
        Ok(path
            .query("source", self.source.as_deref())
            .query("endpoint", self.endpoint.as_deref())
            .query("event_type", Some(types.as_str()).filter(|types| !types.is_empty()))
            .query("status", self.status.as_deref())
            .query("disposition", self.disposition.as_deref())
            .query("since", time("--since", self.since.as_ref())?.as_deref())
            .query("until", time("--until", self.until.as_ref())?.as_deref()))
    }
}

/// What an event must be like inside; each event is asked for then.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct ContentArgs {
    /// Only events whose body has this text in it, in any case
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// Only events that pass this filter, as endpoints have them: JSON or TOML; @FILE reads it
    #[arg(long, value_name = "FILTER|@FILE")]
    pub filter: Option<String>,
}

/// What [`ContentArgs`] ask for, made ready.
struct Content {
    grep: Option<String>,
    filter: Option<Filter>,
}

impl Content {
    fn new(args: &ContentArgs) -> Result<Self> {
        let filter = args.filter.as_deref().map(crate::cli::filter::filter_of).transpose()?;
        Ok(Self { grep: args.grep.as_ref().map(|text| text.to_lowercase()), filter })
    }

    async fn keeps(&self, session: &Session, event: &Value) -> bool {
        let id = field(event, "/id").unwrap_or_default();
        if (self.grep.is_none() && self.filter.is_none()) || id.is_empty() {
            return true;
        }
        let stored = match crate::cli::filter::fetch(&session.client, id).await {
            Ok(stored) => stored,
            // Following goes on: one event that is gone already must not end it.
            Err(failure) => {
                eprintln!("note: {id} could not be looked into; {failure}");
                return false;
            }
        };
        let has_text = self.grep.as_ref().is_none_or(|wanted| {
            String::from_utf8_lossy(&stored.record.body()).to_lowercase().contains(wanted)
        });
        let subject = stored.record.subject(stored.event_type.as_deref());
        let passes = self.filter.as_ref().is_none_or(|filter| filter.check(&subject).is_ok());
        has_text && passes
    }
}

/// The path of one event.
pub(super) fn event_path(event: &str) -> PathBuilder {
    PathBuilder::new("/api/v1/becket/event").part(event)
}

pub(super) async fn run(session: &Session, command: EventsCommand) -> Result<()> {
    match command {
        EventsCommand::List { filter, delivery_id, limit } => {
            let path = filter.onto(PathBuilder::new("/api/v1/becket/event"), session.now_s)?;
            let path = path.query("delivery_id", delivery_id.as_deref());
            let headings = &["ID", "RECEIVED", "SOURCE", "TYPE", "SIZE", "STATE", "DELIVERIES"];
            show_list(session, &path, &limit, headings, "such events", |event| row(session, event))
                .await
        }
        EventsCommand::Show { event, full, reveal } => {
            let path = event_path(&event).part("explain");
            let life =
                session.client.get(path.query("reveal", reveal.then_some("true")).text()).await?;
            if session.json {
                return show::print_document(&life);
            }
            print(&timeline::render(&life, session.paint, session.now_s, full))?;
            Ok(())
        }
        EventsCommand::Tail { filter, after, content } => {
            tail(session, &filter, &Content::new(&content)?, after).await
        }
        EventsCommand::Body { event } => body(session, &event).await,
    }
}

fn row(session: &Session, event: &Value) -> Vec<String> {
    vec![
        text(event, "/id"),
        moment_of(event, "/receivedAt", session.now_s),
        text(event, "/source"),
        text(event, "/eventType"),
        size(number(event, "/sizeBytes")),
        state(session.paint, &shown_state(event)),
        deliveries(event),
    ]
}

/// Where an event stands; one that goes nowhere says why.
pub(super) fn plain_state(event: &Value) -> String {
    match field(event, "/disposition") {
        Some("filtered") => "filtered".to_owned(),
        _ => text(event, "/state"),
    }
}

/// The same for lists; nobody is to take an unverified event for a genuine one.
fn shown_state(event: &Value) -> String {
    match field(event, "/unverified") {
        Some(_) => format!("{} unverified", plain_state(event)),
        None => plain_state(event),
    }
}

/// Each endpoint with where the last delivery to it stands.
fn deliveries(event: &Value) -> String {
    let mut order: Vec<&str> = Vec::new();
    let mut last: HashMap<&str, &Value> = HashMap::new();
    for delivery in items(event, "/deliveries") {
        let endpoint = field(delivery, "/endpoint").unwrap_or("?");
        if last.insert(endpoint, delivery).is_none() {
            order.push(endpoint);
        }
    }
    let told = order.iter().filter_map(|endpoint| {
        let delivery = last.get(endpoint)?;
        let tries = number(delivery, "/attempts");
        let count = if tries > 1 { format!(" ({tries} attempts)") } else { String::new() };
        Some(format!("{}: {}{count}", show::one_line(endpoint), text(delivery, "/state")))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

const RECONNECT_FIRST_S: u64 = 1;
const RECONNECT_MAX_S: u64 = 15;

/// Follows events until it is interrupted; a lost connection is taken up again where it broke off.
async fn tail(
    session: &Session,
    filter: &FilterArgs,
    content: &Content,
    after: Option<String>,
) -> Result<()> {
    let path = filter.onto(PathBuilder::new("/api/v1/becket/tail"), session.now_s)?;
    // Asked for first, so that a connection lost before the first event misses nothing.
    let mut after = match after {
        Some(after) => after,
        None => {
            let position =
                session.client.get(path.clone().query("wait_ms", Some("0")).text()).await?;
            field(&position, "/iterator").unwrap_or_default().to_owned()
        }
    };
    eprintln!("following events of {} (interrupt to stop)", session.client.url());
    let mut wait_s = RECONNECT_FIRST_S;
    let mut lost: Option<Failure> = None;
    loop {
        let behind = path.clone().query("after", Some(&after));
        match session.client.open(behind.text(), "text/event-stream").await {
            Ok(stream) => {
                (wait_s, lost) = (RECONNECT_FIRST_S, None);
                if !follow(session, stream, content, &mut after).await? {
                    return Ok(());
                }
                eprintln!("the connection ended; taking it up again behind {after}");
            }
            // The first failure may be a mistake of the caller's, later ones are the gateway's.
            Err(failure) if lost.is_none() && wait_s == RECONNECT_FIRST_S => {
                lost = Some(failure);
            }
            Err(failure) if wait_s >= RECONNECT_MAX_S => return Err(failure),
            Err(failure) => lost = Some(failure),
        }
        tokio::time::sleep(Duration::from_secs(wait_s)).await;
        wait_s = (wait_s * 2).min(RECONNECT_MAX_S);
    }
}

/// Shows a stream until it ends (`true`) or nobody reads any more (`false`).
async fn follow(
    session: &Session,
    mut stream: Incoming,
    content: &Content,
    after: &mut String,
) -> Result<bool> {
    let mut waiting: Vec<u8> = Vec::new();
    while let Some(Ok(frame)) = stream.frame().await {
        let Ok(bytes) = frame.into_data() else { continue };
        waiting.extend_from_slice(&bytes);
        while let Some(end) = waiting.windows(2).position(|pair| pair == b"\n\n") {
            let message: Vec<u8> = waiting.drain(..end + 2).collect();
            if let Some(event) = told(&String::from_utf8_lossy(&message))? {
                if let Some(id) = field(&event, "/id") {
                    id.clone_into(after);
                }
                if content.keeps(session, &event).await && !show_live(session, &event)? {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

/// The event of one message of the stream, if it has one.
fn told(message: &str) -> Result<Option<Value>> {
    let value =
        |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
    let Some(data) = value("data:") else { return Ok(None) };
    let data: Value =
        serde_json::from_str(data).map_err(|error| Failure::nonsense("the stream", error))?;
    if value("event:") == Some("error") {
        return Err(Failure::refused(500, &data));
    }
    Ok(Some(data))
}

/// Shows an event; `false` when nobody reads any more.
fn show_live(session: &Session, event: &Value) -> Result<bool> {
    if session.json {
        return show::emit(&event.to_string());
    }
    let line = format!(
        "{}  {}  {}  {}  {}  {}",
        session.paint.dim(&text(event, "/receivedAt")),
        text(event, "/id"),
        text(event, "/source"),
        session.paint.bold(&text(event, "/eventType")),
        size(number(event, "/sizeBytes")),
        deliveries(event),
    );
    show::emit(&line)
}

async fn body(session: &Session, event: &str) -> Result<()> {
    let path = event_path(event).part("body");
    let mut stream = session.client.open(path.text(), "application/octet-stream").await?;
    let mut out = std::io::stdout().lock();
    while let Some(frame) = stream.frame().await {
        let frame =
            frame.map_err(|error| Failure::unreachable(format!("the body broke off: {error}")))?;
        if let Ok(bytes) = frame.into_data()
            && let Err(error) = out.write_all(&bytes)
        {
            return closed(&error);
        }
    }
    out.flush().map_or_else(|error| closed(&error), Ok)
}

/// A reader that has had enough is no failure.
fn closed(error: &std::io::Error) -> Result<()> {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(CliError::new(format!("standard output cannot be written: {error}")).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_delivery_to_each_endpoint_is_told() {
        let event = json!({ "disposition": "accepted", "state": "pending", "deliveries": [
            { "endpoint": "app", "state": "failed", "attempts": 12 },
            { "endpoint": "log", "state": "delivered", "attempts": 1 },
            { "endpoint": "app", "state": "pending", "attempts": 3 },
        ] });
        assert_eq!(deliveries(&event), "app: pending (3 attempts), log: delivered");
        assert_eq!(deliveries(&json!({})), "-");
        assert_eq!(shown_state(&json!({ "disposition": "filtered", "state": "none" })), "filtered");
    }

    #[test]
    fn messages_of_a_stream_are_read() {
        let read = |message: &str| told(message).ok().unwrap();
        assert_eq!(
            read("event: event\nid: a\ndata: {\"id\":\"a\"}\n\n"),
            Some(json!({ "id": "a" }))
        );
        assert_eq!(read(": keep-alive\n\n"), None);
        assert!(told("event: error\ndata: {\"detail\":\"no\"}\n\n").is_err());
        assert!(told("data: {broken\n\n").is_err());
    }
}

//! `becket replay`: one event, or all that match, with progress.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::Session;
use super::events::event_path;
use super::failure::{Failure, Result};
use super::show::{self, field, number};
use crate::cli::{CliError, ConnectionArgs, print};

const STEP_EVENTS: u64 = 200;

/// Arguments of `becket replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The event to deliver again; without it, all that match
    #[arg(conflicts_with_all = ["source", "since", "until", "event_types"])]
    event: Option<String>,
    /// Only events of this source, by id or name
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only to this endpoint, by id, name or `source/name`
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: Option<String>,
    /// Only events since then: 2h, 3d, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events before then [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only deliveries that stand like this
    #[arg(long, value_name = "STATE", value_parser = ["pending", "delivered", "failed", "cancelled"])]
    status: Option<String>,
    /// Only events of this type (several: comma, or give it again)
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    event_types: Vec<String>,
    /// Say what would be delivered, and change nothing
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  becket replay msg_...                              To every endpoint it was planned for
  becket replay msg_... --endpoint app
  becket replay --source github --since 2h --status failed --dry-run
  becket replay --source github --since 2h --status failed

A replay that was broken off can be given again: with --status failed nothing goes twice.";

/// What a replay did so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Total {
    events: u64,
    started: u64,
    made_due: u64,
    skipped: u64,
}

impl Total {
    fn add(&mut self, step: &Value) {
        self.events += number(step, "/events");
        self.started += number(step, "/started");
        self.made_due += number(step, "/madeDue");
        self.skipped += number(step, "/skipped");
    }

    fn sentence(&self, dry_run: bool) -> String {
        let plural = |count: u64, one: &str, many: &str| {
            format!("{count} {}", if count == 1 { one } else { many })
        };
        let mut text = format!(
            "{} {}: {} started",
            plural(self.events, "event", "events"),
            if dry_run { "would be replayed" } else { "replayed" },
            plural(self.started, "delivery", "deliveries"),
        );
        if self.made_due > 0 {
            text.push_str(&format!(", {} that waited due now", self.made_due));
        }
        if self.skipped > 0 {
            text.push_str(&format!(", {} left out (endpoint takes none)", self.skipped));
        }
        text
    }

    fn document(&self, dry_run: bool, until: Option<&str>) -> Value {
        json!({
            "events": self.events,
            "started": self.started,
            "madeDue": self.made_due,
            "skipped": self.skipped,
            "dryRun": dry_run,
            "until": until,
        })
    }
}

pub(super) async fn run(session: &Session, args: &ReplayArgs) -> Result<()> {
    if let Some(event) = &args.event {
        let body = json!({
            "endpoint": args.endpoint,
            "status": args.status,
            "dryRun": args.dry_run,
        });
        let step = session.client.post(event_path(event).part("replay").text(), &body).await?;
        let mut total = Total::default();
        total.add(&step);
        return told(session, &total, args.dry_run, None);
    }
    if args.source.is_none() && args.endpoint.is_none() {
        return Err(CliError::usage("what is to be replayed?")
            .hint("give an event's id, or --source SOURCE and --since TIME")
            .into());
    }
    let Some(since) = &args.since else {
        return Err(CliError::usage("since when?").hint("give --since, such as --since 2h").into());
    };
    let until = args.until.as_deref();
    let mut body = json!({
        "source": args.source,
        "endpoint": args.endpoint,
        "eventTypes": args.event_types,
        "status": args.status,
        "since": show::since("--since", since, session.now_s)?,
        "until": until.map(|until| show::since("--until", until, session.now_s)).transpose()?,
        "limit": STEP_EVENTS,
        "dryRun": true,
    });
    // What arrives while it runs is not part of it: the first answer says up to when.
    let planned = all(session, &mut body, &ProgressBar::hidden()).await?;
    if args.dry_run {
        return told(session, &planned, true, field(&body, "/until"));
    }
    body["dryRun"] = json!(false);
    body["iterator"] = Value::Null;
    let bar = progress(planned.events);
    let done = all(session, &mut body, &bar).await;
    bar.finish_and_clear();
    let total = done.map_err(|failure| {
        failure.hint("what was started stays; give the same command again to go on")
    })?;
    told(session, &total, false, field(&body, "/until"))
}

/// Goes through all steps of a replay.
async fn all(session: &Session, body: &mut Value, bar: &ProgressBar) -> Result<Total> {
    let mut total = Total::default();
    loop {
        let step = session.client.post("/api/v1/becket/replay", body).await?;
        total.add(&step);
        bar.set_position(total.events);
        body["until"] = step["until"].clone();
        if step["done"] == true {
            return Ok(total);
        }
        if step["iterator"].is_null() || step["iterator"] == body["iterator"] {
            return Err(Failure::nonsense(session.client.url(), "a replay does not advance"));
        }
        body["iterator"] = step["iterator"].clone();
    }
}

/// A bar on standard error, if somebody is looking.
fn progress(events: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(events), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:30} {pos}/{len} events, {per_sec}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn told(session: &Session, total: &Total, dry_run: bool, until: Option<&str>) -> Result<()> {
    if session.json {
        return show::print_document(&total.document(dry_run, until));
    }
    print(&total.sentence(dry_run))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_a_sentence() {
        let mut total = Total::default();
        total.add(&json!({ "events": 1, "started": 1, "madeDue": 0, "skipped": 0 }));
        assert_eq!(total.sentence(false), "1 event replayed: 1 delivery started");
        total.add(&json!({ "events": 2, "started": 2, "madeDue": 3, "skipped": 1 }));
        assert_eq!(
            total.sentence(true),
            "3 events would be replayed: 3 deliveries started, 3 that waited due now, \
             1 left out (endpoint takes none)"
        );
    }
}

//! `becket attempts`: list, show.

use serde_json::Value;

use super::client::PathBuilder;
use super::failure::Result;
use super::list::{LimitArgs, show_list};
use super::show::{self, field, moment_of, number, state, text};
use super::{Session, timeline};
use crate::cli::{ConnectionArgs, print};

/// Arguments of `becket attempts`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct AttemptsArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: AttemptsCommand,
}

const EXAMPLES: &str = "\
Examples:
  becket attempts list msg_...                       The attempts of an event
  becket attempts list --endpoint github/app --outcome failed
  becket attempts show atmpt_...                     Request, response, timings and a curl line";

#[derive(Debug, clap::Subcommand)]
pub(super) enum AttemptsCommand {
    /// List attempts, newest event first
    List {
        /// Only attempts of this event
        event: Option<String>,
        /// Only this source, by id or name
        #[arg(long, value_name = "SOURCE")]
        source: Option<String>,
        /// Only this endpoint, by id, name or `source/name`
        #[arg(long, value_name = "ENDPOINT")]
        endpoint: Option<String>,
        /// Only attempts that ended like this
        #[arg(long, value_name = "OUTCOME", value_parser = ["succeeded", "failed"])]
        outcome: Option<String>,
        /// Only attempts of events since then: 2h, 3d, or 2026-01-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only attempts of events before then
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        limit: LimitArgs,
    },
    /// Show an attempt
    Show {
        /// The attempt's id
        attempt: String,
        /// Show everything in full: headers, response
        #[arg(long)]
        full: bool,
    },
}

pub(super) async fn run(session: &Session, command: AttemptsCommand) -> Result<()> {
    let attempts = PathBuilder::new("/api/v1/becket/attempt");
    match command {
        AttemptsCommand::List { event, source, endpoint, outcome, since, until, limit } => {
            let time = |flag: &str, given: Option<String>| {
                given.map(|given| show::since(flag, &given, session.now_s)).transpose()
            };
            let path = attempts
                .query("event", event.as_deref())
                .query("source", source.as_deref())
                .query("endpoint", endpoint.as_deref())
                .query("outcome", outcome.as_deref())
                .query("since", time("--since", since)?.as_deref())
                .query("until", time("--until", until)?.as_deref());
            let headings = &["ID", "STARTED", "EVENT", "ENDPOINT", "NO", "RESULT", "TOOK", "NEXT"];
            show_list(session, &path, &limit, headings, "such attempts", |attempt| {
                row(session, attempt)
            })
            .await
        }
        AttemptsCommand::Show { attempt, full } => {
            let attempt = session.client.get(attempts.part(&attempt).text()).await?;
            if session.json {
                return show::print_document(&attempt);
            }
            print(&timeline::attempt(&attempt, session.paint, session.now_s, full))?;
            Ok(())
        }
    }
}

fn row(session: &Session, attempt: &Value) -> Vec<String> {
    vec![
        text(attempt, "/id"),
        moment_of(attempt, "/startedAt", session.now_s),
        text(attempt, "/eventId"),
        text(attempt, "/endpoint"),
        text(attempt, "/number"),
        result(session, attempt),
        format!("{} ms", number(attempt, "/durationMs")),
        next(attempt, session.now_s),
    ]
}

fn result(session: &Session, attempt: &Value) -> String {
    let word = if attempt["succeeded"] == true { "succeeded" } else { "failed" };
    let how = attempt["status"]
        .as_u64()
        .map_or_else(|| text(attempt, "/errorCode"), |status| status.to_string());
    format!("{} {how}", state(session.paint, word))
}

/// What became of the delivery after an attempt.
pub(super) fn next(attempt: &Value, now_s: i64) -> String {
    match field(attempt, "/next/step") {
        Some("retry") => format!("retry at {}", moment_of(attempt, "/next/at", now_s)),
        Some("failed") => format!("given up ({})", text(attempt, "/next/reason")),
        _ => "done".to_owned(),
    }
}

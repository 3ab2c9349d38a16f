//! `becket quarantine`: list, show.

use serde_json::Value;

use super::client::PathBuilder;
use super::failure::Result;
use super::list::{LimitArgs, show_list};
use super::show::{self, moment_of, number, size, text};
use super::{Session, timeline};
use crate::cli::{ConnectionArgs, print};

/// Arguments of `becket quarantine`.
#[derive(Debug, clap::Args)]
pub struct QuarantineArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: QuarantineCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum QuarantineCommand {
    /// List refused requests, newest first
    List {
        /// Only this source, by id or name
        #[arg(long, value_name = "SOURCE")]
        source: Option<String>,
        #[command(flatten)]
        limit: LimitArgs,
    },
    /// Show a refused request, and why it was refused
    Show {
        /// Its number in the list
        number: String,
        /// Show everything in full: body, headers, signed text
        #[arg(long)]
        full: bool,
        /// Show credentials among the sender's headers (the gateway logs it)
        #[arg(long)]
        reveal: bool,
    },
}

pub(super) async fn run(session: &Session, command: QuarantineCommand) -> Result<()> {
    let quarantine = PathBuilder::new("/api/v1/becket/quarantine");
    match command {
        QuarantineCommand::List { source, limit } => {
            let path = quarantine.query("source", source.as_deref());
            let headings = &["NUMBER", "RECEIVED", "SOURCE", "STATUS", "SIZE", "CODE", "WHY"];
            show_list(session, &path, &limit, headings, "refused requests", |refused| {
                row(session, refused)
            })
            .await
        }
        QuarantineCommand::Show { number, full, reveal } => {
            let path = quarantine.part(&number).query("reveal", reveal.then_some("true"));
            let refused = session.client.get(path.text()).await?;
            if session.json {
                return show::print_document(&refused);
            }
            print(&timeline::refused(&refused, session.paint, session.now_s, full))?;
            Ok(())
        }
    }
}

fn row(session: &Session, refused: &Value) -> Vec<String> {
    vec![
        text(refused, "/number"),
        moment_of(refused, "/receivedAt", session.now_s),
        text(refused, "/source"),
        text(refused, "/status"),
        size(number(refused, "/sizeBytes")),
        session.paint.red(&text(refused, "/code")),
        text(refused, "/reason"),
    ]
}

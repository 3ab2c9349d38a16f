//! `becket sources`: list, show.

use serde_json::Value;

use super::Session;
use super::client::PathBuilder;
use super::failure::Result;
use super::list::{LimitArgs, show_list};
use super::show::{self, items, moment_of, text};
use crate::cli::{ConnectionArgs, print};

/// Arguments of `becket sources`.
#[derive(Debug, clap::Args)]
pub struct SourcesArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: SourcesCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum SourcesCommand {
    /// List sources
    List,
    /// Show a source
    Show {
        /// Id or name
        source: String,
    },
}

pub(super) async fn run(session: &Session, command: SourcesCommand) -> Result<()> {
    let sources = PathBuilder::new("/api/v1/becket/source");
    match command {
        SourcesCommand::List => {
            let headings = &["NAME", "PROVIDER", "RECEIVING URL", "ENDPOINTS", "NOTES"];
            show_list(session, &sources, &LimitArgs::ALL, headings, "sources", row).await
        }
        SourcesCommand::Show { source } => {
            let source = session.client.get(sources.part(&source).text()).await?;
            if session.json {
                return show::print_document(&source);
            }
            print(&shown(session, &source))?;
            Ok(())
        }
    }
}

fn joined(source: &Value, pointer: &str, none: &str) -> String {
    let texts: Vec<&str> = items(source, pointer).iter().filter_map(Value::as_str).collect();
    if texts.is_empty() { none.to_owned() } else { show::one_line(&texts.join(", ")) }
}

fn notes(source: &Value) -> String {
    if source["removed"] == true {
        return "no longer declared".to_owned();
    }
    joined(source, "/warnings", "-")
}

fn row(source: &Value) -> Vec<String> {
    vec![
        text(source, "/uid"),
        text(source, "/provider"),
        text(source, "/receivingUrl"),
        joined(source, "/endpoints", "-"),
        notes(source),
    ]
}

fn shown(session: &Session, source: &Value) -> String {
    let rows = [
        ("source", text(source, "/uid")),
        ("id", text(source, "/id")),
        ("provider", format!("{} ({})", text(source, "/provider"), text(source, "/providerName"))),
        ("receives", text(source, "/receivingUrl")),
        ("types", joined(source, "/eventTypes", "all")),
        ("endpoints", joined(source, "/endpoints", "none")),
        ("notes", notes(source)),
        ("created", moment_of(source, "/createdAt", session.now_s)),
    ];
    let lines: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("{}  {value}", session.paint.dim(&format!("{name:<9}"))))
        .collect();
    lines.join("\n")
}

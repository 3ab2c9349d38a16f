//! `becket sources`: list, show, and the secrets that handshakes bring along.

use serde_json::{Value, json};

use super::Session;
use super::client::PathBuilder;
use super::failure::Result;
use super::list::{LimitArgs, show_list};
use super::show::{self, items, moment_of, text};
use crate::cli::{ConnectionArgs, print};

/// Arguments of `becket sources`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SourcesArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: SourcesCommand,
}

const EXAMPLES: &str = "\
Examples:
  becket sources list
  becket sources secret show notion     The secret that a handshake brought along
  becket sources secret accept notion secret_t0ken   Let that one verify from now on";

#[derive(Debug, clap::Subcommand)]
pub(super) enum SourcesCommand {
    /// List sources
    List,
    /// Show a source
    Show {
        /// Id or name
        source: String,
    },
    /// Show, accept or forget the secrets that a provider's handshake brought along
    #[command(subcommand)]
    Secret(SecretCommand),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum SecretCommand {
    /// Show them (the gateway logs it)
    Show {
        /// Id or name
        source: String,
    },
    /// Let one that waits verify from now on
    Accept {
        /// Id or name
        source: String,
        /// The secret, as `show` shows it: whoever knows the URL can make others wait
        value: String,
    },
    /// Forget them all: the next handshake brings a new one
    Forget {
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
        SourcesCommand::Secret(command) => secret(session, &sources, command).await,
    }
}

async fn secret(session: &Session, sources: &PathBuilder, command: SecretCommand) -> Result<()> {
    let path = |source: &str| sources.clone().part(source).part("secret");
    let secrets = match command {
        SecretCommand::Show { source } => session.client.get(path(&source).text()).await?,
        SecretCommand::Accept { source, value } => {
            let path = path(&source).part("accept");
            session.client.post(path.text(), &json!({ "value": value })).await?
        }
        SecretCommand::Forget { source } => session.client.delete(path(&source).text()).await?,
    };
    if session.json {
        return show::print_document(&secrets);
    }
    let captured = items(&secrets, "/data");
    if captured.is_empty() {
        eprintln!("no handshake has brought a secret along");
        return Ok(());
    }
    for one in captured {
        let state = if one["accepted"] == true { "accepted" } else { "waits" };
        let when = moment_of(one, "/receivedAt", session.now_s);
        let named = format!("{:<9} {:<9} {when}", text(one, "/name"), state);
        print(&format!("{}  {}", session.paint.dim(&named), text(one, "/value")))?;
    }
    Ok(())
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
        ("verifies", text(source, "/verification")),
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

//! `becket tokens` and `becket environments`: who may use the API, and whose data they see.

use serde_json::{Value, json};

use super::Session;
use super::client::PathBuilder;
use super::failure::Result;
use super::list::{LimitArgs, show_list};
use super::show::{self, moment_of, text};
use crate::cli::{ConnectionArgs, print};

/// Arguments of `becket tokens`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct TokensArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: TokensCommand,
}

const EXAMPLES: &str = "\
Examples:
  becket tokens create ci --days 90              An admin token for 90 days
  becket tokens create grafana --role viewer
  becket tokens create ann --role developer --payloads
  becket tokens list
  becket tokens revoke key_2fW0...

A token's text is shown once, on standard output; the gateway keeps only its hash.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum TokensCommand {
    /// Make a token and show its text, this once
    Create {
        /// What it is for
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value_t = RoleArg::Admin)]
        role: RoleArg,
        /// For --role developer and viewer: bodies, values of headers and responses are shown
        #[arg(long)]
        payloads: bool,
        /// For --role portal: the only application or source it sees, by id or uid
        #[arg(long, value_name = "APPLICATION", required_if_eq("role", "portal"))]
        application: Option<String>,
        /// For how many days it is good; for ever if absent
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=3_650))]
        days: Option<u64>,
    },
    /// List tokens, without their texts
    List {
        /// The portal tokens of this application or source
        #[arg(long, value_name = "APPLICATION")]
        application: Option<String>,
    },
    /// Refuse a token from now on
    Revoke {
        /// Its id (`key_...`)
        id: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RoleArg {
    /// Everything
    Admin,
    /// Everything but who may do what
    Developer,
    /// Looking, but not at secrets
    Viewer,
    /// The older name of a viewer who sees payloads
    #[value(hide = true)]
    ReadOnly,
    /// What a customer sees of one application
    Portal,
}

impl RoleArg {
    const fn on_the_wire(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
            Self::ReadOnly => "read_only",
            Self::Portal => "portal",
        }
    }
}

/// Arguments of `becket environments`.
#[derive(Debug, clap::Args)]
pub struct EnvironmentsArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: EnvironmentsCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum EnvironmentsCommand {
    /// Make an environment, whose data nobody else sees, and show its first admin token, this once
    Create {
        /// Its name, for people
        name: String,
    },
    /// List environments
    List,
}

fn tokens() -> PathBuilder {
    PathBuilder::new("/api/v1/becket/token")
}

pub(super) async fn run(session: &Session, command: TokensCommand) -> Result<()> {
    match command {
        TokensCommand::Create { name, role, payloads, application, days } => {
            let mut body = json!({ "name": name, "role": role.on_the_wire() });
            if payloads {
                body["payloads"] = json!(true);
            }
            if let Some(application) = application {
                body["application"] = json!(application);
            }
            if let Some(days) = days {
                body["expiry"] = json!(days * 86_400);
            }
            let made = session.client.post(tokens().text(), &body).await?;
            if session.json {
                return show::print_document(&made);
            }
            eprintln!("{} {}, shown this once:", text(&made, "/role"), text(&made, "/id"));
            print(&text(&made, "/token"))?;
            Ok(())
        }
        TokensCommand::List { application } => {
            let path = tokens().query("application", application.as_deref());
            let headings = &["ID", "NAME", "ROLE", "MADE", "GOOD UNTIL"];
            let row = |token: &Value| {
                vec![
                    text(token, "/id"),
                    text(token, "/name"),
                    text(token, "/role"),
                    moment_of(token, "/createdAt", session.now_s),
                    moment_of(token, "/expiresAt", session.now_s),
                ]
            };
            show_list(session, &path, &LimitArgs::ALL, headings, "tokens", row).await
        }
        TokensCommand::Revoke { id } => {
            session.client.delete(tokens().part(&id).text()).await?;
            if !session.json {
                eprintln!("{id} is refused from now on");
            }
            Ok(())
        }
    }
}

pub(super) async fn environments(session: &Session, command: EnvironmentsCommand) -> Result<()> {
    let path = PathBuilder::new("/api/v1/becket/environment");
    match command {
        EnvironmentsCommand::Create { name } => {
            let made = session.client.post(path.text(), &json!({ "name": name })).await?;
            if session.json {
                return show::print_document(&made);
            }
            eprintln!(
                "environment {} ({}); its first admin token, shown this once:",
                text(&made, "/number"),
                text(&made, "/name")
            );
            print(&text(&made, "/adminToken/token"))?;
            Ok(())
        }
        EnvironmentsCommand::List => {
            let headings = &["NUMBER", "NAME", "MADE"];
            let row = |environment: &Value| {
                vec![
                    text(environment, "/number"),
                    text(environment, "/name"),
                    moment_of(environment, "/createdAt", session.now_s),
                ]
            };
            show_list(session, &path, &LimitArgs::ALL, headings, "environments", row).await
        }
    }
}

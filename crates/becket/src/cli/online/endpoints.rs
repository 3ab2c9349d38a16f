//! `becket endpoints`: list, show, pause, resume, enable, disable, secret, rotate-secret.

use serde_json::{Value, json};

use super::Session;
use super::client::PathBuilder;
use super::failure::Result;
use super::list::{LimitArgs, show_list};
use super::show::{self, field, items, moment_of, state, text};
use crate::cli::{ConnectionArgs, print};

/// Arguments of `becket endpoints`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct EndpointsArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: EndpointsCommand,
}

const EXAMPLES: &str = "\
Examples:
  becket endpoints list
  becket endpoints pause github/app --reason deploy
  becket endpoints resume github/app
  becket endpoints secret github/app         The secret that signs deliveries
  becket endpoints rotate-secret github/app  A new one; the old one signs for another day

An endpoint is named by its id, by its name, or by source/name.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum EndpointsCommand {
    /// List endpoints
    List {
        /// Only endpoints of this source, by id or name
        #[arg(long, value_name = "SOURCE")]
        source: Option<String>,
    },
    /// Show an endpoint
    Show {
        /// Id, name or `source/name`
        endpoint: String,
    },
    /// Hold deliveries back: they are planned and wait
    Pause(StateArgs),
    /// Deliver again what a pause held back
    Resume(StateArgs),
    /// Enable an endpoint and forget its failures
    Enable(StateArgs),
    /// Disable an endpoint: nothing new is planned for it
    Disable(StateArgs),
    /// Show the secret that signs deliveries (the gateway logs it)
    Secret {
        /// Id, name or `source/name`
        endpoint: String,
    },
    /// Make a new secret and show it
    RotateSecret {
        /// Id, name or `source/name`
        endpoint: String,
        /// How long the old secret signs on, in hours
        #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u64).range(0..=168))]
        overlap: u64,
    },
}

/// Which endpoint changes, and why.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StateArgs {
    /// Id, name or `source/name`
    endpoint: String,
    /// Why, for whoever looks at it later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

fn endpoints() -> PathBuilder {
    PathBuilder::new("/api/v1/becket/endpoint")
}

pub(super) async fn run(session: &Session, command: EndpointsCommand) -> Result<()> {
    match command {
        EndpointsCommand::List { source } => {
            let path = endpoints().query("source", source.as_deref());
            let headings = &["ID", "SOURCE", "NAME", "STATE", "URL", "TYPES", "WHY"];
            show_list(session, &path, &LimitArgs::ALL, headings, "endpoints", |endpoint| {
                row(session, endpoint)
            })
            .await
        }
        EndpointsCommand::Show { endpoint } => {
            let endpoint = session.client.get(endpoints().part(&endpoint).text()).await?;
            shown(session, &endpoint)
        }
        EndpointsCommand::Pause(args) => change(session, "pause", &args).await,
        EndpointsCommand::Resume(args) => change(session, "resume", &args).await,
        EndpointsCommand::Enable(args) => change(session, "enable", &args).await,
        EndpointsCommand::Disable(args) => change(session, "disable", &args).await,
        EndpointsCommand::Secret { endpoint } => {
            let path = secret_path(session, &endpoint).await?;
            secret(session, &path).await
        }
        EndpointsCommand::RotateSecret { endpoint, overlap } => {
            let path = secret_path(session, &endpoint).await?;
            let body = json!({ "gracePeriodSeconds": overlap * 3_600 });
            session.client.post(path.clone().part("rotate").text(), &body).await?;
            if !session.json {
                eprintln!("the old secret signs for another {overlap} hours, next to this one:");
            }
            secret(session, &path).await
        }
    }
}

fn row(session: &Session, endpoint: &Value) -> Vec<String> {
    let types: Vec<&str> =
        items(endpoint, "/eventTypes").iter().filter_map(Value::as_str).collect();
    vec![
        text(endpoint, "/id"),
        text(endpoint, "/source"),
        text(endpoint, "/uid"),
        state(session.paint, &text(endpoint, "/state")),
        text(endpoint, "/url"),
        if types.is_empty() { "all".to_owned() } else { show::one_line(&types.join(", ")) },
        why(endpoint, session.now_s),
    ]
}

fn why(endpoint: &Value, now_s: i64) -> String {
    match (field(endpoint, "/stateReason"), field(endpoint, "/failingSince")) {
        (Some(reason), _) => show::one_line(reason),
        (None, Some(since)) => format!("failing since {}", show::moment(since, now_s)),
        (None, None) => "-".to_owned(),
    }
}

fn shown(session: &Session, endpoint: &Value) -> Result<()> {
    if session.json {
        return show::print_document(endpoint);
    }
    let now_s = session.now_s;
    let delays: Vec<String> = items(endpoint, "/retryDelaysMs")
        .iter()
        .filter_map(Value::as_u64)
        .map(|delay_ms| format!("{} s", delay_ms / 1_000))
        .collect();
    let types: Vec<&str> =
        items(endpoint, "/eventTypes").iter().filter_map(Value::as_str).collect();
    let types = if types.is_empty() { "all".to_owned() } else { types.join(", ") };
    let rows = [
        ("endpoint", format!("{}/{}", text(endpoint, "/source"), text(endpoint, "/uid"))),
        ("id", text(endpoint, "/id")),
        ("url", text(endpoint, "/url")),
        ("state", state(session.paint, &text(endpoint, "/state"))),
        ("why", why(endpoint, now_s)),
        ("types", show::one_line(&types)),
        (
            "time-outs",
            format!(
                "{} ms, {} ms to connect",
                text(endpoint, "/timeoutMs"),
                text(endpoint, "/connectTimeoutMs")
            ),
        ),
        ("at once", text(endpoint, "/concurrency")),
        ("rate", text(endpoint, "/rate")),
        (
            "retries",
            if delays.is_empty() {
                "none".to_owned()
            } else {
                format!("after {}", delays.join(", "))
            },
        ),
        ("created", moment_of(endpoint, "/createdAt", now_s)),
        ("changed", moment_of(endpoint, "/updatedAt", now_s)),
    ];
    let lines: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("{}  {value}", session.paint.dim(&format!("{name:<9}"))))
        .collect();
    print(&lines.join("\n"))?;
    Ok(())
}

async fn change(session: &Session, change: &str, args: &StateArgs) -> Result<()> {
    let path = endpoints().part(&args.endpoint).part(change);
    let endpoint = session.client.post(path.text(), &json!({ "reason": args.reason })).await?;
    if session.json {
        return show::print_document(&endpoint);
    }
    print(&format!(
        "{}/{} is {}",
        text(&endpoint, "/source"),
        text(&endpoint, "/uid"),
        state(session.paint, &text(&endpoint, "/state"))
    ))?;
    Ok(())
}

/// The secret's path needs the source too.
async fn secret_path(session: &Session, endpoint: &str) -> Result<PathBuilder> {
    let endpoint = session.client.get(endpoints().part(endpoint).text()).await?;
    Ok(PathBuilder::new("/ingest/api/v1/source")
        .part(field(&endpoint, "/sourceId").unwrap_or_default())
        .part("endpoint")
        .part(field(&endpoint, "/id").unwrap_or_default())
        .part("secret"))
}

async fn secret(session: &Session, path: &PathBuilder) -> Result<()> {
    let secret = session.client.get(path.text()).await?;
    if session.json {
        return show::print_document(&secret);
    }
    print(&text(&secret, "/key"))?;
    Ok(())
}

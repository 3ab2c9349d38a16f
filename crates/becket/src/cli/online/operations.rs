//! `becket stats` and `becket backup`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Session;
use super::failure::Result;
use super::show::{self, number, size, text};
use crate::cli::{ConnectionArgs, print};

/// Arguments of `becket stats`.
#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Arguments of `becket backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub struct BackupArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The folder to make on the gateway's host; its parent has to exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

const BACKUP_EXAMPLES: &str = "\
Examples:
  becket backup /var/backups/becket-2026-01-31

A relative DIR is meant from where this command runs, so it needs the gateway on the same host.";

pub(super) async fn stats(session: &Session) -> Result<()> {
    let stats = session.client.get("/api/v1/becket/stats").await?;
    if session.json {
        return show::print_document(&stats);
    }
    print(&shown(session, &stats))?;
    Ok(())
}

fn shown(session: &Session, stats: &Value) -> String {
    let accepting = match stats["accepting"] == true {
        true => session.paint.green("yes"),
        false => format!("{}: {}", session.paint.red("no"), text(stats, "/problem")),
    };
    let count = |pointer: &str| number(stats, pointer);
    let endpoints = format!(
        "{} enabled, {} paused, {} disabled, {} failing",
        count("/endpoints/enabled"),
        count("/endpoints/paused"),
        count("/endpoints/disabled"),
        count("/endpoints/failing"),
    );
    let mut rows = vec![("accepting", accepting)];
    // What the whole store holds is told in the first environment only.
    if !stats["events"].is_null() {
        rows.extend([
            ("events", text(stats, "/events")),
            ("pending deliveries", text(stats, "/deliveriesPending")),
            ("refused requests", text(stats, "/quarantined")),
            ("on disk", format!("{} in {} segments", size(count("/bytes")), count("/segments"))),
        ]);
    }
    rows.extend([("sources", text(stats, "/sources")), ("endpoints", endpoints)]);
    let lines: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("{}  {value}", session.paint.dim(&format!("{name:<18}"))))
        .collect();
    lines.join("\n")
}

pub(super) async fn backup(session: &Session, args: &BackupArgs) -> Result<()> {
    let folder = std::path::absolute(&args.folder).unwrap_or_else(|_| args.folder.clone());
    let done = session.client.post("/api/v1/becket/backup", &json!({ "folder": folder })).await?;
    if session.json {
        return show::print_document(&done);
    }
    print(&format!("{} written to {}", size(number(&done, "/bytes")), text(&done, "/folder")))?;
    Ok(())
}

//! `becket keys`: the master key under which stored secrets are sealed.

use serde_json::json;

use super::Session;
use super::failure::Result;
use super::show::{self, text};
use crate::cli::{ConnectionArgs, print};

/// Arguments of `becket keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct KeysArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: KeysCommand,
}

const EXAMPLES: &str = "\
Examples:
  becket keys rotate

The gateway goes on working meanwhile. The new key is in its key file before anything is sealed with
it; keep a copy of the file, and destroy copies of the old one once no backup needs it.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum KeysCommand {
    /// Make a new master key and seal every stored secret with it
    Rotate,
}

pub(super) async fn run(session: &Session, command: KeysCommand) -> Result<()> {
    match command {
        KeysCommand::Rotate => {
            let done = session.client.post("/api/v1/becket/keys/rotate", &json!({})).await?;
            if session.json {
                return show::print_document(&done);
            }
            print(&format!(
                "{} secrets are sealed with master key {}",
                text(&done, "/rewrapped"),
                text(&done, "/version")
            ))?;
            Ok(())
        }
    }
}

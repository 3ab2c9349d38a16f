//! Commands that ask a running gateway over its management API.

use std::process::ExitCode;

use crate::cli::{ConnectionArgs, Globals};

/// The commands that need a running gateway.
#[derive(Debug, clap::Subcommand)]
pub enum OnlineCommand {
    /// List, show and follow events.
    Events(EventsArgs),
}

/// Arguments of `becket events`.
#[derive(Debug, clap::Args)]
pub struct EventsArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs an online command.
pub fn run(command: OnlineCommand, globals: &Globals) -> ExitCode {
    let OnlineCommand::Events(args) = command;
    match args.connection.resolve(globals) {
        Ok(connection) => {
            eprintln!("error: this build cannot ask {} yet", connection.url);
            ExitCode::FAILURE
        }
        Err(error) => error.exit(),
    }
}

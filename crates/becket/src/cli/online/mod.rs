//! Commands that ask a running gateway over its management API.
//!
//! Invariants: data goes to standard output and everything else to standard error; with `--json`
//! lists are one JSON object on each line and single things are one document, as the API gave them;
//! exit codes are 0 success, 1 no such thing or refused, 2 wrong usage, 3 gateway not reached or
//! token not accepted.
//!
//! Deliberately absent: deciding anything; what a command shows is what the API answered.
//!
//! Where next: `client` for the HTTP, then the module of a command's name.

mod attempts;
pub(in crate::cli) mod client;
mod endpoints;
mod events;
pub(in crate::cli) mod failure;
mod keys;
mod list;
mod operations;
mod quarantine;
mod replay;
pub(in crate::cli) mod show;
mod sources;
mod timeline;
mod tokens;

use std::process::ExitCode;

use self::client::Client;
use self::failure::{Failure, Result};
pub(in crate::cli) use self::show::since;
use crate::cli::{CliError, Connection, ConnectionArgs, Globals, Paint};

/// The commands that need a running gateway.
#[derive(Debug, clap::Subcommand)]
pub enum OnlineCommand {
    /// List, show and follow events
    Events(events::EventsArgs),
    /// List and show attempts
    Attempts(attempts::AttemptsArgs),
    /// Deliver an event again, or all that match
    Replay(replay::ReplayArgs),
    /// List, pause, resume and enable endpoints; show and rotate their secrets
    Endpoints(endpoints::EndpointsArgs),
    /// List and show sources; accept secrets that handshakes bring along
    Sources(sources::SourcesArgs),
    /// List, explain, retry and release refused requests
    Quarantine(quarantine::QuarantineArgs),
    /// Show counts and sizes
    Stats(operations::StatsArgs),
    /// Write a copy of the store to a new folder on the gateway's host
    Backup(operations::BackupArgs),
    /// Make, list and revoke tokens for the API
    Tokens(tokens::TokensArgs),
    /// Make and list environments: tenants with their own data
    Environments(tokens::EnvironmentsArgs),
    /// Exchange the master key
    Keys(keys::KeysArgs),
}

impl OnlineCommand {
    fn connection(&self) -> &ConnectionArgs {
        match self {
            Self::Events(args) => &args.connection,
            Self::Attempts(args) => &args.connection,
            Self::Replay(args) => &args.connection,
            Self::Endpoints(args) => &args.connection,
            Self::Sources(args) => &args.connection,
            Self::Quarantine(args) => &args.connection,
            Self::Stats(args) => &args.connection,
            Self::Backup(args) => &args.connection,
            Self::Tokens(args) => &args.connection,
            Self::Environments(args) => &args.connection,
            Self::Keys(args) => &args.connection,
        }
    }
}

/// What every command works with.
struct Session {
    client: Client,
    json: bool,
    paint: Paint,
    now_s: i64,
}

/// Runs an online command.
#[must_use]
pub fn run(command: OnlineCommand, globals: &Globals) -> ExitCode {
    let connection = match command.connection().resolve(globals) {
        Ok(connection) => connection,
        Err(error) => return error.exit(),
    };
    match perform(command, &connection, globals.json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit(),
    }
}

fn perform(command: OnlineCommand, connection: &Connection, json: bool) -> Result<()> {
    let session = Session {
        client: Client::new(connection)?,
        json,
        paint: Paint::for_stdout(),
        now_s: crate::cli::now_s(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::from(CliError::new(format!("no runtime: {error}"))))?;
    runtime.block_on(async {
        match command {
            OnlineCommand::Events(args) => events::run(&session, args.command).await,
            OnlineCommand::Attempts(args) => attempts::run(&session, args.command).await,
            OnlineCommand::Replay(args) => replay::run(&session, &args).await,
            OnlineCommand::Endpoints(args) => endpoints::run(&session, args.command).await,
            OnlineCommand::Sources(args) => sources::run(&session, args.command).await,
            OnlineCommand::Quarantine(args) => quarantine::run(&session, args.command).await,
            OnlineCommand::Stats(_) => operations::stats(&session).await,
            OnlineCommand::Backup(args) => operations::backup(&session, &args).await,
            OnlineCommand::Tokens(args) => tokens::run(&session, args.command).await,
            OnlineCommand::Environments(args) => tokens::environments(&session, args.command).await,
            OnlineCommand::Keys(args) => keys::run(&session, args.command).await,
        }
    })
}

//! `becket restart`: a new process takes the place of the running one on this machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{CliError, Globals, ServeArgs, print};
use crate::serve::handover::arrive::connect;
use crate::serve::handover::wire::{Message, Wire};
use crate::serve::run::folder_of;

/// Arguments of `becket restart`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RestartArgs {
    /// The store of the running gateway, if the configuration does not say [default: sqlite:data]
    #[arg(long, value_name = "sqlite:FOLDER")]
    pub store: Option<String>,
    /// The folder in which the running gateway can be met, whatever its store: SQLite's, or `[server]
    /// folder`; no configuration is read
    #[arg(long, value_name = "FOLDER", conflicts_with = "store")]
    pub folder: Option<PathBuf>,
}

const EXAMPLES: &str = "\
The running gateway starts the program again, as it was started itself: by the same name, with the same
arguments and environment. The new process gets its open sockets. If it cannot start, the old one goes
on, and this command says why. SIGUSR2 does the same.

Examples:
  becket restart                                   After the program was exchanged
  becket restart --config /etc/becket/becket.toml  Where the configuration says which folder
  becket restart --folder /var/lib/becket          A service whose configuration is elsewhere";

/// Asks for a restart and waits for its outcome.
///
/// # Errors
/// When no gateway runs here, or the new process could not start; then the old one goes on.
pub fn run(args: &RestartArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => configured(args, globals)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("the runtime could not be started: {error}")))?;
    match runtime.block_on(ask(&folder))? {
        Message::Restarted { old_pid, pid, pause_ms } => {
            let text = match globals.json {
                true => serde_json::json!({"oldPid": old_pid, "pid": pid, "pauseMs": pause_ms})
                    .to_string(),
                false => format!(
                    "process {pid} has taken the place of {old_pid}; requests waited for at most {pause_ms} ms"
                ),
            };
            print(&text)
        }
        Message::Failed { why } => Err(CliError::new(format!("there was no restart: {why}"))
            .hint("the gateway that ran goes on as before; its log says more")),
        other => Err(CliError::new(format!("the gateway answered {other:?}"))
            .hint("is it of another version? stop and start it instead")),
    }
}

/// The folder that the configuration names.
fn configured(args: &RestartArgs, globals: &Globals) -> Result<PathBuf, CliError> {
    let serve = ServeArgs { store: args.store.clone(), ..ServeArgs::default() };
    let loaded = serve.whereabouts(globals).map_err(|errors| {
        CliError::new(format!(
            "the gateway's folder is in a configuration with {} errors",
            errors.error_count()
        ))
        .hint("`becket config check` shows them; or say the folder with --folder")
    })?;
    Ok(folder_of(&loaded.config))
}

async fn ask(folder: &Path) -> Result<Message, CliError> {
    let Some(mut wire): Option<Wire> = connect(folder).await else {
        return Err(CliError::new(format!(
            "no gateway that could be restarted runs with the folder {}",
            folder.display()
        ))
        .hint("`becket serve` starts one; --folder or --config says where it keeps its data"));
    };
    let gone = |error: std::io::Error| {
        CliError::new(format!("the gateway did not answer: {error}"))
            .hint("only the user that runs it, and root, may restart it; its log says more")
    };
    wire.say(&Message::Restart).await.map_err(gone)?;
    wire.hear().await.map_err(gone)
}

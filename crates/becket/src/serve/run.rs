//! `becket serve`: the process around the gateway.
//!
//! The gateway is wired anew when another process was to take its place and could not: then
//! everything of it has ended except the sockets, and it starts again as it was configured.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::gateway::ConfigSource;
use super::handover::arrive::{self, Takeover};
use super::handover::control::Again;
use super::handover::{Left, Remaining, leave};
use super::{ServeError, log, serve_once, watch};
use crate::cli::{Globals, ServeArgs};
use crate::config::{Config, Loaded, StoreUrl};

/// Runs the gateway until it is told to stop, or another process has taken its place.
pub fn run(args: &ServeArgs, globals: &Globals) -> ExitCode {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let source = ConfigSource { path: globals.config.clone(), env, flags: args.flags() };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("becket")
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let takeover = args.takeover();
    let loaded = match source.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            runtime.block_on(arrive::fail_early(&takeover, &errors.to_string()));
            return ExitCode::FAILURE;
        }
    };
    let lines = log::start(&loaded.config.log);
    let ended = runtime.block_on(serve(source, loaded, &lines, args, &takeover));
    let code = match ended {
        Ok((remaining, signals)) => {
            // Whatever goes on in the background has nothing to work with any more.
            runtime.shutdown_background();
            leave::linger(remaining, signals);
            ExitCode::SUCCESS
        }
        Err(error) => {
            lines.flush();
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    };
    lines.end();
    code
}

/// Serves until told to stop, or relieved; answers with the connections that are left, and with the
/// signals, of which one may have come that nobody has looked at.
async fn serve(
    source: ConfigSource,
    mut loaded: Loaded,
    lines: &Arc<log::Lines>,
    args: &ServeArgs,
    takeover: &Takeover,
) -> Result<(Vec<Remaining>, watch::Signals), ServeError> {
    let again = Again::as_now()
        .map_err(|error| ServeError::system("finding out how this process was started", &error))?;
    let mut signals = watch::Signals::new(args.until_stdin_closes)?;
    let (folder, shares) = (folder_of(&loaded.config), shares_store(&loaded.config));
    let (mut doors, mut relieved) =
        arrive::arrive(&loaded.config, &folder, takeover, shares, &mut signals).await?;
    let mut left_over = Vec::new();
    loop {
        let once = super::Once {
            doors,
            relieved: &mut relieved,
            again: again.clone(),
            shares_store: shares,
            signals: &mut signals,
        };
        let ended = serve_once(source.clone(), loaded, Arc::clone(lines), once).await;
        match ended {
            Ok(Left::Back(back)) => {
                (loaded, doors) = (back.loaded, back.doors);
                left_over.push(back.remaining);
            }
            Ok(Left::Stopped) => return Ok((Vec::new(), signals)),
            Ok(Left::Lingering(remaining)) => {
                left_over.push(remaining);
                return Ok((left_over, signals));
            }
            Err(error) => {
                relieved.failed(&error).await;
                return Err(error);
            }
        }
    }
}

/// The folder of this process on this machine, where another process of the same gateway looks for it.
pub(crate) fn folder_of(config: &Config) -> PathBuf {
    config.local_folder()
}

/// Whether the store may be open in two processes at the same time.
fn shares_store(config: &Config) -> bool {
    matches!(config.store.url, StoreUrl::Postgres { .. })
}

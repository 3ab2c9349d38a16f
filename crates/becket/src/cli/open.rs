//! `becket open`: the page of an event, a source or an endpoint in the dashboard.
//!
//! Invariants: the token is never part of what is opened; where nothing can be opened the address is
//! printed.

use std::process::{Command, ExitCode, Stdio};

use super::online::client::{Client, PathBuilder};
use super::online::failure::Failure;
use super::{CliError, Connection, ConnectionArgs, Globals, env_map, print};

/// Arguments of `becket open`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct OpenArgs {
    /// Which gateway.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// An event, a source or an endpoint, by id or name [default: the first page]
    #[arg(value_name = "EVENT|SOURCE|ENDPOINT")]
    what: Option<String>,
    /// Print the address and open nothing
    #[arg(long)]
    print: bool,
}

const EXAMPLES: &str = "\
Examples:
  becket open
  becket open msg_...
  becket open github
  becket open msg_... --print";

/// Runs the command.
pub(super) fn run(args: &OpenArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    let connection = args.connection.resolve(globals)?;
    let page = match args.what.as_deref() {
        None => String::new(),
        Some(what) => page_of(what, &connection)?,
    };
    let url = format!("{}{page}", connection.url);
    if globals.json {
        return print(&serde_json::json!({ "url": url }).to_string());
    }
    if !args.print
        && let Some(mut browser) = browser()
    {
        let silent = browser.arg(&url).stdin(Stdio::null()).stdout(Stdio::null());
        if silent.stderr(Stdio::null()).spawn().is_ok() {
            eprintln!("opening {url}");
            return Ok(ExitCode::SUCCESS);
        }
    }
    print(&url)
}

/// The page by the beginning of an id; names are asked for.
fn page_of(what: &str, connection: &Connection) -> Result<String, CliError> {
    let by_id = [
        ("msg_", "events"),
        ("src_", "sources"),
        ("ep_", "endpoints"),
        ("app_", "applications"),
        ("atmpt_", "attempts"),
    ];
    if let Some((_, page)) = by_id.iter().find(|(beginning, _)| what.starts_with(beginning)) {
        return Ok(PathBuilder::new(&format!("/{page}")).part(what).text().to_owned());
    }
    let client = Client::new(connection).map_err(Failure::into_error)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("no runtime: {error}")))?;
    let mut last = None;
    for (list, page) in [("source", "sources"), ("endpoint", "endpoints")] {
        let path = PathBuilder::new(&format!("/api/v1/becket/{list}")).part(what);
        match runtime.block_on(client.get(path.text())) {
            Ok(found) => {
                let id = found["id"].as_str().unwrap_or(what);
                return Ok(PathBuilder::new(&format!("/{page}")).part(id).text().to_owned());
            }
            Err(failure) => last = Some(failure.into_error()),
        }
    }
    // Both were asked; the last answer says as well as the first why there is none.
    let missing = CliError::new(format!("there is neither a source nor an endpoint `{what}`"));
    Err(last.filter(|error| error.code() != 1).unwrap_or(missing))
}

/// What opens an address where there is somebody to see it.
fn browser() -> Option<Command> {
    let env = env_map();
    let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
    if let Some(browser) = set("BROWSER") {
        return Some(Command::new(browser));
    }
    if cfg!(target_os = "macos") {
        return Some(Command::new("open"));
    }
    let seen = set("DISPLAY").is_some() || set("WAYLAND_DISPLAY").is_some();
    seen.then(|| Command::new("xdg-open"))
}

//! `becket filter test`: whether a filter lets an event pass, and which clause does not.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use becket_filter::{Filter, Refused, Request, Subject};
use becket_model::{EventRecord, PackedHeaders};
use http_body_util::BodyExt as _;
use serde_json::{Value as Json, json};

use super::online::client::{Client, PathBuilder};
use super::online::failure::Failure;
use super::online::show;
use super::output::visible;
use super::{CliError, ConnectionArgs, Globals, Paint, print};

/// Arguments of `becket filter`.
#[derive(Debug, Clone, clap::Args)]
pub struct FilterArgs {
    #[command(subcommand)]
    command: FilterCommand,
}

/// What to do with a filter.
#[derive(Debug, Clone, clap::Subcommand)]
enum FilterCommand {
    /// Say whether a filter lets an event pass, and why not
    Test(Box<TestArgs>),
}

/// Arguments of `becket filter test`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
struct TestArgs {
    /// The filter as JSON or TOML; @FILE reads it from a file
    #[arg(long, value_name = "FILTER|@FILE")]
    filter: String,
    /// The file with the body, byte for byte; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["body", "event"])]
    body_file: Option<PathBuf>,
    /// The body itself
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "event")]
    body: Option<String>,
    /// A header of the request
    #[arg(long, short = 'H', value_name = "NAME: VALUE", allow_hyphen_values = true)]
    #[arg(conflicts_with = "event")]
    header: Vec<String>,
    /// The type of the event
    #[arg(long, value_name = "TYPE", conflicts_with = "event")]
    event_type: Option<String>,
    /// The query of the request, without its question mark
    #[arg(long, value_name = "QUERY", default_value = "", conflicts_with = "event")]
    query: String,
    /// The path of the request, as it follows the receiving URL
    #[arg(long, value_name = "PATH", default_value = "/", conflicts_with = "event")]
    path: String,
    /// The method of the request
    #[arg(long, value_name = "METHOD", default_value = "POST", conflicts_with = "event")]
    method: String,
    /// An event that a running gateway has kept, instead of what is given here
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

const EXAMPLES: &str = "\
Examples:
  becket filter test --filter '{\"body\": {\"ref\": \"refs/heads/main\"}}' --body-file push.json
  becket filter test --filter @filter.toml --body '{}' --header 'X-GitHub-Event: push'
  becket filter test --filter @filter.json --event msg_...

Exit codes: 0 passes, 1 refused, 2 wrong usage, 3 gateway not reached or token not accepted.";

/// Runs the command.
pub(super) fn run(args: &FilterArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    let FilterCommand::Test(args) = &args.command;
    let filter = filter_of(&args.filter)?;
    let result = match &args.event {
        Some(event) => {
            let stored = stored(args, event, globals)?;
            filter.check(&stored.record.subject(stored.event_type.as_deref()))
        }
        None => given(args, &filter)?,
    };
    tell(&result, globals.json)
}

fn tell(result: &Result<(), Refused>, as_json: bool) -> Result<ExitCode, CliError> {
    let text = match (result, as_json) {
        (Ok(()), true) => format!("{:#}", json!({ "passes": true })),
        (Ok(()), false) => Paint::for_stdout().green("passes"),
        (Err(Refused { clause, expected, found, .. }), true) => format!(
            "{:#}",
            json!({ "passes": false, "clause": clause, "expected": expected, "found": found })
        ),
        (Err(refused), false) => {
            let word = Paint::for_stdout().red("refused");
            format!("{word}: {}", visible(&refused.to_string()))
        }
    };
    print(&text)?;
    Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Reads a filter: JSON if it begins with a brace, else TOML.
pub(super) fn filter_of(given: &str) -> Result<Filter, CliError> {
    let text = match given.strip_prefix('@') {
        None => given.to_owned(),
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            CliError::usage(format!("the filter file {path} cannot be read: {error}"))
        })?,
    };
    let read = if text.trim_start().starts_with('{') {
        Filter::parse(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str::<Filter>(&text).map_err(|error| error.message().trim_end().to_owned())
    };
    read.map_err(|problem| {
        CliError::usage(problem).hint("docs/guides/filters.md explains the syntax")
    })
}

/// Asks about what the command line gives.
fn given(args: &TestArgs, filter: &Filter) -> Result<Result<(), Refused>, CliError> {
    let body = match &args.body_file {
        Some(path) => read(path)?,
        None => args.body.clone().unwrap_or_default().into_bytes(),
    };
    let mut headers = Vec::new();
    for line in &args.header {
        let (name, value) = line.split_once(':').ok_or_else(|| {
            CliError::usage(format!("the header `{}` has no colon", line.escape_debug()))
                .hint("write --header 'Name: value'")
        })?;
        headers.push((name.trim(), value.trim().as_bytes()));
    }
    let request = Request {
        event_type: args.event_type.as_deref(),
        method: &args.method.to_ascii_uppercase(),
        path: &args.path,
        query: args.query.strip_prefix('?').unwrap_or(&args.query),
        body: &body,
    };
    Ok(filter.check(&Subject::new(request, headers)))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut body = Vec::new();
    let read = if path == Path::new("-") {
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut body).map(|_| ())
    } else {
        std::fs::read(path).map(|bytes| body = bytes)
    };
    read.map(|()| body).map_err(|error| {
        CliError::usage(format!("the body file {} cannot be read: {error}", path.display()))
    })
}

/// An event of a gateway, as it keeps it.
pub(super) struct Stored {
    pub(super) record: EventRecord,
    pub(super) event_type: Option<String>,
}

fn stored(args: &TestArgs, event: &str, globals: &Globals) -> Result<Stored, CliError> {
    let connection = args.connection.resolve(globals)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("no runtime: {error}")))?;
    let fetched = runtime.block_on(async {
        let client = Client::new(&connection)?;
        fetch(&client, event).await
    });
    // What exits with 1 is a refused event and nothing else.
    fetched.map_err(Failure::into_error).map_err(|error| match error.code() {
        1 => error.with_code(2),
        _ => error,
    })
}

/// The body comes in full, and headers as the API shows them: those that are credentials are hidden.
pub(super) async fn fetch(client: &Client, event: &str) -> Result<Stored, Failure> {
    let path = || PathBuilder::new("/api/v1/becket/event").part(event);
    let life: Json = client.get(path().part("explain").text()).await?;
    let mut stream = client.open(path().part("body").text(), "application/octet-stream").await?;
    let mut body = Vec::new();
    while let Some(frame) = stream.frame().await {
        let frame =
            frame.map_err(|error| Failure::unreachable(format!("the body broke off: {error}")))?;
        if let Ok(bytes) = frame.into_data() {
            body.extend_from_slice(&bytes);
        }
    }
    let mut packed = PackedHeaders::with_capacity(body.len() + 1_024);
    for (fact, pointer) in
        [(EventRecord::METHOD, "/request/method"), (EventRecord::PATH, "/request/path")]
    {
        if let Some(text) = show::field(&life, pointer) {
            packed.push(fact, text.as_bytes());
        }
    }
    for header in show::items(&life, "/request/headers") {
        if let (Some(name), Some(value)) = (show::field(header, "/0"), show::field(header, "/1")) {
            packed.push(name, value.as_bytes());
        }
    }
    let record = EventRecord::from_packed(packed.finish(&body))
        .map_err(|error| Failure::nonsense(client.url(), error))?;
    Ok(Stored { record, event_type: show::field(&life, "/event/eventType").map(str::to_owned) })
}

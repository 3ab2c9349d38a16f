//! `becket transform test`: what a transformation makes of an event, without sending anything.
//!
//! Invariants: the code runs in the same sandbox, with the same limits, as it would for a delivery.
//!
//! Where next: `diff` for how the change is shown.

mod diff;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use becket_egress::action::{Transform as _, TransformFailure, TransformInput, Transformed};
use becket_egress::headers::forwardable;
use becket_transform::{Pool, PoolConfig, Program, Script};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value as Json, json};

use super::online::client::Client;
use super::online::failure::Failure;
use super::output::visible;
use super::{CliError, ConnectionArgs, Globals, Paint, filter, print};

/// Arguments of `becket transform`.
#[derive(Debug, Clone, clap::Args)]
pub struct TransformArgs {
    #[command(subcommand)]
    command: TransformCommand,
}

/// What to do with a transformation.
#[derive(Debug, Clone, clap::Subcommand)]
enum TransformCommand {
    /// Show what a transformation makes of an event
    Test(Box<TestArgs>),
}

/// Arguments of `becket transform test`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
struct TestArgs {
    /// The file with the code; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file with the body, byte for byte
    #[arg(long, value_name = "FILE", conflicts_with_all = ["body", "event"])]
    body_file: Option<PathBuf>,
    /// The body itself
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "event")]
    body: Option<String>,
    /// An event that a running gateway has kept, instead of a body and headers
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// The type of the event
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    /// A header of the request
    #[arg(long, short = 'H', value_name = "NAME: VALUE", allow_hyphen_values = true)]
    header: Vec<String>,
    /// The endpoint's URL
    #[arg(long, value_name = "URL", default_value = "https://example.com/webhooks")]
    endpoint_url: String,
    /// What the code finds as `variables`
    #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
    variables: Vec<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

const EXAMPLES: &str = "\
Examples:
  becket transform test slack.js --body-file push.json --event-type push
  becket transform test slack.js --body '{\"a\": 1}' --variables CHANNEL=ops
  becket transform test slack.js --event msg_...

Exit codes: 0 it works, 1 it fails, 2 wrong usage, 3 gateway not reached or token not accepted.";

/// Runs the command.
pub(super) fn run(args: &TransformArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    let TransformCommand::Test(args) = &args.command;
    let program = Arc::new(program(args)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("no runtime: {error}")))?;
    runtime.block_on(async {
        let input = input(args, globals).await?;
        let pool = Arc::new(Pool::new(PoolConfig::default()));
        let made = match becket_transform::check_size(&program) {
            Ok(()) => Script::new(pool, 0, program).transform(input.clone()).await,
            Err(trouble) => return Err(CliError::usage(trouble.to_string())),
        };
        tell(&input, made, globals.json)
    })
}

fn program(args: &TestArgs) -> Result<Program, CliError> {
    let mut variables = BTreeMap::new();
    for pair in &args.variables {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            CliError::usage(format!("the variable `{}` has no value", pair.escape_debug()))
                .hint("write --variables NAME=VALUE")
        })?;
        variables.insert(name.to_owned(), value.to_owned());
    }
    let code = String::from_utf8(read(&args.file, "code")?)
        .map_err(|_| CliError::usage(format!("{} is not text", args.file.display())))?;
    Ok(Program { code, variables })
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map(|_| ())
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    read.map(|()| bytes).map_err(|error| {
        CliError::usage(format!("the {what} file {} cannot be read: {error}", path.display()))
    })
}

/// What the transformation is given.
async fn input(args: &TestArgs, globals: &Globals) -> Result<TransformInput, CliError> {
    let mut event_type = args.event_type.clone();
    let (mut headers, body) = match &args.event {
        Some(event) => {
            let connection = args.connection.resolve(globals)?;
            let client = Client::new(&connection).map_err(Failure::into_error)?;
            // What exits with 1 is a transformation that fails and nothing else.
            let stored = filter::fetch(&client, event).await.map_err(Failure::into_error);
            let stored = stored.map_err(|error| match error.code() {
                1 => error.with_code(2),
                _ => error,
            })?;
            event_type = event_type.or(stored.event_type);
            (forwardable(stored.record.headers().collect::<Vec<_>>()), stored.record.body())
        }
        None => {
            let body = match &args.body_file {
                Some(path) => read(path, "body")?,
                None => args.body.clone().unwrap_or_default().into_bytes(),
            };
            (HeaderMap::new(), Bytes::from(body))
        }
    };
    for line in &args.header {
        let (name, value) = line
            .split_once(':')
            .and_then(|(name, value)| {
                let name = http::HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                Some((name, http::HeaderValue::from_str(value.trim()).ok()?))
            })
            .ok_or_else(|| {
                CliError::usage(format!("the header `{}` cannot be sent", line.escape_debug()))
                    .hint("write --header 'Name: value'")
            })?;
        headers.append(name, value);
    }
    let (method, url) = ("POST".to_owned(), args.endpoint_url.clone());
    Ok(TransformInput { event_type, method, url, headers, body })
}

fn tell(
    input: &TransformInput,
    made: Result<Transformed, TransformFailure>,
    as_json: bool,
) -> Result<ExitCode, CliError> {
    let text = match (&made, as_json) {
        (Ok(made), true) => format!("{:#}", made_json(input, made)),
        (Err(failure), true) => {
            let error = failure.error.code();
            let json =
                json!({ "ok": false, "error": error, "message": failure.note, "log": failure.log });
            format!("{json:#}")
        }
        (Ok(made), false) => made_text(input, made, Paint::for_stdout()),
        (Err(failure), false) => {
            let paint = Paint::for_stdout();
            let mut text = format!("{}: {}\n", paint.red("failed"), visible(&failure.note));
            console_onto(&mut text, &failure.log, paint);
            text
        }
    };
    print(&text)?;
    Ok(if made.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A body as JSON if it is JSON, else as text.
fn body_json(body: &[u8]) -> Json {
    serde_json::from_slice(body)
        .unwrap_or_else(|_| Json::String(String::from_utf8_lossy(body).into_owned()))
}

fn headers_json(headers: &HeaderMap) -> Json {
    let pairs = headers.iter().map(|(name, value)| json!([name.as_str(), header_text(value)]));
    pairs.collect()
}

fn header_text(value: &http::HeaderValue) -> String {
    value.as_bytes().iter().copied().map(char::from).collect()
}

fn made_json(input: &TransformInput, made: &Transformed) -> Json {
    json!({
        "ok": true,
        "cancelled": made.cancel,
        "method": made.method.as_ref().map_or(input.method.as_str(), http::Method::as_str),
        "url": made.url.as_ref().unwrap_or(&input.url),
        "headers": headers_json(&made.headers),
        "payload": body_json(&made.body),
        "payloadChanged": made.body != input.body,
        "log": made.log,
    })
}

fn made_text(input: &TransformInput, made: &Transformed, paint: Paint) -> String {
    let mut text = String::new();
    if made.cancel {
        let _ = writeln!(text, "{}: nothing would be sent", paint.green("cancelled"));
        console_onto(&mut text, &made.log, paint);
        return text;
    }
    let method = made.method.as_ref().map_or(input.method.as_str(), http::Method::as_str);
    diff::onto(&mut text, "method", &input.method, method, paint);
    diff::onto(&mut text, "url", &input.url, made.url.as_ref().unwrap_or(&input.url), paint);
    diff::onto(&mut text, "headers", &header_lines(input), &lines_of(&made.headers), paint);
    if made.body == input.body {
        let _ = writeln!(text, "{}: unchanged, sent as it came", paint.dim("payload"));
    } else {
        diff::onto(&mut text, "payload", &pretty(&input.body), &pretty(&made.body), paint);
    }
    console_onto(&mut text, &made.log, paint);
    text
}

fn header_lines(input: &TransformInput) -> String {
    lines_of(&input.headers)
}

fn lines_of(headers: &HeaderMap) -> String {
    let mut lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", header_text(value))).collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// JSON on many lines, anything else as it is.
fn pretty(body: &[u8]) -> String {
    match serde_json::from_slice::<Json>(body) {
        Ok(json) => format!("{json:#}"),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

fn console_onto(text: &mut String, log: &str, paint: Paint) {
    if log.is_empty() {
        return;
    }
    let _ = writeln!(text, "{}:", paint.dim("console"));
    for line in log.lines() {
        let _ = writeln!(text, "  {}", visible(line));
    }
}

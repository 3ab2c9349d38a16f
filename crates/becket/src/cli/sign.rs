//! `becket sign`: what a provider would send for this body.

use std::process::ExitCode;

use base64::Engine as _;
use becket_signature::{SignRequest, Signed};
use serde_json::{Map, Value as Json, json};

use super::request::{BodyArgs, CredentialArgs, credentials_of, entry_of, verifier_of};
use super::{CliError, Globals, now_s, print};

/// Arguments of `becket sign`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SignArgs {
    /// In whose way: a slug of `becket providers list`
    #[arg(long, value_name = "SLUG")]
    provider: String,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    body: BodyArgs,
    /// The request's method
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    method: String,
    /// The URL it is sent to [default: http://127.0.0.1:8080/in/SLUG, unless the URL is signed]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The body's content type
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// The event type, for providers that send it in a header
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    /// The delivery id, for providers that send it in a header
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    delivery_id: Option<String>,
    /// When it is sent [default: now]
    #[arg(long, value_name = "UNIX_SECONDS", allow_negative_numbers = true)]
    at: Option<i64>,
    /// Print a curl command instead of headers
    #[arg(long, conflicts_with = "json")]
    curl: bool,
}

const EXAMPLES: &str = "\
Examples:
  becket sign --provider github --secret s3cret --event-type push --body '{\"zen\":\"keep it simple\"}'
  becket sign --provider stripe --secret-env STRIPE_SECRET --body-file event.json --curl | sh
  becket sign --provider svix --secret whsec_... --body '{}' --json

Prints one `Name: value` line for each header.";

/// Runs the command.
pub(super) fn run(args: &SignArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    let entry = entry_of(&args.provider, globals)?;
    let credentials = credentials_of(&entry, &args.credentials)?;
    let verifier = verifier_of(entry, &credentials, args.url.as_deref())?;
    let body = args.body.read()?;
    let default_url = format!("http://127.0.0.1:8080/in/{}", args.provider);
    let url = args.url.as_deref().unwrap_or(&default_url);
    let method = args.method.to_ascii_uppercase();
    let request = SignRequest {
        method: &method,
        url,
        body: &body,
        content_type: &args.content_type,
        event_type: args.event_type.as_deref(),
        delivery_id: args.delivery_id.as_deref(),
    };
    let signed = verifier
        .sign(&request, args.at.unwrap_or_else(now_s))
        .map_err(|error| CliError::new(error.to_string()))?;
    if args.curl {
        let command = curl_command(&method, &signed).ok_or_else(|| {
            CliError::new("a body that is no text cannot be part of a command")
                .hint("take the headers, and send the body with curl --data-binary @FILE")
        })?;
        return print(&command);
    }
    if globals.json {
        return print(&format!("{:#}", signed_json(&method, &signed)));
    }
    if signed.url != url {
        eprintln!("note: the signature is in the URL: {}", signed.url);
    }
    if signed.body != body {
        eprintln!("note: the signature is in the body; --json and --curl show the changed body");
    }
    let lines: Vec<String> =
        signed.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    print(&lines.join("\n"))
}

/// A signed request as `--json` shows it.
pub(super) fn signed_json(method: &str, signed: &Signed) -> Json {
    let headers: Map<String, Json> =
        signed.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut report = json!({ "method": method, "url": signed.url, "headers": headers });
    match std::str::from_utf8(&signed.body) {
        Ok(text) => report["body"] = json!(text),
        Err(_) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(&signed.body);
            report["body_base64"] = json!(encoded);
        }
    }
    report
}

/// A curl command that sends a signed request from any POSIX shell; `None` if the body is no text.
#[must_use]
pub fn curl_command(method: &str, signed: &Signed) -> Option<String> {
    let body = std::str::from_utf8(&signed.body).ok().filter(|body| !body.contains('\0'))?;
    let mut command = format!("curl -sS -X {} {}", quoted(method), quoted(&signed.url));
    for (name, value) in &signed.headers {
        command.push_str(&format!(" -H {}", quoted(&format!("{name}: {value}"))));
    }
    // --data-raw, because --data-binary would take a body that begins with @ for a file's name.
    if !body.is_empty() {
        command.push_str(&format!(" --data-raw {}", quoted(body)));
    }
    Some(command)
}

/// Quotes for a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

//! `becket verify`: is this request genuine, and if not, why.

use std::process::ExitCode;

use becket_signature::{
    Catalogue, Doctor, ExplanationWithSignatures, HandshakeAnswer, RequestView, Verdict,
};
use serde_json::{Value as Json, json};

use super::output::visible;
use super::request::{BodyArgs, CredentialArgs, credentials_of, entry_of, verifier_of};
use super::{CliError, Globals, Paint, now_s, print};

/// Arguments of `becket verify`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// Who sent it: a slug of `becket providers list`
    #[arg(long, value_name = "SLUG")]
    provider: String,
    #[command(flatten)]
    credentials: CredentialArgs,
    /// The request's method
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    method: String,
    /// The full URL that is registered at the provider, if the provider signs it
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A header of the request; give all that came
    #[arg(long, short = 'H', value_name = "NAME: VALUE", allow_hyphen_values = true)]
    header: Vec<String>,
    #[command(flatten)]
    body: BodyArgs,
    /// When it came [default: now]
    #[arg(long, value_name = "UNIX_SECONDS", allow_negative_numbers = true)]
    at: Option<i64>,
}

const EXAMPLES: &str = "\
Examples:
  becket verify --provider github --secret-env GITHUB_WEBHOOK_SECRET \\
      --header 'X-Hub-Signature-256: sha256=...' --body-file payload.json
  becket verify --provider twilio --secret $AUTH_TOKEN --url https://hooks.example.com/in/twilio \\
      --header 'Content-Type: application/x-www-form-urlencoded' \\
      --header 'X-Twilio-Signature: ...' --body-file form.txt
  becket verify --provider sendgrid --public-key @key.pem --at 1700000000 ...

Exit codes: 0 genuine, 1 refused, 2 wrong usage.";

/// Runs the command.
pub(super) fn run(args: &VerifyArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    let entry = entry_of(&args.provider, globals)?;
    let credentials = credentials_of(&entry, &args.credentials)?;
    let verifier = verifier_of(entry, &credentials, args.url.as_deref())?;
    let headers = headers_of(&args.header)?;
    let body = args.body.read()?;
    let method = args.method.to_ascii_uppercase();
    let request = RequestView {
        method: &method,
        url: args.url.as_deref().unwrap_or("https://localhost/"),
        headers: &headers,
        body: &body,
    };
    let at_s = args.at.unwrap_or_else(now_s);
    let doctor = Doctor::new(&verifier).catalogue(Catalogue::builtin());
    let explained = doctor.explain_with_signatures(&request, at_s);
    let explanation = &explained.explanation;
    let handshake = verifier.handshake(&request, at_s);
    let genuine = explanation.verdict.is_genuine();
    let text = if globals.json {
        let facts = serde_json::to_value(verifier.facts(&request));
        let facts = facts.map_err(|error| CliError::new(error.to_string()))?;
        format!("{:#}", report_json(&explained, &facts, handshake.as_ref())?)
    } else {
        report_text(&explained, handshake.as_ref(), Paint::for_stdout())
    };
    print(&text)?;
    Ok(if genuine { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn headers_of(lines: &[String]) -> Result<http::HeaderMap, CliError> {
    let mut headers = http::HeaderMap::new();
    for line in lines {
        let wrong = |what: &str| {
            let shown = line.split(':').next().unwrap_or(line).escape_debug().to_string();
            CliError::usage(format!("the header `{shown}` {what}"))
                .hint("write --header 'Name: value'")
        };
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("has no colon"))?;
        let name = http::HeaderName::from_bytes(name.trim().as_bytes())
            .map_err(|_| wrong("has no usable name"))?;
        let value = http::HeaderValue::from_bytes(value.trim().as_bytes())
            .map_err(|_| wrong("has a value that cannot be sent"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn report_json(
    explained: &ExplanationWithSignatures,
    facts: &Json,
    handshake: Option<&HandshakeAnswer>,
) -> Result<Json, CliError> {
    let explanation = &explained.explanation;
    let mut report = json!({
        "genuine": explanation.verdict.is_genuine(),
        "code": explanation.verdict.code(),
    });
    let more = serde_json::to_value(explained).map_err(|error| CliError::new(error.to_string()))?;
    if let (Json::Object(report), Json::Object(more), Json::Object(facts)) =
        (&mut report, more, facts.clone())
    {
        report.extend(more);
        report.extend(facts);
        let handshake =
            handshake.map(|answer| json!({ "name": answer.name, "status": answer.status }));
        report.insert("handshake".to_owned(), json!(handshake));
    }
    Ok(report)
}

fn report_text(
    explained: &ExplanationWithSignatures,
    handshake: Option<&HandshakeAnswer>,
    paint: Paint,
) -> String {
    let explanation = &explained.explanation;
    let mut report = Report { text: String::new(), paint };
    let heading = match &explanation.verdict {
        Verdict::Genuine(_) => paint.green("GENUINE"),
        Verdict::Refused(refusal) => paint.red(&format!("REFUSED: {refusal}")),
    };
    report.line(&heading);
    report.line(&explanation.sentence);
    report.line("");
    let scheme = explanation.scheme.as_ref().map(|scheme| format!(", scheme `{scheme}`"));
    report.field("provider", &format!("{}{}", explanation.provider, scheme.unwrap_or_default()));
    if let Some(signed) = &explanation.signed_text {
        let cut = if signed.cut { ", only the beginning is shown" } else { "" };
        let template = format!("{}  ({} bytes{cut})", signed.template, signed.length_bytes);
        report.field("signed text", &template);
        report.field("", &visible(&signed.text));
    }
    for (index, received) in explanation.signature_received.iter().enumerate() {
        report.field(if index == 0 { "received" } else { "" }, &visible(received));
    }
    let several = explained.signature_expected.len() > 1;
    for (index, expected) in explained.signature_expected.iter().enumerate() {
        let number = if several { format!("  (secret {})", index + 1) } else { String::new() };
        let label = if index == 0 { "expected" } else { "" };
        report.field(label, &format!("{}{number}", visible(expected)));
    }
    if let Some(time) = &explanation.timestamp {
        report.field("time", &time_text(time));
    }
    for (index, step) in explanation.steps.iter().enumerate() {
        let word = if step.ok { paint.green("ok") } else { paint.red("no") };
        let label = if index == 0 { "checked" } else { "" };
        report.field(label, &format!("{word}  {}: {}", step.name, visible(&step.detail)));
    }
    if let Some(cause) = &explanation.likely_cause
        && let Ok(Json::String(cause)) = serde_json::to_value(cause)
    {
        report.field("likely cause", &cause);
    }
    if let Some(answer) = handshake {
        let text = format!("`{}`: answered with {}, and no event", answer.name, answer.status);
        report.field("handshake", &text);
    }
    if let Some(hint) = &explanation.hint {
        report.line(&format!("hint: {hint}"));
    }
    report.text
}

fn time_text(time: &becket_signature::TimestampReport) -> String {
    let age = match time.age_s {
        Some(age) if age >= 0 => format!("{age} s old"),
        Some(age) => format!("{} s ahead", age.unsigned_abs()),
        None => "not a time".to_owned(),
    };
    let limit = |limit: Option<u64>| limit.map_or("any".to_owned(), |limit| format!("{limit} s"));
    format!(
        "{}: {age} at {} (may be {} old, {} ahead)",
        visible(&time.text),
        time.now_s,
        limit(time.max_age_s),
        limit(time.max_future_s)
    )
}

struct Report {
    text: String,
    paint: Paint,
}

impl Report {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A label and a text whose further lines are indented below its first.
    fn field(&mut self, label: &str, value: &str) {
        for (index, line) in value.lines().enumerate() {
            let label = format!("{:<14}", if index == 0 { label } else { "" });
            let label = self.paint.dim(&label);
            self.line(&format!("{label}{line}"));
        }
    }
}

//! `becket test`: sends recordings to a handler, freshly signed, and compares what it answers with what
//! each file expects.
//!
//! Invariants: exit codes are 0 all passed, 1 some failed, 2 wrong usage, 3 handler not reached; nothing
//! is sent before every file has been read and can be signed; a file is only changed by `--update`,
//! and then only in what it expects.
//!
//! Where next: `secrets` for what signs, `show` for what is printed, `becket_develop::test` for the rest.

mod secrets;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use becket_develop::record::{self, Recording};
use becket_develop::test::{
    self, Case, CaseResult, Clocks, Mismatch, Options, Outcome, Sending, json_body, junit,
};
use becket_egress::policy::AddressPolicy;
use becket_egress::{Egress, EgressConfig};
use becket_signature::standard_webhooks::SigningKey;

use super::record::FOLDER;
use super::{CliError, Globals, Paint, now_s, print};

/// The exit code when the handler is not there.
const NOT_REACHED: u8 = 3;
/// How much of an answer is compared.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Arguments of `becket test`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// The folder of the recordings, or one of them
    #[arg(value_name = "DIR", default_value = FOLDER)]
    folder: PathBuf,
    /// The handler's URL
    #[arg(long, value_name = "URL")]
    to: String,
    #[command(flatten)]
    secrets: secrets::SecretArgs,
    /// Also sign as a gateway signs its deliveries, with this endpoint's secret (`whsec_...`, or env:NAME)
    #[arg(long, value_name = "SECRET", help_heading = "Signing")]
    endpoint_secret: Option<String>,
    /// The URL that the handler believes to be called at, for providers that sign it [default: --to]
    #[arg(long, value_name = "URL", help_heading = "Signing")]
    public_url: Option<String>,
    /// Only recordings whose file or event type has this in it; `*` stands for anything
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Write what was answered into the files as what is expected; `body` also where none was expected
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true,
          default_missing_value = "status", value_parser = ["status", "body"])]
    update: Option<String>,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How many are sent at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    concurrency: u32,
    /// Stop at the first that fails
    #[arg(long)]
    bail: bool,
    /// Wait so long for the handler to come up: 30s, 2m
    #[arg(long, value_name = "TIME")]
    wait: Option<String>,
    /// How long an answer is waited for, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

const EXAMPLES: &str = "\
Examples:
  becket test --to http://localhost:3000/webhooks --secret-env WEBHOOK_SECRET
  becket test webhooks --to http://localhost:3000/hooks --secret github=env:GITHUB_SECRET \\
      --secret stripe=env:STRIPE_SECRET --wait 30s --junit results.xml
  becket test webhooks/github --filter 'push-*' --to http://localhost:3000/hooks --secret s3cret --update
  becket test --to http://localhost:3000/hooks --secret-env S --update=body

Exit codes: 0 all passed, 1 some failed, 2 wrong usage, 3 the handler was not reached.";

/// Runs the command.
pub(super) fn run(args: &TestArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    let recordings = recordings(args)?;
    let verifiers =
        secrets::verifiers(&args.secrets, &recordings, args.public_url.as_deref(), globals)?;
    let cases: Vec<Case> = recordings
        .into_iter()
        .map(|(file, recording)| {
            let verifier = Arc::clone(&verifiers[&recording.provider]);
            Case { file: file.display().to_string(), recording, verifier }
        })
        .collect();
    let sending = sending(args)?;
    let patience = args.wait.as_deref().map(duration).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("no runtime: {error}")))?;
    runtime.block_on(perform(args, globals, &cases, &sending, patience))
}

async fn perform(
    args: &TestArgs,
    globals: &Globals,
    cases: &[Case],
    sending: &Sending,
    patience: Option<Duration>,
) -> Result<ExitCode, CliError> {
    let egress = Egress::new(EgressConfig {
        response_limit_bytes: ANSWER_BYTES_MAX,
        ..EgressConfig::default()
    })
    .map_err(|error| CliError::new(error.to_string()))?;
    if let Err(error) = test::wait_for(&egress, sending, patience.unwrap_or_default()).await {
        let waited = patience
            .map_or_else(String::new, |patience| format!(" within {} s", patience.as_secs()));
        return Err(CliError::new(format!("the handler was not reached{waited}: {}", args.to))
            .hint(error.to_string())
            .hint("start it first, or give it time with --wait 30s")
            .with_code(NOT_REACHED));
    }
    let options = Options {
        concurrency: args.concurrency as usize,
        bail: args.bail,
        timeout_ms: args.timeout * 1_000,
    };
    let random = || {
        let mut bytes = [0; 16];
        // Ids need not be secret: without the system's randomness they are told apart by the clock.
        if getrandom::fill(&mut bytes).is_err() {
            bytes[..8].copy_from_slice(&now_s().to_be_bytes());
        }
        bytes
    };
    let clocks = Clocks { now_s: &now_s, random: &random };
    let paint = Paint::for_stdout();
    let width = cases.iter().map(|case| show::name(&case.file).chars().count()).max().unwrap_or(0);
    let started = tokio::time::Instant::now();
    let mut broken: Option<CliError> = None;
    let results = test::run(cases, &egress, sending, options, &clocks, |result| {
        if !globals.json && broken.is_none() {
            let lines = show::lines(result, width, args.update.is_none(), paint);
            broken = print(&lines).err();
        }
    })
    .await;
    if let Some(error) = broken {
        return Err(error);
    }
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let updated = match &args.update {
        Some(what) => update(&results, what == "body")?,
        None => Vec::new(),
    };
    if let Some(file) = &args.junit {
        let text =
            junit::document(&results, took_ms, |result| show::problems(result, Paint::plain()));
        std::fs::write(file, text).map_err(|error| {
            CliError::new(format!("{} cannot be written: {error}", file.display()))
        })?;
    }
    if globals.json {
        print(&format!("{:#}", show::as_json(&results, &updated, took_ms)))?;
    } else {
        print(&show::summary(&results, &updated, took_ms, paint))?;
    }
    Ok(exit_code(&results, &updated))
}

fn exit_code(results: &[CaseResult], updated: &[String]) -> ExitCode {
    let failed: Vec<&CaseResult> = results
        .iter()
        .filter(|result| !result.passed() && !updated.contains(&result.file))
        .collect();
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else if results.iter().all(CaseResult::not_reached) {
        ExitCode::from(NOT_REACHED)
    } else {
        ExitCode::FAILURE
    }
}

/// Reads every file that is asked for, in the order of their names.
fn recordings(args: &TestArgs) -> Result<Vec<(PathBuf, Recording)>, CliError> {
    let mut files = Vec::new();
    if args.folder.is_file() {
        files.push(args.folder.clone());
    } else {
        collect(&args.folder, &mut files)?;
    }
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| {
            CliError::usage(format!("{} cannot be read: {error}", file.display()))
        })?;
        let recording = Recording::parse(&text)
            .map_err(|error| CliError::usage(format!("{}: {error}", file.display())))?;
        if wanted(&args.filter, &file, recording.event_type.as_deref()) {
            found.push((file, recording));
        }
    }
    if found.is_empty() {
        let what = if args.filter.is_empty() { "no recordings" } else { "no such recordings" };
        return Err(CliError::usage(format!("there are {what} in {}", args.folder.display()))
            .hint("`becket record` makes them from what a gateway has received"));
    }
    Ok(found)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let failed = |error: std::io::Error| {
        CliError::usage(format!("{} cannot be read: {error}", folder.display()))
            .hint("`becket record` makes recordings from what a gateway has received")
    };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path);
        }
    }
    Ok(())
}

fn wanted(filters: &[String], file: &Path, event_type: Option<&str>) -> bool {
    let file = file.display().to_string();
    filters.is_empty()
        || filters.iter().any(|filter| {
            [file.as_str(), event_type.unwrap_or_default()].iter().any(|text| has(text, filter))
        })
}

/// Whether a text has the pattern in it; `*` stands for anything.
fn has(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    pattern.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

fn sending(args: &TestArgs) -> Result<Sending, CliError> {
    let policy = Arc::new(AddressPolicy::operator());
    let target = policy.check_url(&args.to).map_err(|refused| {
        CliError::usage(format!("--to: {refused}"))
            .hint("write it like http://localhost:3000/webhooks")
    })?;
    let endpoint_key = args
        .endpoint_secret
        .as_deref()
        .map(|given| {
            let text = secrets::value("--endpoint-secret", given)?;
            SigningKey::parse(&text)
                .map_err(|error| CliError::usage(format!("--endpoint-secret: {error}")))
        })
        .transpose()?;
    Ok(Sending {
        target: Arc::new(target),
        policy,
        signed_url: args.public_url.clone().unwrap_or_else(|| args.to.clone()),
        endpoint_key,
    })
}

/// `30s`, `2m`, or seconds.
fn duration(text: &str) -> Result<Duration, CliError> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        _ => (text, 1),
    };
    number.parse::<u64>().ok().filter(|number| *number <= 3_600).map_or_else(
        || Err(CliError::usage(format!("--wait: `{text}` is no time")).hint("write 30s or 2m")),
        |number| Ok(Duration::from_secs(number * unit)),
    )
}

/// Writes what was answered into the files as what is expected; gives the files that hold now.
fn update(results: &[CaseResult], with_body: bool) -> Result<Vec<String>, CliError> {
    let mut updated = Vec::new();
    for result in results {
        let Some(answer) = &result.answer else { continue };
        let found: &[Mismatch] = match &result.outcome {
            Outcome::Failed(found) => found,
            _ => &[],
        };
        let is = |wanted: fn(&Mismatch) -> bool| found.iter().any(wanted);
        let failed =
            |error: &dyn std::fmt::Display| CliError::new(format!("{}: {error}", result.file));
        let text = std::fs::read_to_string(&result.file).map_err(|error| failed(&error))?;
        let expect = Recording::parse(&text).map_err(|error| failed(&error))?.expect;
        let status = is(|one| matches!(one, Mismatch::Status { .. })).then_some(answer.status);
        let none_yet = expect.json.is_none() && expect.body.is_none();
        let new_body = with_body && none_yet && !answer.body.is_empty() && !answer.body_cut;
        let seen_text = std::str::from_utf8(&answer.body).ok();
        let json = (new_body || is(|one| matches!(one, Mismatch::Json(_))))
            .then(|| json_body(answer))
            .flatten();
        let body = ((new_body && json.is_none()) || is(|one| matches!(one, Mismatch::Body(_))))
            .then_some(seen_text)
            .flatten();
        if status.is_none() && json.is_none() && body.is_none() {
            continue;
        }
        let text = record::with_expectation(&text, status, json.as_deref(), body)
            .map_err(|error| failed(&error))?;
        std::fs::write(&result.file, &text).map_err(|error| failed(&error))?;
        let now = Recording::parse(&text).map_err(|error| failed(&error))?.expect;
        if test::compare(&now, answer).is_empty() {
            updated.push(result.file.clone());
        }
    }
    Ok(updated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_texts_with_stars() {
        for (text, pattern, fits) in [
            ("webhooks/github/push-1.toml", "push", true),
            ("webhooks/github/push-1.toml", "github/*-1", true),
            ("webhooks/github/push-1.toml", "push*github", false),
            ("invoice.paid", "invoice.*", true),
        ] {
            assert_eq!(has(text, pattern), fits, "{text} {pattern}");
        }
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert!(duration("soon").is_err());
    }
}

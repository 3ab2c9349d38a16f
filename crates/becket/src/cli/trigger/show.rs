//! What `becket trigger` prints: lists, the answer with its time, warnings, and sums over many requests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use becket_develop::trigger::{self, Judged, NewSecret, Prepared};
use becket_egress::AttemptOutcome;
use becket_signature::{Catalogue, Entry, Signed};
use serde_json::{Map, Value as Json, json};

use super::{Job, TriggerArgs, failed};
use crate::cli::output::visible;
use crate::cli::request::entry_of;
use crate::cli::sign::signed_json;
use crate::cli::{CliError, Globals, Paint, curl_command, print};

/// How much of a body is shown, in bytes.
const BODY_SHOWN: usize = 2 * 1024;
/// The exit code when nobody answered.
const NOT_REACHED: u8 = 3;

/// Prints a line or more of several.
fn printed(text: &str) -> Result<(), CliError> {
    print(text).map(drop)
}

/// A request that was sent, and what came back.
pub(super) struct Sent {
    pub request: Prepared,
    pub outcome: AttemptOutcome,
    pub judged: Judged,
}

/// Lists the events of a provider, or the providers that have a file of events.
pub(super) fn list(provider: Option<&str>, globals: &Globals) -> Result<ExitCode, CliError> {
    let Some(provider) = provider else { return providers(globals) };
    let entry = entry_of(provider, globals)?;
    let events = trigger::listed(&entry).map_err(failed)?;
    if globals.json {
        return print(&format!("{:#}", json!(events)));
    }
    let paint = Paint::for_stdout();
    let width = events.iter().map(|event| event.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for event in &events {
        let differs = event.event_type.as_deref().filter(|kind| *kind != event.name);
        let kind = differs.map(|kind| format!(" (event type {kind})")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}  {}{}",
            paint.bold(&format!("{:<width$}", event.name)),
            event.about,
            paint.dim(&kind)
        );
    }
    for rule in &entry.handshakes {
        let _ = writeln!(text, "{}  with --handshake: {}", " ".repeat(width), rule.name);
    }
    print(&text)
}

fn providers(globals: &Globals) -> Result<ExitCode, CliError> {
    let catalogue = Catalogue::builtin();
    let mut rows = Vec::new();
    for entry in trigger::names().filter_map(|slug| catalogue.get(slug)) {
        rows.push((
            entry.slug.clone(),
            entry.name.clone(),
            trigger::listed(&entry).map_err(failed)?.len(),
        ));
    }
    if globals.json {
        let rows: Vec<Json> = rows
            .iter()
            .map(|(slug, name, events)| json!({ "slug": slug, "name": name, "events": events }))
            .collect();
        return print(&format!("{:#}", json!(rows)));
    }
    let paint = Paint::for_stdout();
    let mut text = paint.bold(&format!("{:<18} {:>6}  NAME", "PROVIDER", "EVENTS"));
    for (slug, name, events) in &rows {
        let _ = write!(text, "\n{slug:<18} {events:>6}  {name}");
    }
    let _ = write!(
        text,
        "\n\n{} events of {} providers; the other {} providers of the catalogue have a small sample each.\n\
         `becket trigger --list PROVIDER` shows the events of one.",
        rows.iter().map(|(_, _, events)| events).sum::<usize>(),
        rows.len(),
        catalogue.slugs().count().saturating_sub(rows.len()),
    );
    print(&text)
}

/// Prints the events of all providers as the guide has them.
pub(super) fn reference() -> Result<ExitCode, CliError> {
    let catalogue = Catalogue::builtin();
    let mut text = String::new();
    for entry in trigger::names().filter_map(|slug| catalogue.get(slug)) {
        let events = trigger::listed(&entry).map_err(failed)?;
        let origins: std::collections::BTreeSet<&str> =
            events.iter().map(|event| event.origin.as_str()).collect();
        let origins: Vec<String> = origins.iter().map(|url| format!("<{url}>")).collect();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n### {}\n\n{}, after {}.\n\n| event | what happened |\n| --- | --- |\n",
            entry.slug,
            entry.name,
            origins.join(", ")
        );
        for event in &events {
            let _ = writeln!(text, "| `{}` | {} |", event.name, event.about);
        }
        let handshakes: Vec<String> =
            entry.handshakes.iter().map(|rule| format!("`{}`", rule.name)).collect();
        if !handshakes.is_empty() {
            let _ = write!(text, "\nWith `--handshake`: {}.\n", handshakes.join(", "));
        }
    }
    print(&text)
}

/// Prints a new secret and what to do with it.
pub(super) fn new_secret(
    entry: &Entry,
    made: &NewSecret,
    as_json: bool,
) -> Result<ExitCode, CliError> {
    if as_json {
        let report = json!({ "provider": entry.slug, "secret": made.secret, "public_keys": made.public_keys });
        return print(&format!("{report:#}"));
    }
    if made.public_keys.is_empty() {
        eprintln!("give it to the handler, and to `becket trigger {}` with --secret", entry.slug);
        return print(&made.secret);
    }
    eprintln!("give the private key with --private-key, and the handler the public one");
    printed(&format!("private key  {}", made.secret))?;
    for key in &made.public_keys {
        printed(&format!("public key   {key}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the request as a command for a shell, or as JSON.
pub(super) fn dry_run(job: &Job, request: &Prepared, as_json: bool) -> Result<ExitCode, CliError> {
    let signed = Signed {
        headers: request.headers.clone(),
        url: request.url.clone(),
        body: request.body.clone(),
    };
    if as_json {
        let mut report = signed_json(&request.method, &signed);
        report["provider"] = json!(job.target.entry.slug);
        report["event_type"] = json!(request.event_type);
        report["delivery_id"] = json!(request.delivery_id);
        report["verdict"] = json!(request.verdict);
        return print(&format!("{report:#}"));
    }
    let command = curl_command(&request.method, &signed).ok_or_else(|| {
        CliError::new("a body that is no text cannot be part of a command")
            .hint("--json shows it in base64")
    })?;
    print(&command)
}

/// What came back so far: printed at once if it is a single request or as JSON, summed up else.
pub(super) struct Report<'a> {
    job: &'a Job,
    args: &'a TriggerArgs,
    as_json: bool,
    paint: Paint,
    answers: BTreeMap<String, usize>,
    times_us: Vec<u64>,
    /// Sentences by code, with the number of requests that they are about.
    warnings: BTreeMap<&'static str, (String, usize)>,
    unreached: bool,
    failed: bool,
}

impl<'a> Report<'a> {
    pub fn new(job: &'a Job, args: &'a TriggerArgs, as_json: bool) -> Self {
        Self {
            job,
            args,
            as_json,
            paint: Paint::for_stdout(),
            answers: BTreeMap::new(),
            times_us: Vec::new(),
            warnings: BTreeMap::new(),
            unreached: false,
            failed: false,
        }
    }

    fn is_single(&self) -> bool {
        self.args.repeat == 1
    }

    /// Takes one result.
    pub fn take(&mut self, sent: &Sent) -> Result<(), CliError> {
        self.unreached |= !sent.judged.reached;
        self.failed |= !sent.judged.success;
        match (self.as_json, self.is_single()) {
            (true, true) => return printed(&format!("{:#}", result_json(self.job, sent))),
            (true, false) => return printed(&result_json(self.job, sent).to_string()),
            (false, true) => {
                printed(&result_text(self.job, sent, self.args.verbose, self.paint))?;
            }
            (false, false) => {
                let answer = match (sent.outcome.status, sent.outcome.error) {
                    (Some(status), _) => status.to_string(),
                    (None, error) => error.map_or("no answer", |error| error.code()).to_owned(),
                };
                *self.answers.entry(answer).or_default() += 1;
                self.times_us.push(sent.judged.took_us);
            }
        }
        for warning in &sent.judged.warnings {
            self.warnings.entry(warning.code).or_insert((warning.text.clone(), 0)).1 += 1;
        }
        Ok(())
    }

    /// Prints the sums and the warnings, and gives the exit code.
    pub fn finish(mut self, took: Duration) -> Result<ExitCode, CliError> {
        if !self.as_json && !self.is_single() {
            printed(&self.sums(took))?;
        }
        for (text, count) in self.warnings.values() {
            let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
            eprintln!("warning: {text}{times}");
        }
        Ok(match (self.unreached, self.failed) {
            (true, _) => ExitCode::from(NOT_REACHED),
            (false, true) => ExitCode::from(1),
            (false, false) => ExitCode::SUCCESS,
        })
    }

    /// Statuses and times over many requests.
    fn sums(&mut self, took: Duration) -> String {
        self.times_us.sort_unstable();
        let times = &self.times_us;
        let last = times.len().saturating_sub(1);
        let at = |percent: usize| {
            ms(times.get((times.len() * percent / 100).min(last)).copied().unwrap_or(0))
        };
        let seconds = took.as_secs_f64();
        let rate = times.len() as f64 / seconds.max(0.001);
        let answers: Vec<String> =
            self.answers.iter().map(|(answer, count)| format!("{count} x {answer}")).collect();
        format!(
            "{} requests in {seconds:.2} s, {} at a time: {rate:.0} a second\n\
             {}  {}\n{}  p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            times.len(),
            self.args.concurrency,
            self.paint.dim("answers"),
            answers.join(", "),
            self.paint.dim("times  "),
            at(50),
            at(90),
            at(99),
            at(100),
        )
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

fn result_text(job: &Job, sent: &Sent, verbose: bool, paint: Paint) -> String {
    let Sent { request, outcome, judged } = sent;
    let mut text = String::new();
    let what = request.event_type.as_deref().unwrap_or("request");
    let what = if job.handshake.is_some() { "handshake" } else { what };
    let url = request.url.split('?').next().unwrap_or_default();
    let id = request.delivery_id.as_deref().map(|id| format!("  id {id}")).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}",
        paint.dim(&format!("{} {what} -> {} {url}{id}", job.target.entry.name, request.method))
    );
    // Most challenges are not signed.
    let verdict = request.verdict.filter(|_| job.handshake.is_none());
    if let Some(verdict) = verdict.filter(|verdict| *verdict != "genuine") {
        let _ = writeln!(text, "{}", paint.dim(&format!("not genuine: {verdict}")));
    }
    if verbose {
        for (name, value) in &request.headers {
            let _ = writeln!(text, "> {name}: {}", visible(value));
        }
    }
    let took = format!("{:.1} ms", ms(judged.took_us));
    let Some(status) = outcome.status else {
        let error = outcome.error.map_or("no answer", |error| error.code());
        let _ = write!(text, "{} after {took}", paint.red(error));
        return text;
    };
    let reason = http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    let line = format!("{status} {}", reason.unwrap_or_default());
    let line = if judged.success { paint.green(line.trim()) } else { paint.red(line.trim()) };
    let _ = writeln!(text, "{line} in {took}");
    if verbose {
        for (name, value) in &outcome.headers {
            let _ = writeln!(text, "< {name}: {}", visible(&String::from_utf8_lossy(value)));
        }
    }
    let limit = if verbose { usize::MAX } else { BODY_SHOWN };
    let shown = &outcome.body[..outcome.body.len().min(limit)];
    text.push_str(visible(&String::from_utf8_lossy(shown)).trim_end());
    if shown.len() < outcome.body.len() || outcome.body_truncated {
        let _ = write!(text, "\n{}", paint.dim("... (the rest is cut)"));
    }
    text
}

fn result_json(job: &Job, sent: &Sent) -> Json {
    let Sent { request, outcome, judged } = sent;
    let headers: Map<String, Json> = outcome
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), json!(String::from_utf8_lossy(value))))
        .collect();
    let mut report = json!({
        "provider": job.target.entry.slug,
        "event": job.handshake.is_none().then(|| job.sample.name()),
        "event_type": request.event_type,
        "delivery_id": request.delivery_id,
        "verdict": request.verdict,
        "method": request.method,
        "url": request.url,
        "status": outcome.status,
        "error": outcome.error.map(|error| error.code()),
        "success": judged.success,
        "took_ms": ms(judged.took_us),
        "headers": headers,
        "warnings": judged.warnings,
    });
    match std::str::from_utf8(&outcome.body) {
        Ok(text) => report["body"] = json!(text),
        Err(_) => {
            let coded = base64::engine::general_purpose::STANDARD.encode(&outcome.body);
            report["body_base64"] = json!(coded);
        }
    }
    report
}

//! `becket trigger`: a request as a provider would send it, posted to a handler or to a gateway.
//!
//! Invariants: the exit code says what was answered: 0 for 2xx, 1 for anything else, 2 for wrong usage, 3 when
//! nobody answered. A secret is never made up behind the caller's back: the handler has to know it as well.
//!
//! Deliberately absent: how requests are made and judged, which is `becket_develop::trigger`.
//!
//! Where next: `target` for where a request goes and what signs it, `show` for what is printed.

mod show;
mod target;

use std::process::ExitCode;
use std::sync::Arc;

use becket_develop::trigger::{
    self, Challenge, Change, Order, Prepared, Sample, Sender, Tamper, TriggerError, judge,
};
use becket_signature::{Entry, HandshakeAnswer};
use tokio::task::{JoinSet, LocalSet};

use super::request::{CredentialArgs, entry_of};
use super::{CliError, ConnectionArgs, Globals, now_s};
use show::{Report, Sent};
use target::Target;

/// Arguments of `becket trigger`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct TriggerArgs {
    /// Who sends: a slug of `becket providers list`
    #[arg(value_name = "PROVIDER")]
    provider: Option<String>,
    /// What happened: a name of `becket trigger --list PROVIDER`
    #[arg(value_name = "EVENT")]
    event: Option<String>,
    /// List the events of a provider, or the providers that have some
    #[arg(long, conflicts_with_all = ["event", "to", "source"])]
    list: bool,
    /// Print the list of all events as it stands in docs/guides/trigger.md
    #[arg(long, hide = true)]
    reference: bool,
    /// Print a new secret that fits the provider, for the handler and for --secret
    #[arg(long, conflicts_with_all = ["event", "to", "source", "list"])]
    new_secret: bool,
    #[command(flatten)]
    target: target::TargetArgs,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    credentials: CredentialArgs,
    /// The private key, for providers that sign with one; @FILE reads it from a file
    #[arg(long, value_name = "KEY|@FILE", allow_hyphen_values = true)]
    private_key: Option<String>,
    /// Send it so many times, each with ids of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
    /// How many are under way at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    concurrency: u32,
    /// How long to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    wait: u64,
    /// Print a curl command instead of sending anything
    #[arg(long)]
    dry_run: bool,
    /// Show the request's and the answer's headers, and more of the body
    #[arg(long, short)]
    verbose: bool,
    /// Which gateway to ask about --source.
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// What the request is like.
#[derive(Debug, Clone, clap::Args)]
struct ShapeArgs {
    /// Write a value into the body, as in `data.items[0].price=7`: JSON if it reads as JSON, else a text
    #[arg(long, value_name = "PATH=VALUE", allow_hyphen_values = true, help_heading = "Shape")]
    set: Vec<String>,
    /// Append a value to a list of the body, or a field to a form
    #[arg(long, value_name = "PATH=VALUE", allow_hyphen_values = true, help_heading = "Shape")]
    add: Vec<String>,
    /// Take a value out of the body
    #[arg(long, value_name = "PATH", help_heading = "Shape")]
    remove: Vec<String>,
    /// Send a header, in place of another of the name
    #[arg(
        long,
        short = 'H',
        value_name = "NAME: VALUE",
        allow_hyphen_values = true,
        help_heading = "Shape"
    )]
    header: Vec<String>,
    /// Send this file's bytes instead of the sample's body; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "body", help_heading = "Shape")]
    body_file: Option<std::path::PathBuf>,
    /// Send this text instead of the sample's body
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Shape")]
    body: Option<String>,
    /// What kind of body that is [default: a form if it looks like one, else application/json]
    #[arg(long, value_name = "TYPE", help_heading = "Shape")]
    content_type: Option<String>,
    /// The delivery id; the same for every repeat [default: a fresh one each time]
    #[arg(long, value_name = "ID", allow_hyphen_values = true, help_heading = "Shape")]
    delivery_id: Option<String>,
    /// When it is sent [default: now]
    #[arg(
        long,
        value_name = "UNIX_SECONDS",
        allow_negative_numbers = true,
        help_heading = "Shape"
    )]
    at: Option<i64>,
    /// Make it wrong, so that a handler has to refuse it
    #[arg(
        long,
        value_name = "PART",
        value_enum,
        conflicts_with = "handshake",
        help_heading = "Shape"
    )]
    tamper: Option<TamperArg>,
    /// Send the provider's challenge, or the one of this name, and check the answer
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", help_heading = "Shape")]
    handshake: Option<String>,
}

/// What can be made wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TamperArg {
    /// The body is changed after it was signed
    Body,
    /// The signature is another one
    Signature,
    /// It was signed too long ago
    Timestamp,
}

const EXAMPLES: &str = "\
Examples:
  becket trigger --list github
  becket trigger github push --to http://localhost:3000/webhooks --secret s3cret
  becket trigger stripe checkout.session.completed --to http://localhost:3000/webhooks \\
      --secret-env STRIPE_WEBHOOK_SECRET --set data.object.amount_total=4200
  becket trigger twilio message.received --to http://localhost:3000/sms --secret $AUTH_TOKEN --set Body=Hello
  becket trigger github issues.opened --source github      To the gateway of becket.toml, with its secret
  becket trigger slack --handshake --to http://localhost:3000/slack --secret $SIGNING_SECRET
  becket trigger github push --to http://localhost:3000/webhooks --secret s3cret --tamper signature
  becket trigger github --new-secret

Exit codes: 0 answered with 2xx (and rightly, if it was a handshake), 1 answered otherwise, 2 wrong usage,
3 not reached.";

/// What is sent, once or many times.
struct Job {
    target: Target,
    sample: Sample,
    changes: Vec<Change>,
    headers: Vec<(String, String)>,
    delivery_id: Option<String>,
    tamper: Option<Tamper>,
    handshake: Option<String>,
    at_s: Option<i64>,
}

/// Runs the command.
pub(super) fn run(args: &TriggerArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    if args.reference {
        return show::reference();
    }
    if args.list {
        return show::list(args.provider.as_deref(), globals);
    }
    if args.new_secret {
        return new_secret(args.provider.as_deref(), globals);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("no runtime: {error}")))?;
    let job = Arc::new(runtime.block_on(job(args, globals))?);
    if args.dry_run {
        let (request, _) = job.make()?;
        return show::dry_run(&job, &request, globals.json);
    }
    let sender = Arc::new(Sender::new(args.wait.saturating_mul(1_000)).map_err(failed)?);
    let started = std::time::Instant::now();
    let mut report = Report::new(&job, args, globals.json);
    LocalSet::new().block_on(&runtime, send_all(&job, &sender, args, &mut report))?;
    report.finish(started.elapsed())
}

/// Puts together what is to be sent.
async fn job(args: &TriggerArgs, globals: &Globals) -> Result<Job, CliError> {
    let shape = &args.shape;
    let target = target::find(args, globals).await?;
    let body = shape.body()?;
    let sample = match (&shape.handshake, body, &args.event) {
        (Some(_), _, _) => {
            trigger::with_body(&target.entry, None, Vec::new(), "").map_err(failed)?
        }
        (None, Some(body), event) => {
            let kind = shape.content_type.clone().unwrap_or_else(|| kind_of(&body).to_owned());
            trigger::with_body(&target.entry, event.as_deref(), body, &kind).map_err(failed)?
        }
        (None, None, Some(event)) => sample_of(&target.entry, event)?,
        (None, None, None) => {
            let slug = target.entry.slug();
            return Err(CliError::usage("no event is given")
                .hint(format!("`becket trigger --list {slug}` shows those of {slug}")));
        }
    };
    let mut changes = Vec::new();
    for text in &shape.set {
        changes.push(Change::set(text).map_err(failed)?);
    }
    for text in &shape.add {
        changes.push(Change::add(text).map_err(failed)?);
    }
    for text in &shape.remove {
        changes.push(Change::remove(text).map_err(failed)?);
    }
    let headers = shape.header.iter().map(|line| header(line)).collect::<Result<_, _>>()?;
    Ok(Job {
        target,
        sample,
        changes,
        headers,
        delivery_id: shape.delivery_id.clone(),
        tamper: shape.tamper.map(|part| match part {
            TamperArg::Body => Tamper::Body,
            TamperArg::Signature => Tamper::Signature,
            TamperArg::Timestamp => Tamper::Timestamp,
        }),
        handshake: shape.handshake.clone(),
        at_s: shape.at,
    })
}

impl ShapeArgs {
    fn body(&self) -> Result<Option<Vec<u8>>, CliError> {
        if self.body.is_none() && self.body_file.is_none() {
            return Ok(None);
        }
        let args =
            super::request::BodyArgs { body_file: self.body_file.clone(), body: self.body.clone() };
        args.read().map(Some)
    }
}

/// A form looks like `name=value`, and JSON does not.
fn kind_of(body: &[u8]) -> &'static str {
    let text = body.trim_ascii_start();
    let is_form = !text.starts_with(b"{")
        && !text.starts_with(b"[")
        && text.split(|byte| *byte == b'&').all(|pair| pair.contains(&b'='))
        && !text.contains(&b'\n');
    if is_form && !text.is_empty() {
        "application/x-www-form-urlencoded"
    } else {
        "application/json"
    }
}

fn sample_of(entry: &Entry, event: &str) -> Result<Sample, CliError> {
    if let Some(sample) = trigger::sample(entry, event).map_err(failed)? {
        return Ok(sample);
    }
    let slug = entry.slug();
    let near = trigger::nearest(entry, event).map_err(failed)?;
    let mut error = CliError::usage(format!("there is no sample of `{event}` for {slug}"));
    if !near.is_empty() {
        error = error.hint(format!("did you mean {}?", near.join(" or ")));
    }
    Err(error
        .hint(format!("`becket trigger --list {slug}` shows all"))
        .hint("any other event can be sent with --body or --body-file"))
}

fn header(line: &str) -> Result<(String, String), CliError> {
    line.split_once(':')
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| {
            CliError::usage("a header without a colon").hint("write --header 'Name: value'")
        })
}

/// What cannot be made as it was asked for is wrong usage.
fn failed(error: TriggerError) -> CliError {
    let message = error.to_string();
    match error {
        TriggerError::Egress(_) | TriggerError::Sample { .. } => CliError::new(message),
        _ => CliError::usage(message),
    }
}

fn random() -> Result<[u8; 32], CliError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| CliError::new(format!("the system gives no random bytes: {error}")))?;
    Ok(bytes)
}

fn new_secret(provider: Option<&str>, globals: &Globals) -> Result<ExitCode, CliError> {
    let Some(provider) = provider else {
        return Err(CliError::usage("no provider is given")
            .hint("for example: becket trigger github --new-secret"));
    };
    let entry = entry_of(provider, globals)?;
    let made = trigger::new_secret(&entry, random()?).map_err(failed)?;
    show::new_secret(&entry, &made, globals.json)
}

impl Job {
    /// Makes one request, and the answer that is expected if it is a handshake.
    fn make(&self) -> Result<(Prepared, Option<HandshakeAnswer>), CliError> {
        let order = Order {
            verifier: &self.target.verifier,
            sample: &self.sample,
            changes: &self.changes,
            headers: &self.headers,
            delivery_id: self.delivery_id.as_deref(),
            url: &self.target.url,
            tamper: self.tamper,
            at_s: self.at_s.unwrap_or_else(now_s),
        };
        let seed = random()?;
        let Some(name) = &self.handshake else {
            return Ok((
                trigger::prepare(&order, seed).map_err(|error| self.target.failed(error))?,
                None,
            ));
        };
        let name = (!name.is_empty()).then_some(name.as_str());
        let Challenge { request, expected, .. } =
            trigger::challenge(&order, &self.target.named, name, seed)
                .map_err(|error| self.target.failed(error))?;
        Ok((request, Some(expected)))
    }
}

/// Sends as often as wanted, so many at a time, and hands each result on as it comes.
async fn send_all(
    job: &Arc<Job>,
    sender: &Arc<Sender>,
    args: &TriggerArgs,
    report: &mut Report<'_>,
) -> Result<(), CliError> {
    let width = usize::try_from(args.concurrency).unwrap_or(1);
    let mut running = JoinSet::new();
    for number in 0..args.repeat {
        if running.len() >= width {
            take(&mut running, report).await?;
        }
        let (request, expected) = job.make()?;
        let (job, sender) = (Arc::clone(job), Arc::clone(sender));
        running.spawn_local(async move {
            let outcome = sender.send(&request, u64::from(number)).await.map_err(failed)?;
            let judged =
                judge(&job.target.verifier, &request, &outcome, expected.as_ref(), job.tamper);
            Ok(Sent { request, outcome, judged })
        });
    }
    while !running.is_empty() {
        take(&mut running, report).await?;
    }
    Ok(())
}

async fn take(
    running: &mut JoinSet<Result<Sent, CliError>>,
    report: &mut Report<'_>,
) -> Result<(), CliError> {
    match running.join_next().await {
        Some(Ok(sent)) => report.take(&sent?),
        Some(Err(error)) => Err(CliError::new(error.to_string())),
        None => Ok(()),
    }
}

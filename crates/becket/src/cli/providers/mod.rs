//! `becket providers`: who can send, what each needs, and what proves that it is right.

mod reference;
mod test;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use becket_signature::{Catalogue, Entry, EntrySummary, Proof, Status, unsigned_body_warning};
use serde_json::json;

use super::request::entry_of;
use super::{CliError, Globals, Paint, env_map, print};
use crate::config::LoadArgs;

/// Arguments of `becket providers`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ProvidersArgs {
    #[command(subcommand)]
    command: ProvidersCommand,
}

const EXAMPLES: &str = "\
Examples:
  becket providers list
  becket providers list --json
  becket providers show stripe
  becket providers show hmac --toml      The entry itself, to start your own from
  becket providers test                  Run the vectors that prove them
  becket providers test stripe github";

#[derive(Debug, Clone, clap::Subcommand)]
enum ProvidersCommand {
    /// List all providers
    List,
    /// Show what a provider needs and how its signature works
    Show {
        /// The provider's slug
        slug: String,
        /// Print the catalogue entry as TOML
        #[arg(long, conflicts_with = "json")]
        toml: bool,
    },
    /// Run the vectors that prove the entries (exit code 1 if one gets another verdict)
    Test {
        /// Slugs; all of them when none is given
        slugs: Vec<String>,
    },
    /// Print the list of providers as Markdown, or write it and the set-up guides into a folder
    Reference {
        /// The folder, `docs` in this repository
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
}

/// Runs the command.
pub(super) fn run(args: &ProvidersArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    match &args.command {
        ProvidersCommand::List => list(globals),
        ProvidersCommand::Show { slug, toml } => show(slug, *toml, globals),
        ProvidersCommand::Test { slugs } => test::run(slugs, globals),
        ProvidersCommand::Reference { out } => reference::run(out.as_deref()),
    }
}

fn list(globals: &Globals) -> Result<ExitCode, CliError> {
    let mut summaries = Catalogue::builtin().list();
    let loaded =
        crate::config::load(LoadArgs::from_disk(globals.config.clone(), env_map(), Vec::new()));
    match loaded {
        Ok(loaded) => {
            for own in &loaded.config.providers {
                summaries.retain(|summary| summary.slug != own.0.slug);
                summaries.push(summary_of(&own.0));
            }
        }
        Err(_) => eprintln!(
            "warning: the configuration has errors, so that its own providers are missing here\n\
             hint: `becket config check` shows them"
        ),
    }
    summaries.sort_by(|a, b| a.slug.cmp(&b.slug));
    if globals.json {
        return print(&format!("{:#}", json!(summaries)));
    }
    let width = summaries.iter().map(|summary| summary.slug.len()).max().unwrap_or(0).max(4);
    let name_width = summaries.iter().map(|s| s.name.chars().count()).max().unwrap_or(0).max(4);
    let paint = Paint::for_stdout();
    let mut text = paint.bold(&format!("{:<width$}  {:<name_width$}  STATUS", "SLUG", "NAME"));
    for summary in &summaries {
        let _ = write!(
            text,
            "\n{:<width$}  {:<name_width$}  {}",
            summary.slug,
            summary.name,
            status_word(summary.status)
        );
    }
    print(&text)
}

fn summary_of(entry: &Entry) -> EntrySummary {
    EntrySummary {
        slug: entry.slug.clone(),
        name: entry.name.clone(),
        status: entry.status,
        proof: entry.proof,
    }
}

/// Whether an entry is proven, and by what.
fn proof_words(entry: &Entry) -> &'static str {
    match (entry.status, entry.proof) {
        (Status::Declared, _) => "declared",
        (Status::Proven, Some(Proof::Sdk)) => "proven by its SDK",
        (Status::Proven, Some(Proof::Document)) => "proven by its document",
        (Status::Proven, Some(Proof::Shared)) => "proven, shared scheme",
        (Status::Proven, None) => "proven",
    }
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Proven => "proven",
        Status::Declared => "declared",
    }
}

fn show(slug: &str, as_toml: bool, globals: &Globals) -> Result<ExitCode, CliError> {
    let entry = entry_of(slug, globals)?;
    if as_toml {
        return match Catalogue::builtin().text(slug) {
            Some(text) => print(text),
            None => Err(CliError::new(format!("`{slug}` is an entry of the configuration file"))),
        };
    }
    if globals.json {
        let value = serde_json::to_value(&*entry).map_err(|e| CliError::new(e.to_string()))?;
        return print(&format!("{value:#}"));
    }
    print(&describe(&entry, Paint::for_stdout()))
}

fn describe(entry: &Entry, paint: Paint) -> String {
    let mut text = format!("{} ({})\n", paint.bold(entry.name()), entry.slug());
    let mut field = |label: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}{value}", paint.dim(&format!("{label:<14}")));
        }
    };
    field("status", proof_words(entry));
    field("from", entry.source());
    field("documents", entry.docs_url.as_deref().unwrap_or(""));
    let schemes: Vec<String> = entry
        .schemes
        .iter()
        .map(|scheme| format!("{} ({})", scheme.label(), scheme.class.name()))
        .collect();
    field("signature", &schemes.join(", "));
    field("sends again", &entry.retries);
    field("corrects", entry.corrects.as_deref().unwrap_or(""));
    let waits = entry.timeout_ms.map(|timeout_ms| format!("{} s", timeout_ms as f64 / 1000.0));
    field("waits", waits.as_deref().unwrap_or(""));
    field("beware", unsigned_body_warning(entry).unwrap_or(""));
    if !entry.credentials().is_empty() {
        let _ = writeln!(text, "\n{}", paint.bold("What you must give"));
    }
    for spec in entry.credentials() {
        let kind = match spec.kind {
            becket_signature::CredentialKind::Secret => "--secret".to_owned(),
            becket_signature::CredentialKind::PublicKey => "--public-key".to_owned(),
            becket_signature::CredentialKind::Named => format!("--credential {}=...", spec.name),
        };
        let optional = if spec.optional { " (optional)" } else { "" };
        let _ = writeln!(text, "  {kind:<28}  {}{optional}", spec.label);
    }
    if !entry.parameters.is_empty() {
        let _ =
            writeln!(text, "\n{}", paint.bold("Parameters (params = { ... }, or --credential)"));
    }
    for (name, spec) in &entry.parameters {
        let _ = writeln!(text, "  {name:<18}  {}", spec.label);
    }
    if !entry.guide().is_empty() {
        let _ = writeln!(text, "\n{}\n{}", paint.bold("Guide"), entry.guide().trim());
    }
    text
}

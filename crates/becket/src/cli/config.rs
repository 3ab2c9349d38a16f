//! `becket config`: what is configured, whether it is right, and what could be.

use std::fmt::Write as _;
use std::process::ExitCode;

use becket_transform::{Pool, PoolConfig};
use serde_json::{Value as Json, json};

use super::{CliError, Globals, Paint, ServeArgs, print};
use crate::config::{
    Config, Problem, Setting, Severity, check_pages, check_programs, reference_markdown,
    schema_text,
};

/// Arguments of `becket config`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

const EXAMPLES: &str = "\
Examples:
  becket config check                          Everything that is wrong with becket.toml
  becket config check --config new.toml --json
  becket config show                           What holds, and where it comes from
  becket config schema > config.schema.json    For editors";

#[derive(Debug, Clone, clap::Subcommand)]
enum ConfigCommand {
    /// Report everything that is wrong, all at once (exit code 1 if there are errors)
    Check,
    /// Print every effective setting and where it comes from, without secrets
    Show,
    /// Print the JSON Schema of the file
    Schema,
    /// Print the reference of all settings as Markdown
    Reference,
}

/// Runs the command.
pub(super) fn run(args: &ConfigArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    match args.command {
        ConfigCommand::Check => check(globals),
        ConfigCommand::Show => show(globals),
        ConfigCommand::Schema => print(&schema_text()),
        ConfigCommand::Reference => print(&reference_markdown()),
    }
}

fn check(globals: &Globals) -> Result<ExitCode, CliError> {
    let (file, problems) = match ServeArgs::default().load(globals) {
        Ok(loaded) => {
            let mut problems = loaded.warnings;
            problems.extend(code_problems(&loaded.config)?);
            problems.extend(check_pages(&loaded.config));
            (loaded.file, problems)
        }
        Err(errors) => (errors.file, errors.problems),
    };
    let of = |severity: Severity| -> Vec<&Problem> {
        problems.iter().filter(|problem| problem.severity == severity).collect()
    };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let code = if errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) };
    if globals.json {
        let report = json!({
            "ok": errors.is_empty(),
            "file": file,
            "errors": errors,
            "warnings": warnings,
        });
        print(&format!("{report:#}"))?;
        return Ok(code);
    }
    let mut text = String::new();
    for problem in &problems {
        // Writing to a String cannot fail.
        let _ = write!(text, "{problem}\n\n");
    }
    let name = file.map_or("the defaults".to_owned(), |file| file.display().to_string());
    let paint = Paint::for_stdout();
    let verdict = if errors.is_empty() { paint.green("ok") } else { paint.red("cannot be used") };
    let _ = write!(
        text,
        "{name}: {verdict} ({}, {})",
        counted(errors.len(), "error"),
        counted(warnings.len(), "warning")
    );
    print(&text)?;
    Ok(code)
}

/// What is wrong with the code of transformations, found by loading it.
fn code_problems(config: &Config) -> Result<Vec<Problem>, CliError> {
    let mut endpoints = config.sources.iter().flat_map(|source| &source.endpoints);
    if endpoints.all(|endpoint| endpoint.transform.is_none()) {
        return Ok(Vec::new());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("the code cannot be checked: {error}")))?;
    let pool = Pool::new(PoolConfig::default());
    Ok(runtime.block_on(check_programs(config, &pool)))
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

fn show(globals: &Globals) -> Result<ExitCode, CliError> {
    let loaded = ServeArgs::default().load(globals).map_err(|errors| {
        CliError::new(format!("the configuration has {}", counted(errors.error_count(), "error")))
            .hint("`becket config check` shows them")
    })?;
    let settings = loaded.config.settings(&loaded.origins);
    if globals.json {
        let all: Vec<Json> = settings
            .iter()
            .map(|setting| {
                json!({
                    "key": setting.key,
                    "value": setting.value,
                    "origin": setting.origin.to_string(),
                })
            })
            .collect();
        return print(&format!("{:#}", Json::Array(all)));
    }
    print(&table(&settings, Paint::for_stdout()))
}

fn table(settings: &[Setting], paint: Paint) -> String {
    let set: Vec<&Setting> = settings.iter().filter(|setting| !setting.value.is_null()).collect();
    let width = set.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    let mut text = String::new();
    for setting in set {
        let origin = paint.dim(&format!("# {}", setting.origin));
        let _ = writeln!(text, "{:<width$} = {}  {origin}", setting.key, setting.value);
    }
    text
}

//! `becket import`: the configuration of adnanh/webhook as `becket.toml`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use becket_exec::import::{ImportError, ImportOptions, Imported, import};
use serde_json::json;

use super::{CliError, Globals, print};

/// Arguments of `becket import`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// The file of adnanh/webhook: hooks.json or hooks.yaml
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write the configuration into this new file instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write secrets into the configuration instead of references to variables
    #[arg(long)]
    with_secrets: bool,
}

const EXAMPLES: &str = "\
Examples:
  becket import hooks.json                     Print the configuration
  becket import hooks.yaml --out becket.toml   Write it; `becket config check` checks it

What could not be carried over is said on standard error. Exit code 1: at least one hook was left out.";

/// Runs the command.
pub(super) fn run(args: &ImportArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    let name = args.file.display();
    let text = std::fs::read_to_string(&args.file)
        .map_err(|error| CliError::new(format!("{name} cannot be read: {error}")))?;
    let options = ImportOptions { with_secrets: args.with_secrets };
    let imported = import(&text, options, &|variable| std::env::var(variable).ok())
        .map_err(|error| refused(&error, &name.to_string()))?;
    if let Some(out) = &args.out {
        write_new(out, &imported.toml)?;
    }
    if globals.json {
        print(&format!("{:#}", report(&imported, args.out.is_none())))?;
    } else {
        if args.out.is_none() {
            print(&imported.toml)?;
        }
        eprint!("{}", told(&imported, args));
    }
    Ok(if imported.left_out.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn refused(error: &ImportError, name: &str) -> CliError {
    CliError::new(format!("{name}: {error}"))
        .hint("it takes the hooks.json or hooks.yaml that webhook was started with")
}

/// Never over a file that is there; secrets may be in it, so it is for its owner.
fn write_new(path: &std::path::Path, text: &str) -> Result<(), CliError> {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let name = path.display();
    made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        let error = CliError::new(format!("{name} cannot be written: {error}"));
        if path.exists() { error.hint("name a file that does not exist yet") } else { error }
    })
}

fn report(imported: &Imported, with_text: bool) -> serde_json::Value {
    let left_out = imported.left_out.iter();
    let secrets = imported.secrets.iter();
    json!({
        "toml": with_text.then_some(&imported.toml),
        "carried": imported.carried.iter()
            .map(|(hook, source)| json!({ "hook": hook, "source": source })).collect::<Vec<_>>(),
        "leftOut": left_out.map(|(hook, reasons)| json!({ "hook": hook, "reasons": reasons }))
            .collect::<Vec<_>>(),
        "notes": imported.notes.iter()
            .map(|(hook, note)| json!({ "hook": hook, "note": note })).collect::<Vec<_>>(),
        "secrets": secrets.map(|secret| json!({
            "variable": secret.variable, "hook": secret.hook, "what": secret.what,
        })).collect::<Vec<_>>(),
    })
}

/// What somebody has to know, item by item.
fn told(imported: &Imported, args: &ImportArgs) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} of {} hooks carried over{}",
        imported.carried.len(),
        imported.carried.len() + imported.left_out.len(),
        args.out.as_ref().map(|out| format!(" into {}", out.display())).unwrap_or_default(),
    );
    for (hook, source) in &imported.carried {
        let _ = writeln!(text, "  {hook}: /hooks/{hook} is now /in/{source}");
    }
    for (hook, reasons) in &imported.left_out {
        let _ = writeln!(text, "\nleft out: {hook}");
        for reason in reasons {
            let _ = writeln!(text, "  - {reason}");
        }
    }
    let mut last = "";
    for (hook, note) in &imported.notes {
        if hook != last {
            let _ = writeln!(text, "\ndifferent from before: {hook}");
            last = hook;
        }
        let _ = writeln!(text, "  - {note}");
    }
    if !imported.secrets.is_empty() {
        let _ = writeln!(text, "\nto be set before the gateway starts:");
        for secret in &imported.secrets {
            let _ = writeln!(
                text,
                "  {}: {} of the hook {}",
                secret.variable, secret.what, secret.hook
            );
        }
    }
    if !imported.carried.is_empty() {
        text.push_str(
            "\nof every hook: commands run one at a time for each hook, with a limit of time, an \
             environment of their own (PATH, HOME, LANG, TZ and what `env` sets) and, if the hook \
             names none, in the folder /; the payload is on standard input; the sender is answered \
             before the command runs\n",
        );
    }
    text
}

//! `becket doctor`: looks at the whole set-up, and says what is wrong and what to do.
//!
//! Invariants: it changes nothing and sends no event; exit codes are 0 nothing is wrong, 1 problems,
//! 2 wrong usage, 3 the gateway was not reached (what can be looked at without it still is).
//!
//! Deliberately absent: judging, which is `becket_develop::doctor`; here facts are collected.
//!
//! Where next: `local` for this machine, `gateway` for what the gateway tells, `reach` for the network.

mod gateway;
mod local;
mod reach;

use std::process::ExitCode;

use becket_develop::doctor::{Finding, Level, counted};
use serde_json::json;

use super::{CliError, ConnectionArgs, Globals, Paint, ServeArgs, env_map, print};
use crate::config::{Config, Loaded};

/// The exit code when the gateway was not reached.
const NOT_REACHED: u8 = 3;

/// Arguments of `becket doctor`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Look only at this machine: ask no gateway, connect to nothing
    #[arg(long)]
    offline: bool,
    /// Leave a check out, by its name (several: comma, or give it again)
    #[arg(long, value_name = "CHECK", value_delimiter = ',', value_parser = CHECKS)]
    skip: Vec<String>,
    /// How long each connection may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

const EXAMPLES: &str = "\
Examples:
  becket doctor
  becket doctor --config /etc/becket/becket.toml
  becket doctor --offline --skip file_system
  becket doctor --json | jq -r '.findings[] | select(.level == \"problem\") | .says'

Run it on the gateway's machine, as the gateway's user. Nothing is changed and no event is sent.
Exit codes: 0 nothing is wrong, 1 problems, 2 wrong usage, 3 the gateway was not reached.";

/// Every check, in the order in which they are shown.
const CHECKS: [&str; 21] = [
    "configuration",
    "data_folder",
    "master_key",
    "disk_space",
    "file_system",
    "open_files",
    "clock",
    "exposure",
    "proxy",
    "gateway",
    "version",
    "public_url",
    "this_gateway",
    "tls",
    "sources",
    "acknowledgement",
    "endpoints",
    "deliveries",
    "backlog",
    "quarantine",
    "network",
];

/// The groups in which checks are shown.
const GROUPS: [(&str, usize); 4] =
    [("This machine", 7), ("The way in", 14), ("Receiving", 16), ("Delivering", CHECKS.len())];

/// What checks work with.
struct Facts {
    loaded: Option<Loaded>,
    config: Config,
    findings: Vec<Finding>,
    reached: bool,
}

impl Facts {
    fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn add_all(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
    }
}

/// Runs the command.
pub(super) fn run(args: &DoctorArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("no runtime: {error}")))?;
    let mut facts = Facts {
        loaded: None,
        config: Config::default(),
        findings: Vec::new(),
        reached: args.offline,
    };
    match ServeArgs::default().load(globals) {
        Ok(loaded) => {
            local::configuration(&mut facts, &loaded);
            facts.config = loaded.config.clone();
            facts.loaded = Some(loaded);
        }
        Err(errors) => local::broken_configuration(&mut facts, &errors),
    }
    runtime.block_on(async {
        let online =
            if args.offline { None } else { gateway::ask(&mut facts, args, globals).await };
        local::machine(&mut facts, online.as_ref());
        let readings = match &online {
            Some(online) => reach::public(&mut facts, args, online).await,
            None => Vec::new(),
        };
        local::clock(&mut facts, &readings);
        if let Some(online) = &online {
            gateway::judge(&mut facts, online);
            reach::endpoints(&mut facts, args, online).await;
        }
    });
    report(args, globals, facts)
}

fn report(args: &DoctorArgs, globals: &Globals, facts: Facts) -> Result<ExitCode, CliError> {
    let place = |finding: &Finding| CHECKS.iter().position(|check| *check == finding.check);
    let mut findings: Vec<Finding> = facts
        .findings
        .into_iter()
        .filter(|finding| !args.skip.iter().any(|skipped| skipped == finding.check))
        .collect();
    // What a check found stays in its order: the whole first, then what is wrong with it.
    findings.sort_by_key(place);
    let problems = findings.iter().any(|finding| finding.level == Level::Problem);
    let code = match (facts.reached, problems) {
        (false, _) => NOT_REACHED,
        (true, true) => 1,
        (true, false) => 0,
    };
    if globals.json {
        let report = json!({
            "ok": code == 0,
            "reached": facts.reached,
            "version": env!("CARGO_PKG_VERSION"),
            "findings": findings,
        });
        print(&format!("{report:#}"))?;
    } else {
        print(&shown(&findings, Paint::for_stdout()))?;
    }
    Ok(ExitCode::from(code))
}

/// Everything under its heading: a sign, the check, what was found, and below it what to do.
fn shown(findings: &[Finding], paint: Paint) -> String {
    let width = findings.iter().map(|finding| label(finding).len()).max().unwrap_or(0);
    let columns = columns();
    let mut text = String::new();
    let mut first = 0;
    for (heading, end) in GROUPS {
        let here: Vec<&Finding> = findings
            .iter()
            .filter(|finding| {
                let place = CHECKS.iter().position(|check| *check == finding.check);
                place.is_some_and(|place| (first..end).contains(&place))
            })
            .collect();
        first = end;
        if here.is_empty() {
            continue;
        }
        text.push_str(&format!("{}\n", paint.bold(heading)));
        let mut before = "";
        for finding in here {
            // A check that found several things is named once.
            let named = if finding.check == before { String::new() } else { label(finding) };
            before = finding.check;
            let indent = width + 6;
            let says = folded(&finding.says, columns, indent);
            let says = if finding.level == Level::Skipped { paint.dim(&says) } else { says };
            text.push_str(&format!("  {} {named:<width$}  {says}\n", sign(finding.level, paint)));
            for advice in &finding.advice {
                let advice = folded(advice, columns, indent + 2);
                text.push_str(&format!(
                    "{}{}\n",
                    " ".repeat(indent),
                    paint.dim(&format!("→ {advice}"))
                ));
            }
        }
        text.push('\n');
    }
    text.push_str(&verdict(findings, paint));
    text
}

fn label(finding: &Finding) -> String {
    finding.check.replace('_', " ")
}

fn sign(level: Level, paint: Paint) -> String {
    match level {
        Level::Fine => paint.green("✓"),
        Level::Note => paint.dim("·"),
        Level::Skipped => paint.dim("-"),
        Level::Warning => paint.bold("!"),
        Level::Problem => paint.red("✗"),
    }
}

fn verdict(findings: &[Finding], paint: Paint) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count() as u64;
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    let mut parts = Vec::new();
    if problems > 0 {
        parts.push(paint.red(&counted(problems, "problem")));
    }
    if warnings > 0 {
        parts.push(paint.bold(&counted(warnings, "warning")));
    }
    if parts.is_empty() {
        return paint.green("Everything that was looked at is fine.");
    }
    parts.push(paint.dim(&format!("{} fine", count(Level::Fine))));
    parts.join(", ")
}

/// How wide the terminal is, or a page where there is none.
fn columns() -> usize {
    use std::io::IsTerminal as _;

    let given = env_map().get("COLUMNS").and_then(|text| text.parse().ok());
    let asked = || {
        let seen = std::io::stdout().is_terminal();
        let size = seen.then(ratatui::crossterm::terminal::size)?.ok()?;
        Some(usize::from(size.0)).filter(|columns| *columns > 0)
    };
    given.or_else(asked).unwrap_or(100).clamp(60, 120)
}

/// Breaks a text at spaces; further lines stand below the first.
fn folded(text: &str, columns: usize, indent: usize) -> String {
    let room = columns.saturating_sub(indent).max(30);
    let mut out = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_grouped_and_folded() {
        let findings = [
            Finding::fine("configuration", "fine"),
            Finding::problem("clock", "x ".repeat(60).trim()).advise("do this"),
            Finding::warning("endpoints", "a"),
            Finding::warning("endpoints", "b"),
        ];
        let text = shown(&findings, Paint::plain());
        assert!(text.starts_with("This machine\n  ✓ configuration  fine\n  ✗ clock"), "{text}");
        assert!(text.contains("→ do this\n"), "{text}");
        assert_eq!(text.matches("endpoints").count(), 1, "{text}");
        assert!(text.ends_with("1 problem, 2 warnings, 1 fine"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }
}

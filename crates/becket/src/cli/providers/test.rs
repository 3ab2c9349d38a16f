//! `becket providers test`: the vectors that prove the entries, run by this very binary.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use becket_signature::vectors::{Expect, Vector};
use becket_signature::{Catalogue, Entry};
use serde::Serialize;
use serde_json::json;

use super::super::{CliError, Globals, Paint, print};
use super::proof_words;

/// The vectors of this build by file name, which is a provider's slug or a name of no provider.
static VECTORS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/vectors.rs"));

/// What the vectors of one entry said.
#[derive(Debug, Serialize)]
struct Outcome {
    slug: String,
    proof: &'static str,
    genuine: usize,
    refused: usize,
    failures: Vec<String>,
}

/// Runs the vectors of these providers, or all of them. Exit code 1 when one of them gets another verdict.
pub(super) fn run(slugs: &[String], globals: &Globals) -> Result<ExitCode, CliError> {
    let catalogue = Catalogue::builtin();
    for slug in slugs {
        if catalogue.get(slug).is_none() {
            return Err(CliError::usage(format!("there is no provider `{slug}`"))
                .hint("`becket providers list` shows them all; own entries have no vectors here"));
        }
    }
    let vectors: BTreeMap<&str, &str> = VECTORS.iter().copied().collect();
    let mut outcomes = Vec::new();
    for slug in catalogue.slugs() {
        if !slugs.is_empty() && !slugs.iter().any(|wanted| wanted == slug) {
            continue;
        }
        if let Some(entry) = catalogue.get(slug) {
            outcomes.push(judge(&entry, vectors.get(slug).copied())?);
        }
    }
    let failed = outcomes.iter().any(|outcome| !outcome.failures.is_empty());
    let text = if globals.json {
        format!("{:#}", json!(outcomes))
    } else {
        report(&outcomes, Paint::for_stdout())
    };
    print(&text)?;
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn judge(entry: &Arc<Entry>, text: Option<&str>) -> Result<Outcome, CliError> {
    let list: Vec<Vector> = serde_json::from_str(text.unwrap_or("[]"))
        .map_err(|error| CliError::new(format!("the vectors of `{}`: {error}", entry.slug)))?;
    let mut outcome = Outcome {
        slug: entry.slug.clone(),
        proof: proof_words(entry),
        genuine: 0,
        refused: 0,
        failures: Vec::new(),
    };
    for vector in &list {
        match vector.run(entry) {
            Err(problem) => outcome.failures.push(format!("{}: {problem}", vector.name)),
            Ok(()) if vector.expect == Expect::Genuine => outcome.genuine += 1,
            Ok(()) => outcome.refused += 1,
        }
    }
    Ok(outcome)
}

fn report(outcomes: &[Outcome], paint: Paint) -> String {
    let width = outcomes.iter().map(|outcome| outcome.slug.len()).max().unwrap_or(0).max(8);
    let heading = format!("{:<width$}  GENUINE  REFUSED  PROOF", "PROVIDER");
    let mut text = paint.bold(&heading);
    for outcome in outcomes {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n{:<width$}  {:>7}  {:>7}  {}",
            outcome.slug, outcome.genuine, outcome.refused, outcome.proof
        );
        for failure in &outcome.failures {
            let _ = write!(text, "\n  {} {failure}", paint.red("FAILED"));
        }
    }
    let sum = |count: fn(&Outcome) -> usize| outcomes.iter().map(count).sum::<usize>();
    let declared = outcomes.iter().filter(|outcome| outcome.proof == "declared").count();
    let _ = write!(
        text,
        "\n\n{} providers: {} proven, {declared} declared. {} vectors right, {} wrong.",
        outcomes.len(),
        outcomes.len() - declared,
        sum(|outcome| outcome.genuine + outcome.refused),
        sum(|outcome| outcome.failures.len()),
    );
    text
}

//! How results look: a line for each, what was wrong below it, and a sum at the end.

use std::fmt::Write as _;

use becket_develop::test::{CaseResult, DiffLine, Mismatch, Outcome, Side};
use serde_json::{Value, json};

use crate::cli::Paint;
use crate::cli::output::visible;

/// Beyond this, a difference is a flood.
const DIFF_LINES_MAX: usize = 60;
const LABEL_WIDTH: usize = 9;

/// What a recording is called: its file without folder prefix and ending.
pub(super) fn name(file: &str) -> &str {
    file.strip_suffix(".toml").unwrap_or(file)
}

/// A result with everything that was wrong.
pub(super) fn lines(result: &CaseResult, width: usize, explain: bool, paint: Paint) -> String {
    let sign = match result.outcome {
        Outcome::Passed => paint.green("✓"),
        Outcome::NotRun => paint.dim("-"),
        _ => paint.red("✗"),
    };
    let took = match result.outcome {
        Outcome::Passed | Outcome::Failed(_) => format!("{} ms", result.took_ms),
        _ => String::new(),
    };
    let name = visible(name(&result.file));
    let mut text = format!("{sign} {name:<width$}  {}", paint.dim(&format!("{took:>9}")));
    text.truncate(text.trim_end().len());
    let problems = problems(result, paint);
    if !problems.is_empty() {
        for line in problems.lines() {
            let _ = write!(text, "\n    {line}");
        }
        if explain && !result.redacted.is_empty() {
            let _ = write!(text, "\n{}", indented(&redaction(result, paint)));
        }
        text.push('\n');
    }
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Handlers that look up a person or a token do not find a pseudonym.
fn redaction(result: &CaseResult, paint: Paint) -> String {
    let places: Vec<&str> = result.redacted.iter().map(|place| bare(place)).collect();
    let shown = places.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    let more = places.len().saturating_sub(3);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let label = paint.dim(&format!("{:<LABEL_WIDTH$}", "note"));
    let space = " ".repeat(LABEL_WIDTH);
    format!(
        "{label}not as it was received: {}{more}\n{space}{}",
        visible(&shown),
        paint.dim("if the handler looks these up: becket record --force --keep PATH"),
    )
}

/// `body: a.b (e-mail)` without its kind.
fn bare(place: &str) -> &str {
    let place = place.split_once(": ").map_or(place, |(_, rest)| rest);
    place.rsplit_once(" (").map_or(place, |(place, _)| place)
}

/// Everything that was wrong with a case; empty if nothing was.
pub(super) fn problems(result: &CaseResult, paint: Paint) -> String {
    let mut out = String::new();
    match &result.outcome {
        Outcome::Passed | Outcome::NotRun => {}
        Outcome::NoAnswer(error) => field(&mut out, "answer", &format!("none: {error}"), paint),
        Outcome::Unusable(problem) => field(&mut out, "not sent", problem, paint),
        Outcome::Failed(found) => {
            for mismatch in found {
                tell(&mut out, mismatch, paint);
            }
            let silent = !found.iter().any(|one| matches!(one, Mismatch::Body(_)));
            let wrong_status = found.iter().any(|one| matches!(one, Mismatch::Status { .. }));
            if let Some(answer) = result.answer.as_ref().filter(|_| silent && wrong_status) {
                let text = String::from_utf8_lossy(&answer.body);
                let beginning: String = text.trim().chars().take(300).collect();
                if !beginning.is_empty() {
                    field(&mut out, "answered", &beginning, paint);
                }
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn tell(out: &mut String, mismatch: &Mismatch, paint: Paint) {
    match mismatch {
        Mismatch::Status { expected, seen } => {
            let text = format!("{}, expected {expected}", paint.red(&seen.to_string()));
            field(out, "status", &text, paint);
        }
        Mismatch::Slow { max_ms, took_ms } => {
            let text = format!("{}, at most {max_ms} ms", paint.red(&format!("{took_ms} ms")));
            field(out, "time", &text, paint);
        }
        Mismatch::Header { name, expected, seen } => {
            let seen = seen.as_deref().map_or("none".to_owned(), visible);
            field(out, "header", &format!("{name}: {seen}, expected {expected}"), paint);
        }
        Mismatch::Body(lines) => {
            field(out, "body", "not as expected", paint);
            difference(out, lines, paint);
        }
        Mismatch::Json(differences) => {
            field(out, "json", "not as expected", paint);
            for one in differences.iter().take(DIFF_LINES_MAX) {
                let minus = paint.red(&format!("- {}: {}", one.path, visible(&one.expected)));
                let seen = one.seen.as_deref().map_or("nothing".to_owned(), visible);
                let plus = paint.green(&format!("+ {}: {seen}", one.path));
                let _ = writeln!(out, "  {minus}\n  {plus}");
            }
            if differences.len() > DIFF_LINES_MAX {
                let _ = writeln!(out, "  … and {} more", differences.len() - DIFF_LINES_MAX);
            }
        }
        Mismatch::NotJson(error) => {
            field(out, "json", &format!("the body is none: {error}"), paint)
        }
        Mismatch::Lacks(text) => field(out, "body", &format!("does not contain {text:?}"), paint),
        Mismatch::TooLong => field(out, "body", "is too long to be compared (4 MiB)", paint),
    }
}

fn difference(out: &mut String, lines: &[DiffLine], paint: Paint) {
    for line in lines.iter().take(DIFF_LINES_MAX) {
        let text = visible(&line.text);
        let shown = match line.side {
            Side::Both => paint.dim(&format!("  {text}")),
            Side::Expected => paint.red(&format!("- {text}")),
            Side::Seen => paint.green(&format!("+ {text}")),
            Side::Gap => paint.dim(&format!("  … {text}")),
        };
        let _ = writeln!(out, "  {shown}");
    }
    if lines.len() > DIFF_LINES_MAX {
        let _ = writeln!(out, "  … and {} lines more", lines.len() - DIFF_LINES_MAX);
    }
}

/// A label and a text whose further lines stand below its first.
fn field(out: &mut String, label: &str, text: &str, paint: Paint) {
    for (place, line) in text.lines().enumerate() {
        let label = format!("{:<LABEL_WIDTH$}", if place == 0 { label } else { "" });
        let _ = writeln!(out, "{}{}", paint.dim(&label), line);
    }
}

fn count(results: &[CaseResult], is: impl Fn(&CaseResult) -> bool) -> usize {
    results.iter().filter(|result| is(result)).count()
}

/// The sum.
pub(super) fn summary(
    results: &[CaseResult],
    updated: &[String],
    took_ms: u64,
    paint: Paint,
) -> String {
    let passed = count(results, CaseResult::passed);
    let not_run = count(results, |result| result.outcome == Outcome::NotRun);
    let held = |result: &CaseResult| updated.contains(&result.file) && !result.passed();
    let written = count(results, held);
    let failed = results.len() - passed - not_run - written;
    let mut parts = Vec::new();
    if passed > 0 || failed == 0 {
        parts.push(paint.green(&format!("{passed} passed")));
    }
    if failed > 0 {
        parts.push(paint.red(&format!("{failed} failed")));
    }
    if !updated.is_empty() {
        parts.push(paint.bold(&format!("{} updated", updated.len())));
    }
    if not_run > 0 {
        parts.push(paint.dim(&format!("{not_run} not run")));
    }
    let seconds = format!("in {}.{:02} s", took_ms / 1_000, took_ms % 1_000 / 10);
    format!("\n{} {}", parts.join(", "), paint.dim(&seconds))
}

/// The results as one document.
pub(super) fn as_json(results: &[CaseResult], updated: &[String], took_ms: u64) -> Value {
    let one = |result: &CaseResult| {
        let outcome = match &result.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed(_) => "failed",
            Outcome::NoAnswer(_) => "no_answer",
            Outcome::Unusable(_) => "unusable",
            Outcome::NotRun => "not_run",
        };
        json!({
            "file": result.file,
            "source": result.suite,
            "outcome": outcome,
            "updated": updated.contains(&result.file),
            "status": result.answer.as_ref().map(|answer| answer.status),
            "tookMs": result.took_ms,
            "problems": problems(result, Paint::plain()).lines().collect::<Vec<_>>(),
            "redacted": result.redacted,
        })
    };
    json!({
        "passed": count(results, CaseResult::passed),
        "failed": count(results, |result| {
            !result.passed() && result.outcome != Outcome::NotRun && !updated.contains(&result.file)
        }),
        "notRun": count(results, |result| result.outcome == Outcome::NotRun),
        "updated": updated.len(),
        "tookMs": took_ms,
        "results": results.iter().map(one).collect::<Vec<_>>(),
    })
}

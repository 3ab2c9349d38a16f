//! Results as JUnit XML, in the form that GitHub Actions, GitLab, Jenkins and others read.
//!
//! Invariants: well formed whatever a handler answered; characters that XML 1.0 cannot hold are
//! replaced.

use std::fmt::Write as _;

use super::run::{CaseResult, Outcome};

/// The results as a document: a suite for each source. `told` gives the text of a failure.
#[must_use]
pub fn document(
    results: &[CaseResult],
    took_ms: u64,
    told: impl Fn(&CaseResult) -> String,
) -> String {
    let mut suites: Vec<(&str, Vec<&CaseResult>)> = Vec::new();
    for result in results {
        match suites.iter_mut().find(|(name, _)| *name == result.suite) {
            Some((_, cases)) => cases.push(result),
            None => suites.push((&result.suite, vec![result])),
        }
    }
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<testsuites name=\"becket\" {} time=\"{}\">",
        counts(results.iter()),
        seconds(took_ms)
    );
    for (name, cases) in suites {
        let took_ms = cases.iter().map(|case| case.took_ms).sum();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" {} time=\"{}\">",
            escaped(name),
            counts(cases.iter().copied()),
            seconds(took_ms)
        );
        for case in cases {
            write_case(&mut out, case, &told);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn write_case(out: &mut String, case: &CaseResult, told: &impl Fn(&CaseResult) -> String) {
    let _ = write!(
        out,
        "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" time=\"{}\"",
        escaped(&case.name),
        escaped(&case.suite),
        escaped(&case.file),
        seconds(case.took_ms)
    );
    let (element, kind) = match &case.outcome {
        Outcome::Passed => {
            out.push_str("/>\n");
            return;
        }
        Outcome::NotRun => {
            out.push_str("><skipped/></testcase>\n");
            return;
        }
        Outcome::Failed(_) => ("failure", "mismatch"),
        Outcome::NoAnswer(_) => ("error", "no_answer"),
        Outcome::Unusable(_) => ("error", "unusable"),
    };
    let text = told(case);
    let first = text.lines().next().unwrap_or_default().trim();
    let _ = writeln!(
        out,
        ">\n      <{element} type=\"{kind}\" message=\"{}\">{}</{element}>\n    </testcase>",
        escaped(first),
        escaped(&text)
    );
}

fn counts<'r>(results: impl Iterator<Item = &'r CaseResult>) -> String {
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    for result in results {
        tests += 1;
        match result.outcome {
            Outcome::Passed => {}
            Outcome::NotRun => skipped += 1,
            Outcome::Failed(_) => failures += 1,
            Outcome::NoAnswer(_) | Outcome::Unusable(_) => errors += 1,
        }
    }
    format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

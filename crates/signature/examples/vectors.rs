//! Runs vector files against entries from files: `cargo run -p becket-signature --example vectors -- stripe …`.
//!
//! Reads `catalogue/SLUG.toml` and `catalogue/vectors/SLUG.json` from the working directory, so that an entry can
//! be worked on without building anything again. Without a slug it looks at every entry that is there. Samples and
//! what entries say about their proof are looked at too.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use becket_signature::Entry;
use becket_signature::vectors::{Vector, check_proof};

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let slugs = if given.is_empty() { all() } else { given };
    let (mut wrong, mut right) = (0, 0);
    for slug in slugs {
        let problems = match entry(&slug) {
            Ok(entry) => run(&slug, &Arc::new(entry), &mut right),
            Err(problem) => vec![problem],
        };
        for problem in problems {
            wrong += 1;
            println!("{slug}: {problem}");
        }
    }
    println!("{right} right, {wrong} wrong");
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all() -> Vec<String> {
    let folder = std::fs::read_dir("catalogue").into_iter().flatten().flatten();
    let mut slugs: Vec<String> = folder
        .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".toml")?.to_owned()))
        .collect();
    slugs.sort();
    slugs
}

fn entry(slug: &str) -> Result<Entry, String> {
    let text = std::fs::read_to_string(Path::new("catalogue").join(format!("{slug}.toml")))
        .map_err(|error| error.to_string())?;
    Entry::from_toml(&text).map_err(|error| error.to_string())
}

/// Every problem of one entry; what was right is counted.
fn run(slug: &str, entry: &Arc<Entry>, right: &mut usize) -> Vec<String> {
    let mut problems = Vec::new();
    let mut note = |what: &str, outcome: Result<(), String>| match outcome {
        Ok(()) => *right += 1,
        Err(problem) => problems.push(format!("{what}: {problem}")),
    };
    if entry.slug() != slug {
        note("slug", Err(format!("the file says `{}`", entry.slug())));
    }
    let other = |slug: &str| self::entry(slug).ok().map(Arc::new);
    note("proof", check_proof(entry, other));
    if entry.guide().chars().count() < 80 {
        note("guide", Err("it has less than 80 characters".to_owned()));
    }
    if entry.samples().is_empty() {
        note("sample", Err("there is none".to_owned()));
    }
    for (position, sample) in entry.samples().iter().enumerate() {
        note(&format!("sample {}", position + 1), sample.run(entry));
    }
    match vectors(slug) {
        Ok(list) => {
            for vector in list {
                note(&vector.name, vector.run(entry));
            }
        }
        Err(problem) => note("vectors", Err(problem)),
    }
    problems
}

fn vectors(slug: &str) -> Result<Vec<Vector>, String> {
    let file = Path::new("catalogue/vectors").join(format!("{slug}.json"));
    match std::fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
        Err(_) => Ok(Vec::new()),
    }
}

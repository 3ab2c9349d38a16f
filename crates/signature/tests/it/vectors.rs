//! Runs every vector of `catalogue/vectors`, and asserts that proven entries have enough of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use becket_signature::vectors::{Expect, Vector, check_proof};
use becket_signature::{Catalogue, Entry, Status};

pub fn catalogue_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogue")
}

pub fn vectors() -> Vec<(String, Vec<Vector>)> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(catalogue_folder().join("vectors")).expect("the folder is there")
    {
        let path = file.expect("is readable").path();
        let slug = path.file_stem().expect("has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("is readable");
        let list = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{slug}: {error}"));
        all.push((slug, list));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The vectors that are about entries of the catalogue or bring their own, with the entry.
pub fn entry_of(slug: &str) -> Arc<Entry> {
    // `classes.json` is about no entry: each of its vectors brings one.
    let slug = if slug == "classes" { "none" } else { slug };
    Catalogue::builtin().get(slug).unwrap_or_else(|| panic!("{slug} is not in the catalogue"))
}

#[test]
fn every_vector_gets_its_verdict() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (slug, list) in vectors() {
        for vector in list {
            count += 1;
            assert!(!vector.origin.is_empty(), "{slug} / {} has no origin", vector.name);
            if let Err(problem) = vector.run(&entry_of(&slug)) {
                wrong.push(format!("{slug} / {}: {problem}", vector.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 1000, "only {count} vectors were found");
}

#[test]
fn proven_entries_have_valid_and_invalid_vectors() {
    let all: BTreeMap<String, Vec<Vector>> = vectors().into_iter().collect();
    let mut wrong = Vec::new();
    for summary in Catalogue::builtin().list() {
        if summary.status != Status::Proven {
            continue;
        }
        let list = all.get(&summary.slug).map(Vec::as_slice).unwrap_or_default();
        let count = |expect| list.iter().filter(|vector| vector.expect == expect).count();
        if count(Expect::Genuine) < 1 {
            wrong.push(format!("{} has no valid vector", summary.slug));
        }
        if count(Expect::Refused) < 3 {
            wrong.push(format!("{} has too few invalid vectors", summary.slug));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn samples_and_proofs_are_consistent() {
    let catalogue = Catalogue::builtin();
    let mut wrong = Vec::new();
    for slug in catalogue.slugs() {
        let entry = catalogue.get(slug).expect("is listed");
        if let Err(problem) = check_proof(&entry, |like| catalogue.get(like)) {
            wrong.push(format!("{slug}: {problem}"));
        }
        if entry.samples().is_empty() {
            wrong.push(format!("{slug}: there is no sample"));
        }
        for sample in entry.samples() {
            if let Err(problem) = sample.run(&entry) {
                wrong.push(format!("{slug}: {problem}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

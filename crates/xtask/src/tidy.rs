//! Runs every rule over the working tree and prints what it found, one finding a line.
//!
//! A finding names the file, the line where there is one, what is wrong and what to do. Any
//! finding fails the run.
//!
//! Where next: [`crate::rules`] for the rules about text, [`crate::graph`] for the crates.

use std::process::ExitCode;

use crate::tree::Tree;
use crate::{graph, rules};

/// One rule: its name in the output, and what finds its violations.
type Rule = (&'static str, fn(&Tree) -> Vec<String>);

const RULES: &[Rule] = &[
    ("crate graph", graph::check),
    ("crate lints", graph::check_lints),
    ("paths in the map", rules::map_paths),
    ("map length", rules::map_length),
    ("links", rules::links),
    ("file length", rules::file_length),
    ("module headers", rules::module_headers),
    ("banned code", rules::banned_code),
    ("banned text", rules::banned_text),
    ("lock files", rules::lock_files),
    ("provider names", rules::provider_names),
    ("make targets", rules::make_targets),
];

/// Checks the repository that this command was built in; fails if any rule found anything.
pub fn run() -> ExitCode {
    let tree = match Tree::read() {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!("tidy: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut found = 0;
    for (name, check) in RULES {
        for finding in check(&tree) {
            eprintln!("tidy: {name}: {finding}");
            found += 1;
        }
    }
    if found > 0 {
        eprintln!("tidy: {found} findings");
        return ExitCode::FAILURE;
    }
    println!("tidy: {} rules over {} files, nothing found", RULES.len(), tree.files.len());
    ExitCode::SUCCESS
}

//! The repository's own commands, run as `cargo xtask NAME`.
//!
//! `tidy` checks what compilers and linters do not: that ARCHITECTURE.md tells the truth about
//! crates and paths, and that files keep to the conventions of CONTRIBUTING.md.
//!
//! Deliberately absent: anything that `make`, cargo or a script in `scripts/` does already.
//!
//! Where next: [`tidy`] for the list of rules.

mod graph;
mod rules;
mod tidy;
mod tree;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy    check the repository's own rules";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => tidy::run(),
        ["--help" | "-h" | "help"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

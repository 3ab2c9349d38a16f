//! The `becket` command: everything is in the library, so that tests and fuzzers reach it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    becket::cli::main()
}

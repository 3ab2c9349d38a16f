//! The sandbox alone, for the tests and measurements of this crate. The gateway runs itself instead.

use std::process::ExitCode;

fn main() -> ExitCode {
    becket_transform::sandbox::main()
}

//! The hidden command of the `becket` binary alone, for this crate's own tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(command) if command == becket_exec::child::COMMAND => {
            becket_exec::child::main(arguments)
        }
        _ => ExitCode::from(2),
    }
}

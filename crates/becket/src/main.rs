//! The `becket` command: everything is in the library, so that tests and fuzzers reach it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // A process of an `exec` endpoint: it starts often, and must be the only thread.
    if arguments.next().is_some_and(|command| command == becket_exec::child::COMMAND) {
        return becket_exec::child::main(arguments);
    }
    // Users' code runs in it: nothing else may have been started.
    if becket_transform::sandbox::is_asked_for() {
        return becket_transform::sandbox::main();
    }
    becket::cli::main()
}

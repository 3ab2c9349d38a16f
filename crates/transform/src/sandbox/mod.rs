//! The process that runs users' code: reads calls on standard input and answers on standard output,
//! until its input ends.
//!
//! Invariants: it limits itself before it reads anything (memory, processor time, files, system
//! calls); a call sees nothing of another one, because each has an interpreter of its own; whatever
//! the code does, there is an answer, or the process dies and its owner sees that.
//!
//! Absent: the hard limit of time. An interpreter cannot be interrupted everywhere (squaring a large
//! number is one step to it), so the owner kills the process; see `pool`.

mod describe;
mod lockdown;
mod realm;
mod run;

use std::process::ExitCode;

use crate::wire;

/// The hidden subcommand that runs [`main`].
pub const SUBCOMMAND: &str = "sandbox";

/// The largest call that is read, in bytes.
const MESSAGE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Runs the sandbox until standard input ends. Call it first in `main` when [`is_asked_for`] says so:
/// nothing else may have been started.
pub fn main() -> ExitCode {
    // Time zones and tables are loaded by a first call, before files are out of reach.
    run::warm_up();
    if let Err(error) = lockdown::enter() {
        eprintln!("becket sandbox: {error}");
        return ExitCode::FAILURE;
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Whether this process was started to be a sandbox.
pub fn is_asked_for() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().is_some_and(|first| first == SUBCOMMAND) && arguments.next().is_none()
}

fn serve() -> std::io::Result<()> {
    let mut head = Vec::new();
    loop {
        let mut prefix = [0; wire::PREFIX_BYTES];
        if !fill(&mut prefix)? {
            return Ok(());
        }
        let (head_bytes, body_bytes) = wire::lengths(prefix);
        if head_bytes.saturating_add(body_bytes) > MESSAGE_BYTES_MAX {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        head.resize(head_bytes, 0);
        let mut body = vec![0; body_bytes];
        if !fill(&mut head)? || !fill(&mut body)? {
            return Ok(());
        }
        let request: wire::Request<'_> = serde_json::from_slice(&head)?;
        let (reply, body) = run::call(&request, body);
        let mut message = wire::front(&reply, body.len())?;
        message.extend_from_slice(&body);
        send(&message)?;
    }
}

/// Fills the buffer from standard input; `false` at its end.
fn fill(mut buffer: &mut [u8]) -> std::io::Result<bool> {
    while !buffer.is_empty() {
        match rustix::io::read(std::io::stdin(), &mut *buffer) {
            Ok(0) => return Ok(false),
            Ok(read) => buffer = &mut buffer[read..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

fn send(mut message: &[u8]) -> std::io::Result<()> {
    while !message.is_empty() {
        match rustix::io::write(std::io::stdout(), message) {
            Ok(written) => message = &message[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

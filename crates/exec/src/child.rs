//! The hidden command `exec-child` of the binary: the guardian of a program, and the process that
//! becomes the program.

use std::process::ExitCode;

use crate::exit::{NOT_STARTED_CODE, NOT_STARTED_MARK};
use crate::wire::Confinement;
use crate::{confine, guardian};

/// The name of the command: the first argument.
pub const COMMAND: &str = "exec-child";
/// What the guardian is called with behind it.
pub(crate) const GUARD: &str = "guard";
/// What the process that becomes the program is called with behind it.
pub(crate) const BECOME: &str = "become";

/// Does what the command's arguments (behind [`COMMAND`]) say. Call it before anything else: it must be
/// the only thread.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let texts: Option<Vec<String>> =
        arguments.into_iter().map(|argument| argument.into_string().ok()).collect();
    let texts = texts.unwrap_or_default();
    match texts.split_first() {
        Some((what, [])) if what == GUARD => guardian::main(),
        Some((what, rest)) if what == BECOME => becoming(rest),
        _ => {
            eprintln!("error: this command is for the gateway itself");
            ExitCode::from(2)
        }
    }
}

fn becoming(texts: &[String]) -> ExitCode {
    let problem = match texts {
        [confinement, program, arguments @ ..] => {
            match serde_json::from_str::<Confinement>(confinement) {
                Ok(confinement) => confine::become_program(&confinement, program, arguments),
                Err(error) => format!("what it may do cannot be read: {error}"),
            }
        }
        _ => "no program is named".to_owned(),
    };
    eprint!("{NOT_STARTED_MARK}{problem}");
    ExitCode::from(u8::try_from(NOT_STARTED_CODE).unwrap_or(1))
}

//! `becket completions`: scripts that let a shell complete commands and options.

use std::process::ExitCode;

use clap::CommandFactory as _;

use super::{Cli, CliError, print};

/// Arguments of `becket completions`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

const EXAMPLES: &str = "\
Examples:
  becket completions bash > ~/.local/share/bash-completion/completions/becket
  becket completions zsh > ~/.zfunc/_becket
  becket completions fish > ~/.config/fish/completions/becket.fish";

/// Runs the command.
pub(super) fn run(args: &CompletionsArgs) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "becket", &mut script);
    print(&String::from_utf8_lossy(&script))
}

//! `becket man`: manual pages of every command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};

use super::{Cli, CliError, print};

/// Arguments of `becket man`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ManArgs {
    /// The command whose page is printed, such as `events list`
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    command: Vec<String>,
    /// Write the pages of all commands into this folder
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  becket man | man -l -
  becket man events list | man -l -
  becket man --out /usr/local/share/man/man1";

/// Runs the command.
pub(super) fn run(args: &ManArgs) -> Result<ExitCode, CliError> {
    let mut all = Cli::command();
    all.build();
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder).map_err(|error| {
            CliError::new(format!("{} cannot be made: {error}", folder.display()))
        })?;
        let count = write_all(&all, "becket", folder)?;
        return print(&format!("{count} pages in {}", folder.display()));
    }
    let mut command = &all;
    let mut name = "becket".to_owned();
    for wanted in &args.command {
        command = command.find_subcommand(wanted).ok_or_else(|| {
            CliError::usage(format!("`{}` has no command `{wanted}`", name.replace('-', " ")))
                .hint("`becket help` shows all")
        })?;
        name = format!("{name}-{wanted}");
    }
    print(&String::from_utf8_lossy(&page(command, &name)?))
}

/// Writes the page of a command and those below it; gives how many.
fn write_all(command: &Command, name: &str, folder: &Path) -> Result<usize, CliError> {
    let file = folder.join(format!("{name}.1"));
    std::fs::write(&file, page(command, name)?)
        .map_err(|error| CliError::new(format!("{} cannot be written: {error}", file.display())))?;
    let mut count = 1;
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        count += write_all(below, &format!("{name}-{}", below.get_name()), folder)?;
    }
    Ok(count)
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>, CliError> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name.to_owned())
        .manual("Becket")
        .render(&mut text)
        .map_err(|error| CliError::new(format!("the page of {name}: {error}")))?;
    Ok(text)
}

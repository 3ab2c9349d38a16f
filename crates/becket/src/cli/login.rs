//! `becket login`: remembers a gateway and its token for all commands that ask one.
//!
//! Invariants: the file is readable by its owner only; the token is tried before it is kept, and used
//! for the address that it was given for and no other.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::process::ExitCode;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use serde::{Deserialize, Serialize};

use super::online::client::Client;
use super::{CliError, Connection, env_map};

/// Arguments of `becket login`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct LoginArgs {
    /// The gateway's management address, such as https://hooks.example.com [env: BECKET_URL]
    #[arg(long, value_name = "URL", required_unless_present = "forget")]
    url: Option<String>,
    /// The token; asked for if absent, or read from standard input [env: BECKET_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Forget what was remembered
    #[arg(long, conflicts_with_all = ["url", "token"])]
    forget: bool,
}

const EXAMPLES: &str = "\
Examples:
  becket login --url https://hooks.example.com
  becket tokens create laptop --role admin --json | jq -r .token | becket login --url https://hooks.example.com

It is kept in $XDG_CONFIG_HOME/becket/login.json (~/.config/becket/login.json), for your eyes only.
Flags and environment go before it; it goes before a becket.toml or a data folder that happens to be there.";

/// What is remembered.
#[derive(Serialize, Deserialize)]
struct Login {
    url: String,
    token: String,
}

/// Where it is remembered; `None` if there is no home.
fn file(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(folder.join("becket").join("login.json"))
}

/// The gateway that was logged in to, if one was.
///
/// # Errors
/// When it is there and cannot be read.
pub(super) fn remembered(env: &BTreeMap<String, String>) -> Result<Option<Connection>, CliError> {
    let Some(file) = file(env) else { return Ok(None) };
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot("read", &file, &error)),
    };
    let login: Login = serde_json::from_str(&text).map_err(|_| {
        CliError::new(format!("{} cannot be read", file.display()))
            .hint("`becket login --url URL` writes it anew, `becket login --forget` removes it")
    })?;
    Ok(Some(Connection::new(&login.url, &login.token)))
}

fn cannot(what: &str, file: &std::path::Path, error: &std::io::Error) -> CliError {
    CliError::new(format!("{} cannot be {what}: {error}", file.display()))
}

/// Runs the command.
pub(super) fn run(args: &LoginArgs) -> Result<ExitCode, CliError> {
    let env = env_map();
    let file = file(&env)
        .ok_or_else(|| CliError::new("there is no home folder").hint("set XDG_CONFIG_HOME"))?;
    if args.forget {
        match fs::remove_file(&file) {
            Ok(()) => eprintln!("Forgotten."),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("There was nothing to forget.");
            }
            Err(error) => return Err(cannot("removed", &file, &error)),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let url = args.url.clone().unwrap_or_default();
    let token = match args.token.clone().or_else(|| env.get("BECKET_TOKEN").cloned()) {
        Some(token) => token,
        None => ask()?,
    };
    let connection = Connection::new(&url, &token);
    if connection.token.is_empty() {
        return Err(CliError::usage("the token is empty"));
    }
    let own = tried(&connection)?;
    keep(&file, &Login { url: connection.url.clone(), token: connection.token })?;
    let role = own["role"].as_str().unwrap_or("unknown");
    eprintln!("Logged in to {} with a token of the role `{role}`.", connection.url);
    eprintln!("Kept in {}", file.display());
    Ok(ExitCode::SUCCESS)
}

/// Asks the gateway who the token belongs to.
fn tried(connection: &Connection) -> Result<serde_json::Value, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("no runtime: {error}")))?;
    runtime
        .block_on(async { Client::new(connection)?.get("/api/v1/becket/self").await })
        .map_err(super::online::failure::Failure::into_error)
}

fn keep(file: &std::path::Path, login: &Login) -> Result<(), CliError> {
    let failed = |error: std::io::Error| cannot("written", file, &error);
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let fresh = file.with_extension("new");
    // One that was left behind could be readable by others.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let text = serde_json::to_string_pretty(login)
        .map_err(|error| CliError::new(format!("the login cannot be written: {error}")))?;
    let mut open = fs::OpenOptions::new();
    let mut out = open.write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
    out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(failed)?;
    fs::rename(&fresh, file).map_err(failed)
}

/// The token from standard input: typed without being shown, or piped.
fn ask() -> Result<String, CliError> {
    let failed = |error: std::io::Error| CliError::new(format!("no token could be read: {error}"));
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
        return Ok(line.trim().to_owned());
    }
    eprint!("Token: ");
    enable_raw_mode().map_err(failed)?;
    let typed = type_hidden();
    // What was typed counts, whether or not the terminal could be reset.
    let _ = disable_raw_mode();
    eprintln!();
    typed.map_err(failed)?.ok_or_else(|| CliError::new("nothing was typed"))
}

fn type_hidden() -> std::io::Result<Option<String>> {
    let mut typed = String::new();
    loop {
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Release => {}
            Event::Key(key) => match key.code {
                KeyCode::Enter => return Ok(Some(typed)),
                KeyCode::Esc => return Ok(None),
                KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    return Ok(None);
                }
                KeyCode::Backspace => {
                    typed.pop();
                }
                KeyCode::Char(character) => typed.push(character),
                _ => {}
            },
            Event::Paste(text) => typed.push_str(&text),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_login_is_kept_for_its_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let env = [("XDG_CONFIG_HOME".to_owned(), home.path().display().to_string())].into();
        assert!(remembered(&env).unwrap().is_none());
        let path = file(&env).unwrap();
        for token in ["one", "two"] {
            let login = Login { url: "https://h.example/".to_owned(), token: token.to_owned() };
            keep(&path, &login).unwrap();
            let found = remembered(&env).unwrap().unwrap();
            assert_eq!((&found.url[..], &found.token[..]), ("https://h.example", token));
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "{").unwrap();
        assert!(remembered(&env).is_err());
    }

    #[test]
    fn a_folder_that_is_not_absolute_does_not_count() {
        let env = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
        assert_eq!(file(&env("XDG_CONFIG_HOME", "x")), None);
        let found = file(&env("HOME", "/srv/ann")).unwrap();
        assert_eq!(found, PathBuf::from("/srv/ann/.config/becket/login.json"));
    }
}

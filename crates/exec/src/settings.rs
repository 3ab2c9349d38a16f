//! What describes a program, as plain values.

use std::path::PathBuf;

/// A program and how it is run. `Default` has the documented values.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program and its arguments, which may have `{{...}}` in them; with `shell`, one script.
    pub command: Vec<String>,
    /// Whether `command` is a script for `/bin/sh`.
    pub shell: bool,
    /// Variables of the endpoint.
    pub env: Vec<(String, EnvValue)>,
    /// What the gateway passes on of its own environment: `PATH`, `HOME`, `LANG`, `TZ`.
    pub base_env: Vec<(String, String)>,
    /// Exit codes that mean success.
    pub success: Vec<u8>,
    /// Exit codes that mean that trying again would not help.
    pub give_up: Vec<u8>,
    /// The user to run as, by name or number.
    pub user: Option<String>,
    /// The group to run as; the user's own if absent.
    pub group: Option<String>,
    /// Where it runs; `/` if absent.
    pub working_directory: Option<String>,
    /// Permissions that new files do not get, in octal, such as `022`.
    pub umask: Option<String>,
    /// By how much its priority is lowered, 0 to 19.
    pub nice: u16,
    /// How long it has after SIGTERM before it is killed, in milliseconds.
    pub grace_ms: u64,
    /// What it may use.
    pub limits: Limits,
    /// Whether it can never gain rights, such as by `sudo`.
    pub no_new_privileges: bool,
    /// Whether processes that it leaves behind go on.
    pub keep_background: bool,
    /// Whether its output is written to the log.
    pub log_output: bool,
    /// Whether a value of an event may begin an argument with `-`.
    pub allow_option_values: bool,
    /// Files that keep runs apart; without them nothing does but the engine.
    pub locks: Option<Locks>,
    /// The binary that knows the hidden command of [`crate::child`].
    pub launcher: PathBuf,
}

/// The value of a variable.
#[derive(Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// As it is, such as a secret.
    Fixed(String),
    /// With `{{...}}` in it.
    Template(String),
}

impl std::fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnvValue(redacted)")
    }
}

/// What a program may use; no limit of its own where absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Address space of each process, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time of each process, in seconds.
    pub cpu_s: Option<u64>,
    /// Open files of each process.
    pub open_files: Option<u64>,
    /// Processes of its user, wherever they were started.
    pub processes: Option<u64>,
    /// The largest file it can write, in bytes.
    pub file_size_bytes: Option<u64>,
}

/// Files that keep the runs of an endpoint apart, also across a crash of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locks {
    /// The folder, made if missing.
    pub folder: PathBuf,
    /// The endpoint, as a file name.
    pub name: String,
    /// How many runs may be under way.
    pub count: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            shell: false,
            env: Vec::new(),
            base_env: Vec::new(),
            success: vec![0],
            give_up: vec![65],
            user: None,
            group: None,
            working_directory: None,
            umask: None,
            nice: 0,
            grace_ms: 5_000,
            limits: Limits::default(),
            no_new_privileges: false,
            keep_background: false,
            log_output: true,
            allow_option_values: false,
            locks: None,
            // The running binary itself, even after an upgrade has replaced the file.
            launcher: PathBuf::from("/proc/self/exe"),
        }
    }
}

//! `[source.endpoint.exec]`: a program that is run for each delivery.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use becket_egress::action::Action;
use becket_exec::{EnvValue, ExecAction, ExecError, Locks, Settings};

use super::ActContext;
use crate::config::kinds::ByteSize;
use crate::config::secret::{Secret, SecretOrigin};
use crate::config::table::table;

/// How long a program may run if the endpoint does not say.
pub(in crate::config) const EXEC_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest that it may say.
pub(in crate::config) const EXEC_TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

/// The folder in the data folder that keeps runs apart.
const LOCKS: &str = "exec";
/// What of the gateway's environment a program gets.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
const PATH_USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

table! {
    /// A program that is run for each delivery, with the payload on its standard input.
    pub struct Exec {
        /// The program, from `/` on or found in PATH, and its arguments, which may have `{{...}}` in
        /// them. With `shell`, one text: the script.
        command: Vec<String>,
        /// Whether the command is a script for `/bin/sh`. Values come to it by `env` only.
        shell: bool = "false",
        /// Variables beside PATH, HOME, LANG, TZ and BECKET_...: texts that may have `{{...}}` in
        /// them, or secrets.
        env: BTreeMap<String, Secret>,
        /// Exit codes that mean success.
        success: Vec<u16> = "0",
        /// Exit codes that mean that the delivery has failed for good. All others, and signals, are
        /// tried again.
        give_up: Vec<u16> = "65",
        /// Who it runs as, by name or number; needs a gateway that runs as root.
        user: Option<String>,
        /// Its group, by name or number; the user's own if absent.
        group: Option<String>,
        /// Where it runs; `/` if absent.
        working_directory: Option<String>,
        /// Permissions that new files do not get, in octal, such as `027`; the gateway's if absent.
        umask: Option<String>,
        /// By how much its priority is lowered, 0 to 19.
        nice: u16 = "0",
        /// How much of the time-out is left for ending after SIGTERM, before SIGKILL; at most half.
        grace: Duration = "5s",
        /// What it may use.
        limits: ExecLimits,
        /// Whether it and what it starts can never gain rights, as by `sudo`.
        no_new_privileges: bool = "false",
        /// Whether processes that it leaves running go on after it has ended.
        keep_background: bool = "false",
        /// Whether its output is written to the log, line by line.
        log_output: bool = "true",
        /// Whether a value of an event may make an argument that begins with `-`.
        allow_option_values: bool = "false",
    }
}

table! {
    /// What a program may use. Each limit holds for every process of it by itself.
    pub struct ExecLimits {
        /// Address space; no limit if absent. Some runtimes reserve far more than they use.
        memory: Option<ByteSize>,
        /// Processor time, in whole seconds; no limit if absent.
        cpu: Option<Duration>,
        /// Open files; the gateway's limit if absent.
        open_files: Option<u32>,
        /// Processes of its user, wherever they were started; of no effect for root.
        processes: Option<u32>,
        /// The largest file that it can write.
        file_size: Option<ByteSize>,
    }
}

impl Exec {
    /// The action that this describes, of an endpoint with this time and concurrency.
    ///
    /// # Errors
    /// A sentence about what cannot work.
    pub fn action(
        &self,
        context: &ActContext,
        timeout: Duration,
        concurrency: u32,
    ) -> Result<Arc<dyn Action>, String> {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if self.grace > timeout / 2 && self.grace != Duration::from_secs(5) {
            return Err("`grace` is more than half of the endpoint's `timeout`".to_owned());
        }
        if self.limits.cpu.is_some_and(|cpu| cpu.subsec_millis() != 0) {
            return Err("`limits.cpu` is in whole seconds".to_owned());
        }
        let settings = Settings {
            command: self.command.clone(),
            shell: self.shell,
            env: self.env.iter().map(|(name, value)| (name.clone(), env_value(value))).collect(),
            base_env: passed_on(),
            success: codes("success", &self.success)?,
            give_up: codes("give_up", &self.give_up)?,
            user: self.user.clone(),
            group: self.group.clone(),
            working_directory: self.working_directory.clone(),
            umask: self.umask.clone(),
            nice: self.nice,
            grace_ms: ms(self.grace),
            limits: self.limits.plain(),
            no_new_privileges: self.no_new_privileges,
            keep_background: self.keep_background,
            log_output: self.log_output,
            allow_option_values: self.allow_option_values,
            locks: locks(context, concurrency)?,
            ..Settings::default()
        };
        let action = ExecAction::new(settings).map_err(|error: ExecError| error.to_string())?;
        Ok(Arc::new(action))
    }
}

impl ExecLimits {
    fn plain(&self) -> becket_exec::Limits {
        becket_exec::Limits {
            memory_bytes: self.memory.map(|size| size.0),
            cpu_s: self.cpu.map(|time| time.as_secs()),
            open_files: self.open_files.map(u64::from),
            processes: self.processes.map(u64::from),
            file_size_bytes: self.file_size.map(|size| size.0),
        }
    }
}

/// A text that is written in the file may have fields; what comes from elsewhere is taken as it is.
fn env_value(value: &Secret) -> EnvValue {
    match value.origin() {
        SecretOrigin::Plain => EnvValue::Template(value.expose().to_owned()),
        SecretOrigin::Env(_) | SecretOrigin::File(_) => EnvValue::Fixed(value.expose().to_owned()),
    }
}

fn codes(key: &str, codes: &[u16]) -> Result<Vec<u8>, String> {
    let one = |code: &u16| {
        u8::try_from(*code)
            .map_err(|_| format!("`{key}`: {code} is no exit code; they are 0 to 255"))
    };
    codes.iter().map(one).collect()
}

fn passed_on() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = PASSED_ON
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect();
    if !all.iter().any(|(name, value)| name == "PATH" && !value.is_empty()) {
        all.push(("PATH".to_owned(), PATH_USUAL.to_owned()));
    }
    all
}

/// Named by the endpoint's id, which stays when it is renamed. While a file is only checked there is
/// no endpoint yet.
fn locks(context: &ActContext, concurrency: u32) -> Result<Option<Locks>, String> {
    if context.endpoint_id.is_empty() {
        return Ok(None);
    }
    let folder = std::path::absolute(context.data_folder.join(LOCKS))
        .map_err(|error| format!("the data folder cannot be named: {error}"))?;
    Ok(Some(Locks { folder, name: context.endpoint_id.clone(), count: concurrency }))
}

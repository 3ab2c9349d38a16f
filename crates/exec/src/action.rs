//! One attempt: a delivery becomes arguments, environment and a payload; how the program ended becomes
//! an outcome.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use becket_egress::action::template::Fields;
use becket_egress::action::{Action, ActionRequest};
use becket_egress::{Acted, AttemptError, AttemptOutcome};
use tokio::time::Instant;

use crate::ExecError;
use crate::arguments::{Arguments, Unusable, is_template};
use crate::environment::Environment;
use crate::exit::{
    ExitCodes, Meaning, NOT_STARTED_CODE, NOT_STARTED_MARK, exit_words, signal_words,
};
use crate::output::{Kept, Lines};
use crate::run::{Ended, Time, Watcher, run};
use crate::settings::{Locks, Settings};
use crate::users::{Account, GROUP, PASSWD, find};
use crate::wire::{Confinement, Plan};

const SHELL: &str = "/bin/sh";

/// Runs a program for each delivery.
pub struct ExecAction {
    program: String,
    texts: Arc<Texts>,
    confinement: Confinement,
    exits: ExitCodes,
    locks: Option<Locks>,
    grace: Duration,
    keep_background: bool,
    log_output: bool,
    launcher: PathBuf,
}

/// What is made of each delivery.
struct Texts {
    fixed: Vec<String>,
    arguments: Arguments,
    environment: Environment,
}

/// Arguments and variables.
type Rendered = (Vec<String>, Vec<(String, String)>);

impl Texts {
    fn render(&self, request: &ActionRequest) -> Result<Rendered, Unusable> {
        let fields = Fields::of(request);
        let mut arguments = self.fixed.clone();
        arguments.extend(self.arguments.render(&fields)?);
        Ok((arguments, self.environment.render(&fields)?))
    }
}

/// Bodies from this size on are read for fields beside the deliveries of others, in bytes.
const LARGE_BYTES: usize = 64 * 1024;

impl ExecAction {
    /// Checks a description. Looks at the program, the working directory and the list of accounts;
    /// starts nothing.
    ///
    /// # Errors
    /// [`ExecError`] with what is wrong and what to do.
    pub fn new(settings: Settings) -> Result<Self, ExecError> {
        let (program, rest) = settings.command.split_first().ok_or(ExecError::CommandEmpty)?;
        if program.is_empty() {
            return Err(ExecError::CommandEmpty);
        }
        let (program, fixed, templates) = if settings.shell {
            if !rest.is_empty() {
                return Err(ExecError::ShellArguments);
            }
            if is_template(program) {
                return Err(ExecError::ShellTemplate);
            }
            (SHELL, vec!["-c".to_owned(), program.clone()], &[][..])
        } else {
            if is_template(program) {
                return Err(ExecError::ProgramTemplate);
            }
            (program.as_str(), Vec::new(), rest)
        };
        let path = settings.base_env.iter().find(|(name, _)| name == "PATH");
        check_program(program, path.map_or("", |(_, path)| path))?;
        check_codes(&settings)?;
        let account = account(&settings)?;
        Ok(Self {
            program: program.to_owned(),
            texts: Arc::new(Texts {
                fixed,
                arguments: Arguments::parse(templates, settings.allow_option_values)?,
                environment: Environment::parse(&settings.base_env, &account, &settings.env)?,
            }),
            confinement: confinement(&settings, &account)?,
            exits: ExitCodes { success: settings.success, give_up: settings.give_up },
            locks: settings.locks,
            grace: Duration::from_millis(settings.grace_ms),
            keep_background: settings.keep_background,
            log_output: settings.log_output,
            launcher: settings.launcher,
        })
    }

    async fn plan(&self, request: &ActionRequest, grace: Duration) -> Result<Plan, Unusable> {
        let (arguments, env) = if request.body.len() < LARGE_BYTES {
            self.texts.render(request)?
        } else {
            let (texts, large) = (Arc::clone(&self.texts), request.clone());
            match tokio::task::spawn_blocking(move || texts.render(&large)).await {
                Ok(rendered) => rendered?,
                // No thread was to be had: it takes a moment longer.
                Err(_) => self.texts.render(request)?,
            }
        };
        Ok(Plan {
            program: self.program.clone(),
            arguments,
            env,
            confinement: self.confinement.clone(),
            locks: self.locks.iter().flat_map(lock_files).collect(),
            grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            keep_background: self.keep_background,
        })
    }

    async fn attempt(&self, request: &ActionRequest, started: Instant) -> AttemptOutcome {
        let limit = Duration::from_millis(request.timeout_ms);
        let grace = self.grace.min(limit / 2);
        let plan = match self.plan(request, grace).await {
            Ok(plan) => plan,
            Err(Unusable(why)) => {
                return AttemptOutcome::given_up(AttemptError::ProgramNotStarted, why);
            }
        };
        if let Some(locks) = &self.locks
            && let Err(error) = make_private_folder(&locks.folder)
        {
            let note = format!("the folder {} cannot be made: {error}", locks.folder.display());
            return AttemptOutcome::not_done(AttemptError::ProgramNotStarted, note);
        }
        let mut report = Reporter {
            request,
            kept: Kept::default(),
            lines: self.log_output.then(|| Lines::new(started)),
        };
        let time = Time { started, limit, grace };
        let ended = run(&self.launcher, &plan, request.body.clone(), time, &mut report).await;
        let kept = report.finish();
        let problem = not_started(&ended, kept.head());
        let mut outcome = match problem {
            Some(problem) => AttemptOutcome::not_done(AttemptError::ProgramNotStarted, problem),
            None => self.judge(ended, limit),
        };
        if outcome.error != Some(AttemptError::ProgramNotStarted) {
            (outcome.body, outcome.body_truncated) = kept.finish();
        }
        outcome
    }

    fn judge(&self, ended: Ended, limit: Duration) -> AttemptOutcome {
        let failed = AttemptError::ProgramFailed;
        match ended {
            Ended::Exited(code) => match self.exits.meaning(code) {
                Meaning::Success => AttemptOutcome::done(exit_words(code)),
                Meaning::Retry => AttemptOutcome::not_done(failed, exit_words(code)),
                Meaning::GiveUp => AttemptOutcome::given_up(failed, exit_words(code)),
            },
            Ended::Killed(signal) => AttemptOutcome::not_done(failed, signal_words(signal)),
            Ended::TimedOut { gently } => {
                let how = if gently { "it ended when it was told to" } else { "it was killed" };
                let note = format!("it had {} s; {how}", seconds(limit));
                AttemptOutcome::not_done(AttemptError::ProgramTimeout, note)
            }
            Ended::NotStarted { problem, too_long: true } => AttemptOutcome {
                acted: Some(Acted::GiveUp),
                ..AttemptOutcome::not_done(
                    AttemptError::ProgramNotStarted,
                    format!(
                        "arguments and variables are longer than the system passes on ({problem}); \
                         read the payload from standard input"
                    ),
                )
            },
            Ended::NotStarted { problem, .. } => {
                AttemptOutcome::not_done(AttemptError::ProgramNotStarted, problem)
            }
            Ended::Locked { holder } => {
                let who = if holder.is_empty() { String::new() } else { format!(" ({holder})") };
                AttemptOutcome::not_done(
                    AttemptError::ProgramNotStarted,
                    format!("an earlier run of this endpoint has not ended{who}"),
                )
            }
            Ended::Lost => AttemptOutcome::not_done(
                failed,
                "the process that watches over the program was killed, and the program with it",
            ),
        }
    }
}

#[async_trait]
impl Action for ExecAction {
    async fn act(&self, request: ActionRequest) -> AttemptOutcome {
        let started = Instant::now();
        let mut outcome = self.attempt(&request, started).await;
        outcome.timings.total_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        outcome
    }
}

/// Why the program did not start, if the process that was to become it says so.
fn not_started(ended: &Ended, head: &[u8]) -> Option<String> {
    if *ended != Ended::Exited(NOT_STARTED_CODE) {
        return None;
    }
    let problem = head.strip_prefix(NOT_STARTED_MARK.as_bytes())?;
    Some(String::from_utf8_lossy(problem).into_owned())
}

fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        time.as_secs().to_string()
    } else {
        format!("{:.1}", time.as_secs_f64())
    }
}

/// Keeps what a program prints, and writes it to the log.
struct Reporter<'r> {
    request: &'r ActionRequest,
    kept: Kept,
    lines: Option<Lines>,
}

impl Reporter<'_> {
    fn finish(mut self) -> Kept {
        let request = self.request;
        if let Some(lines) = self.lines.take() {
            let left_out = lines.finish(Instant::now(), |line| log_line(request, line));
            if left_out > 0 {
                tracing::warn!(
                    endpoint = %request.endpoint,
                    event = %request.event_id,
                    left_out,
                    "exec.output: lines came faster than they are logged"
                );
            }
        }
        self.kept
    }
}

impl Watcher for Reporter<'_> {
    fn output(&mut self, bytes: &[u8]) {
        let begins = self.kept.head().is_empty();
        self.kept.push(bytes);
        // What stands in the outcome's note anyway.
        if begins && bytes.starts_with(&NOT_STARTED_MARK.as_bytes()[..1]) {
            self.lines = None;
        }
        let request = self.request;
        if let Some(lines) = &mut self.lines {
            lines.push(bytes, Instant::now(), |line| log_line(request, line));
        }
    }

    fn waiting(&mut self, holder: &str) {
        tracing::warn!(
            endpoint = %self.request.endpoint,
            event = %self.request.event_id,
            holder,
            "exec.waiting: an earlier run has not ended"
        );
    }
}

fn log_line(request: &ActionRequest, line: &str) {
    tracing::info!(
        endpoint = %request.endpoint,
        event = %request.event_id,
        attempt = request.attempt,
        line,
        "exec.output"
    );
}

fn lock_files(locks: &Locks) -> impl Iterator<Item = PathBuf> {
    let Locks { folder, name, count } = locks.clone();
    (0..count.max(1)).map(move |number| folder.join(format!("{name}.{number}.lock")))
}

fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Whether the program is there and may be executed, by somebody at least.
fn check_program(program: &str, path: &str) -> Result<(), ExecError> {
    let named = || program.to_owned();
    let found = if program.starts_with('/') {
        PathBuf::from(program)
    } else if program.contains('/') {
        return Err(ExecError::ProgramRelative { program: named() });
    } else {
        std::env::split_paths(path)
            .map(|folder| folder.join(program))
            .find(|candidate| candidate.is_file())
            .ok_or_else(|| ExecError::ProgramMissing { program: named() })?
    };
    let not_executable = |problem: &str| ExecError::ProgramNotExecutable {
        program: named(),
        problem: problem.to_owned(),
    };
    match std::fs::metadata(&found) {
        Ok(file) if !file.is_file() => Err(not_executable("it is not a file")),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => {
            Err(not_executable("nobody may; run `chmod +x` on it"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(not_executable("the gateway may not look into its folder"))
        }
        Err(_) => Err(ExecError::ProgramMissing { program: named() }),
    }
}

fn check_codes(settings: &Settings) -> Result<(), ExecError> {
    if let Some(both) = settings.success.iter().find(|code| settings.give_up.contains(code)) {
        let problem = format!("{both} is in `success` too; write it into one of them");
        return Err(ExecError::Setting { key: "give_up", problem });
    }
    if settings.success.is_empty() {
        let problem = "no exit code means success; write [0]".to_owned();
        return Err(ExecError::Setting { key: "success", problem });
    }
    Ok(())
}

/// Whom it runs as, if that is somebody else than the gateway.
fn account(settings: &Settings) -> Result<Account, ExecError> {
    let (user, group) = (settings.user.as_deref(), settings.group.as_deref());
    if user.is_none() && group.is_none() {
        return Ok(Account::default());
    }
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let mut account = find(user, group, &read(PASSWD), &read(GROUP))?;
    let own_user = rustix::process::geteuid();
    if !own_user.is_root() {
        let cannot = |kind, name: Option<&str>| ExecError::CannotBecome {
            kind,
            name: name.unwrap_or_default().to_owned(),
        };
        if account.user.is_some_and(|user| user != own_user.as_raw()) {
            return Err(cannot("user", user));
        }
        if group.is_some() && account.group != Some(rustix::process::getegid().as_raw()) {
            return Err(cannot("group", group));
        }
        (account.user, account.group, account.groups) = (None, None, None);
    }
    Ok(account)
}

fn confinement(settings: &Settings, account: &Account) -> Result<Confinement, ExecError> {
    let folder = settings.working_directory.clone().unwrap_or_else(|| "/".to_owned());
    let wrong = |problem| ExecError::WorkingDirectory { folder: folder.clone(), problem };
    if !folder.starts_with('/') {
        return Err(wrong("is a relative path; write it from `/` on"));
    }
    match std::fs::metadata(&folder) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(wrong("is not a folder")),
        // It may belong to the program's user alone.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
        Err(_) => return Err(wrong("does not exist; make it, or leave the setting out for `/`")),
    }
    let umask = settings.umask.as_deref().map(|text| {
        let digits = text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        u32::from_str_radix(text, 8).ok().filter(|mask| digits && *mask <= 0o777).ok_or_else(|| {
            let problem = format!("`{text}` is no mask; write octal digits such as \"022\"");
            ExecError::Setting { key: "umask", problem }
        })
    });
    if settings.nice > 19 {
        let problem = "write 0 to 19".to_owned();
        return Err(ExecError::Setting { key: "nice", problem });
    }
    let limits = &settings.limits;
    for (key, zero) in [
        ("limits.memory", limits.memory_bytes == Some(0)),
        ("limits.cpu", limits.cpu_s == Some(0)),
        ("limits.open_files", limits.open_files.is_some_and(|files| files < 4)),
        ("limits.processes", limits.processes == Some(0)),
    ] {
        if zero {
            let problem = "with so little nothing can run".to_owned();
            return Err(ExecError::Setting { key, problem });
        }
    }
    Ok(Confinement {
        guardian: 0,
        working_directory: folder,
        user: account.user,
        group: account.group,
        groups: account.groups.clone(),
        umask: umask.transpose()?,
        nice: i32::from(settings.nice),
        memory_bytes: limits.memory_bytes,
        cpu_s: limits.cpu_s,
        open_files: limits.open_files,
        processes: limits.processes,
        file_size_bytes: limits.file_size_bytes,
        no_new_privileges: settings.no_new_privileges,
    })
}

#[cfg(test)]
pub(crate) mod tests;

//! One gateway through many processes: each is started by the one before it.

use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output};
use std::time::{Duration, Instant};

use crate::support::gateway::{ADMIN_TOKEN, Gateway, Place};
use crate::support::wait_until;

/// The processes of one place. Those that are left are killed at the end.
pub struct Chain<'p> {
    pub place: &'p Place,
    /// The one that this test started.
    pub first: Gateway<'p>,
    /// The one that serves.
    pub pid: u32,
    all: Vec<u32>,
}

/// What `becket restart` said.
#[derive(Debug)]
pub struct Restarted {
    /// How long no request could be stored, as the old process measured it.
    pub pause_ms: u64,
    /// How long the command took.
    pub took: Duration,
}

impl<'p> Chain<'p> {
    /// Starts the first process and waits until it is ready.
    pub fn start(place: &'p Place) -> Self {
        let first = place.start();
        Self::of(place, first)
    }

    /// Goes on from a process that is ready.
    pub fn of(place: &'p Place, first: Gateway<'p>) -> Self {
        let pid = first.id();
        Self { place, first, pid, all: vec![pid] }
    }

    /// Restarts with the command; it must succeed.
    pub fn restart(&mut self) -> Restarted {
        let begun = Instant::now();
        let output = self.ask();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "no restart: {text}{}\nthe log ends:\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.place.log_tail()
        );
        let said: serde_json::Value = serde_json::from_str(&text).expect("it prints JSON");
        assert_eq!(said["oldPid"], self.pid, "{said}");
        let pid = u32::try_from(said["pid"].as_u64().expect("a process id")).expect("32 bits");
        self.goes_on_as(pid);
        let pause_ms = said["pauseMs"].as_u64().expect("a pause");
        Restarted { pause_ms, took: begun.elapsed() }
    }

    /// Runs `becket restart --json`.
    pub fn ask(&self) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_becket"));
        command.args(["restart", "--json", "--config"]).arg(self.place.config());
        command.env("BECKET_ADMIN_TOKEN", ADMIN_TOKEN).current_dir(&self.place.folder);
        command.output().expect("the command can be run")
    }

    /// Sends a signal to the process that serves.
    pub fn signal(&self, name: &str) {
        signal(self.pid, name);
    }

    /// Notes the process that serves from now on.
    pub fn goes_on_as(&mut self, pid: u32) {
        assert_ne!(pid, self.pid, "the same process goes on");
        self.pid = pid;
        self.all.push(pid);
    }

    /// Waits until the log says that the serving process handed over, and answers to whom.
    pub fn wait_handed_over(&mut self, times: usize) {
        let told = || -> Vec<u32> {
            self.place.log().lines().filter_map(|line| pid_in(line, "handed over")).collect()
        };
        let done = wait_until(Duration::from_secs(30), || told().len() >= times);
        assert!(done, "handed over {} times:\n{}", told().len(), self.place.log_tail());
        let pid = told()[times - 1];
        self.goes_on_as(pid);
    }

    /// The processes that were started to follow, as far as the log says.
    pub fn started(&self) -> Vec<u32> {
        self.place.log().lines().filter_map(|line| pid_in(line, "restarting: ")).collect()
    }

    /// Waits until the first process has ended; the others are no children of this test.
    pub fn wait_first_ended(&mut self, limit: Duration) -> ExitStatus {
        self.first.wait_end(limit)
    }

    /// Stops the process that serves and waits until it has ended.
    pub fn stop(&mut self) {
        self.signal("TERM");
        let pid = self.pid;
        assert!(
            wait_until(Duration::from_secs(40), || !is_running(pid)),
            "still running:\n{}",
            self.place.log_tail()
        );
    }

    /// The processes of this chain that run.
    pub fn running(&self) -> Vec<u32> {
        self.all.iter().copied().filter(|pid| is_running(*pid)).collect()
    }
}

impl Drop for Chain<'_> {
    fn drop(&mut self) {
        // The first is killed by its own guard.
        for pid in self.all.iter().skip(1).copied().filter(|pid| is_running(*pid)) {
            signal(pid, "KILL");
        }
    }
}

/// The process that a line of the log is about, if its message begins like this.
fn pid_in(line: &str, beginning: &str) -> Option<u32> {
    let said: serde_json::Value = serde_json::from_str(line).ok()?;
    if !said["message"].as_str()?.starts_with(beginning) {
        return None;
    }
    said["pid"].as_u64()?.try_into().ok()
}

/// Whether a process of this binary has this number, and is no zombie.
fn is_running(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let zombie = status.lines().any(|line| line.starts_with("State:") && line.contains('Z'));
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_else(|_| PathBuf::new());
    !zombie && program.to_string_lossy().contains("becket")
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.expect("kill can be run").success(), "kill -{name} {pid} failed");
}

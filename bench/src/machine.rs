//! What was measured where: the facts without which figures say nothing.

use std::process::Command;

use serde::Serialize;

use crate::clock;

/// The machine, the date and the state of the sources.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// What the processor calls itself.
    pub processor: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The kernel.
    pub kernel: String,
    /// When the run began.
    pub date: String,
    /// The commit that was built, with `+changes` if files differed from it.
    pub commit: String,
    /// How many processes wanted a core before the run began (averages of 1, 5 and 15 minutes).
    pub load_before: String,
}

impl Machine {
    /// Looks around.
    pub fn look() -> Self {
        let uname = rustix::system::uname();
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |path: &str, key: &str| {
            let text = text(path);
            let line = text.lines().find_map(|line| line.strip_prefix(key).map(str::to_owned));
            line.unwrap_or_default().trim_start_matches([':', '\t', ' ']).to_owned()
        };
        let kib = field("/proc/meminfo", "MemTotal");
        let kib: u64 = kib.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: field("/proc/cpuinfo", "model name"),
            memory_mib: kib / 1_024,
            kernel: format!(
                "{} {}",
                uname.sysname().to_string_lossy(),
                uname.release().to_string_lossy()
            ),
            date: clock::date(),
            commit: commit(),
            load_before: load(),
        }
    }
}

/// The load averages.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if !changes.is_empty() => format!("{commit}+changes"),
        _ => commit,
    }
}

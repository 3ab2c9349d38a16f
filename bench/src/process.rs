//! What the kernel says about processes: processor time, memory, and the machine's load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::error::{BenchError, Result, doing};

/// A process counts as settled when it uses less than this of one core.
const SETTLED_SHARE: f64 = 0.04;
const SETTLE_STEP: Duration = Duration::from_millis(250);
/// Steps in a row that have to be quiet.
const SETTLED_STEPS: usize = 3;

/// Memory of a process in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// What is in memory now (VmRSS).
    pub resident: u64,
    /// The most that was (VmHWM).
    pub peak: u64,
    /// Of what is in memory, what belongs to no file (RssAnon).
    pub anonymous: u64,
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).map_err(doing(format!("reading {path}")))
}

fn unexpected(path: &str, detail: &str) -> BenchError {
    BenchError::Figures { path: path.to_owned(), detail: detail.to_owned() }
}

fn ticks(count: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_micros(count * 1_000_000 / per_second)
}

/// Processor time of a process so far, user and system.
pub fn cpu(pid: u32) -> Result<Duration> {
    cpu_in(&format!("/proc/{pid}/stat"))
}

fn cpu_in(path: &str) -> Result<Duration> {
    let text = read(path)?;
    // The name may hold anything; the fields begin behind its closing bracket.
    let (_, fields) = text.rsplit_once(')').ok_or_else(|| unexpected(path, "no name"))?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    match (times.next(), times.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok(ticks(user + system)),
        _ => Err(unexpected(path, "no processor times")),
    }
}

/// Processor time so far of a process and of everything that descends from it, what has ended and
/// was waited for included: a server that has a process for each connection is measured by its first.
pub fn cpu_of_tree(pid: u32) -> Result<Duration> {
    let mut parents = BTreeMap::<u32, Vec<u32>>::new();
    let entries = std::fs::read_dir("/proc").map_err(doing("reading /proc"))?;
    for entry in entries.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end between being listed and being read.
        if let Ok(parent) = parent_of(child) {
            parents.entry(parent).or_default().push(child);
        }
    }
    let mut sum = cpu_with_ended(pid)?;
    let mut known = parents.remove(&pid).unwrap_or_default();
    while let Some(child) = known.pop() {
        sum += cpu_with_ended(child).unwrap_or_default();
        known.extend(parents.remove(&child).unwrap_or_default());
    }
    Ok(sum)
}

/// The fields of a process behind its name, which may hold anything.
fn fields_of(pid: u32) -> Result<(String, Vec<u64>)> {
    let path = format!("/proc/{pid}/stat");
    let text = read(&path)?;
    let (_, fields) = text.rsplit_once(')').ok_or_else(|| unexpected(&path, "no name"))?;
    // The first one is a letter, and a few that nobody asks for here may be negative.
    let numbers = fields.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0));
    Ok((path, numbers.collect()))
}

fn parent_of(pid: u32) -> Result<u32> {
    let (path, fields) = fields_of(pid)?;
    let parent = fields.first().and_then(|parent| u32::try_from(*parent).ok());
    parent.ok_or_else(|| unexpected(&path, "no parent"))
}

/// Processor time of a process and of its children that have ended.
fn cpu_with_ended(pid: u32) -> Result<Duration> {
    let (path, fields) = fields_of(pid)?;
    // utime, stime, cutime and cstime.
    let times = fields.get(10..14).ok_or_else(|| unexpected(&path, "no processor times"))?;
    Ok(ticks(times.iter().sum()))
}

/// Processor time of each thread so far; threads that share a name up to a number are added up.
pub fn cpu_of_threads(pid: u32) -> Result<BTreeMap<String, Duration>> {
    let folder = format!("/proc/{pid}/task");
    let entries = std::fs::read_dir(&folder).map_err(doing(format!("reading {folder}")))?;
    let mut sums = BTreeMap::<String, Duration>::new();
    for entry in entries.flatten() {
        let thread = entry.path().display().to_string();
        // A thread may end between being listed and being read.
        let (Ok(name), Ok(time)) =
            (read(&format!("{thread}/comm")), cpu_in(&format!("{thread}/stat")))
        else {
            continue;
        };
        let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit());
        *sums.entry(name.trim_end_matches('-').to_owned()).or_default() += time;
    }
    Ok(sums)
}

/// Memory of a process.
pub fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = read(&path)?;
    let of = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        number.map(|kib| kib * 1_024).ok_or_else(|| unexpected(&path, key))
    };
    Ok(Memory { resident: of("VmRSS")?, peak: of("VmHWM")?, anonymous: of("RssAnon")? })
}

/// Processor time of the whole machine so far, idle time left out.
pub fn busy() -> Result<Duration> {
    let path = "/proc/stat";
    let text = read(path)?;
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> =
        line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user and nice.
    match fields.as_slice() {
        [user, nice, system, _, _, irq, soft, steal, ..] => {
            Ok(ticks(user + nice + system + irq + soft + steal))
        }
        _ => Err(unexpected(path, "too few fields")),
    }
}

/// Waits until a process has no work left, at most `patience`; answers whether it came to rest.
pub fn settle(pid: u32, patience: Duration) -> Result<bool> {
    settle_by(|| cpu(pid), 1, patience)
}

/// The same for several processes with all that descends from them.
pub fn settle_trees(pids: &[u32], patience: Duration) -> Result<bool> {
    settle_by(|| cpu_of_trees(pids), pids.len(), patience)
}

/// Processor time so far of several processes with all that descends from them.
pub fn cpu_of_trees(pids: &[u32]) -> Result<Duration> {
    pids.iter().map(|pid| cpu_of_tree(*pid)).sum()
}

fn settle_by(
    cpu: impl Fn() -> Result<Duration>,
    processes: usize,
    patience: Duration,
) -> Result<bool> {
    let begin = Instant::now();
    let mut quiet = 0;
    let mut before = cpu()?;
    while begin.elapsed() < patience {
        std::thread::sleep(SETTLE_STEP);
        let now = cpu()?;
        let share = now.saturating_sub(before).as_secs_f64() / SETTLE_STEP.as_secs_f64();
        before = now;
        quiet = if share <= SETTLED_SHARE * processes as f64 { quiet + 1 } else { 0 };
        if quiet >= SETTLED_STEPS {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Raises the number of files this process and its children may open; answers with what holds.
pub fn raise_open_files(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let current = now.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    let maximum = now.maximum.map(|maximum| maximum.max(wanted));
    let within = now.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let tries = [
        Rlimit { current: Some(wanted), maximum },
        Rlimit { current: Some(within), maximum: now.maximum },
    ];
    for limit in tries {
        if setrlimit(Resource::Nofile, limit).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_what_its_branches_used() {
        let busy = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done";
        let script = format!("({busy}); ({busy}) & wait; sleep 5");
        let mut child = std::process::Command::new("sh").args(["-c", &script]).spawn().unwrap();
        let begin = Instant::now();
        // What has ended counts by itself: the shell does nothing but wait.
        while cpu_of_tree(child.id()).unwrap() < Duration::from_millis(40) {
            assert!(begin.elapsed() < Duration::from_secs(30), "nothing was counted");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(cpu_of_tree(child.id()).unwrap() >= cpu(child.id()).unwrap());
        child.kill().and_then(|()| child.wait()).unwrap();
        assert!(cpu_of_tree(child.id()).is_err());
    }

    #[test]
    fn this_process_has_figures() {
        let pid = std::process::id();
        assert!(cpu(pid).is_ok());
        assert!(!cpu_of_threads(pid).expect("threads").is_empty());
        let memory = memory(pid).expect("memory");
        assert!(memory.peak >= memory.resident && memory.resident >= memory.anonymous);
        assert!(busy().expect("busy") > Duration::ZERO);
    }
}

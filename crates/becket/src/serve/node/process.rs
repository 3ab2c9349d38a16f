//! Which process this is, so that nodes of the same machine can tell that another one is gone and need
//! not wait for the end of its membership.
//!
//! Invariant: only a process that this one would know of is ever called gone: same start of the machine,
//! same space of process numbers. One that is merely hidden, because it is another user's, is not.

use becket_store::cluster::{NodeNumber, NodeRow};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// A process among all of all machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    /// Another one after each start of the machine.
    boot: String,
    /// The space in which process numbers count, which containers have of their own.
    space: String,
    pid: u32,
    /// When it began, as the kernel counts; numbers are used again.
    began: u64,
}

impl Process {
    /// This process; `None` where the system does not say.
    pub(super) fn own() -> Option<Self> {
        let pid = std::process::id();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
        Some(Self {
            boot: boot.trim().to_owned(),
            space: space.display().to_string(),
            pid,
            began: match seen(pid) {
                Seen::Began(began) => began,
                Seen::Ended | Seen::Hidden => return None,
            },
        })
    }

    /// Whether another process, which would be seen from here, has ended.
    fn knows_gone(&self, other: &Self) -> bool {
        self.boot == other.boot
            && self.space == other.space
            && self != other
            && seen(other.pid).is_gone(other.began)
    }
}

/// What can be seen of a process number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// A process that began then.
    Began(u64),
    /// None, or one that has ended and only waits to be asked about.
    Ended,
    /// One that this process may not look at.
    Hidden,
}

impl Seen {
    /// Whether the process that began at a moment has ended.
    const fn is_gone(self, began: u64) -> bool {
        match self {
            Self::Began(other) => other != began,
            Self::Ended => true,
            Self::Hidden => false,
        }
    }
}

/// Looks at a process by its line in `/proc`, which may be set up to hide those of other users: then
/// only a signal that is none tells whether there is one.
fn seen(pid: u32) -> Seen {
    let Ok(line) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        return match pid.map(test_kill_process) {
            Some(Err(Errno::SRCH)) => Seen::Ended,
            _ => Seen::Hidden,
        };
    };
    began(&line).unwrap_or(Seen::Ended)
}

/// The name may hold anything; after its closing parenthesis come state and numbers.
fn began(line: &str) -> Option<Seen> {
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok().map(Seen::Began)
}

/// The nodes whose processes were on this machine and are gone.
pub(super) fn gone(nodes: &[NodeRow], own: NodeNumber) -> Vec<NodeNumber> {
    let Some(process) = Process::own() else { return Vec::new() };
    let is_gone = |node: &&NodeRow| {
        node.number != own
            && serde_json::from_str::<Process>(&node.host)
                .is_ok_and(|other| process.knows_gone(&other))
    };
    nodes.iter().filter(is_gone).map(|node| node.number).collect()
}

/// The name of the machine.
pub(super) fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "node".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_is_gone_and_others_are_not() {
        let own = Process::own().unwrap();
        assert!(!own.knows_gone(&own));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let Seen::Began(began) = seen(child.id()) else { panic!("it runs") };
        let other = Process { pid: child.id(), began, ..own.clone() };
        assert!(!own.knows_gone(&other), "it runs");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(own.knows_gone(&other));
        assert!(!own.knows_gone(&Process { boot: "another".to_owned(), ..other.clone() }));
        assert!(!own.knows_gone(&Process { space: "another".to_owned(), ..other.clone() }));
        assert!(!Seen::Hidden.is_gone(own.began), "another user's may well run");
        let again = Process { pid: own.pid, began: own.began + 1, ..other };
        assert!(own.knows_gone(&again), "its number was used again");
    }
}

//! Which process this is, so that nodes of the same machine can tell that another one is gone and need
//! not wait for the end of its membership.
//!
//! Invariant: only a process that this one could see is ever called gone: same start of the machine,
//! same space of process numbers.

use becket_store::cluster::{NodeNumber, NodeRow};
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
            began: began(pid)?,
        })
    }

    /// Whether another process, which would be seen from here, has ended.
    fn knows_gone(&self, other: &Self) -> bool {
        self.boot == other.boot
            && self.space == other.space
            && self != other
            && began(other.pid) != Some(other.began)
    }
}

/// When a process began, by its line in `/proc`; `None` if there is none or it has ended and only waits
/// to be asked about.
fn began(pid: u32) -> Option<u64> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; after its closing parenthesis come state and numbers.
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
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
        let other = Process { pid: child.id(), began: began(child.id()).unwrap(), ..own.clone() };
        assert!(!own.knows_gone(&other), "it runs");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(own.knows_gone(&other));
        assert!(!own.knows_gone(&Process { boot: "another".to_owned(), ..other.clone() }));
        assert!(!own.knows_gone(&Process { space: "another".to_owned(), ..other.clone() }));
        let again = Process { pid: own.pid, began: own.began + 1, ..other };
        assert!(own.knows_gone(&again), "its number was used again");
    }
}

//! Where the gateway lives: its data folder, the disk below it, and the limits of its process.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Finding, bytes};

/// Less than this times the threshold is too near to it.
const NEAR: u64 = 3;

/// Looks at the data folder: that it is there, whose it is, who may read it.
#[must_use]
pub fn folder(folder: &Path) -> Vec<Finding> {
    const CHECK: &str = "data_folder";
    let shown = folder.display();
    let meta = match std::fs::metadata(folder) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return vec![
                Finding::note(CHECK, format!("{shown} is not there yet"))
                    .advise("`becket serve` makes it when it starts for the first time"),
            ];
        }
        Err(error) => {
            return vec![
                Finding::problem(CHECK, format!("{shown} cannot be looked at: {error}"))
                    .advise("run this as the user that runs the gateway"),
            ];
        }
    };
    if !meta.is_dir() {
        return vec![
            Finding::problem(CHECK, format!("{shown} is a file, not a folder"))
                .advise("name another place with [store] url = \"sqlite:FOLDER\""),
        ];
    }
    let mut findings = Vec::new();
    let is_writable =
        rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
            .is_ok();
    if !is_writable {
        findings.push(
            Finding::problem(CHECK, format!("{shown} cannot be written by this user"))
                .advise("run this as the user that runs the gateway; if that is this user: chown"),
        );
    }
    if meta.mode() & 0o077 != 0 {
        findings.push(
            Finding::warning(
                CHECK,
                format!("{shown} can be entered by others (mode {:o})", meta.mode() & 0o777),
            )
            .advise(format!("chmod 700 {shown}: events and secrets are in there")),
        );
    }
    for name in ["master.key", "admin-token"] {
        if let Some(finding) = secret_file(&folder.join(name)) {
            findings.push(finding);
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine(CHECK, format!("{shown}, closed to others")));
    }
    findings
}

/// A file that only its owner should read.
fn secret_file(file: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(file).ok()?.mode();
    (mode & 0o077 != 0).then(|| {
        let shown = file.display();
        Finding::problem(
            "data_folder",
            format!("{shown} can be read by others (mode {:o})", mode & 0o777),
        )
        .advise(format!("chmod 600 {shown}; if somebody may have read it, exchange it"))
    })
}

/// Free space against the threshold below which requests are refused, and against the cap.
#[must_use]
pub fn space(
    folder: &Path,
    min_free_bytes: u64,
    cap_bytes: u64,
    used_bytes: Option<u64>,
) -> Finding {
    const CHECK: &str = "disk_space";
    let Some(free) = free_bytes(folder) else {
        return Finding::skipped(CHECK, format!("{} is not there yet", folder.display()));
    };
    judge_space(free, min_free_bytes, cap_bytes, used_bytes)
}

fn judge_space(free: u64, min_free: u64, cap: u64, used: Option<u64>) -> Finding {
    const CHECK: &str = "disk_space";
    let threshold = format!("requests are refused below {}", bytes(min_free));
    if free < min_free {
        return Finding::problem(CHECK, format!("{} free; {threshold}", bytes(free)))
            .advise("free some space, or make [store] retention or cap smaller")
            .advise("until then senders get 503 and come back: nothing is lost while they do");
    }
    let to_come = cap.saturating_sub(used.unwrap_or(0));
    if free < min_free.saturating_mul(NEAR) {
        return Finding::warning(CHECK, format!("{} free; {threshold}", bytes(free)))
            .advise("free some space soon");
    }
    if used.is_some() && free - min_free < to_come {
        return Finding::warning(
            CHECK,
            format!("{} free, and the store may still grow by {}", bytes(free), bytes(to_come)),
        )
        .advise(format!(
            "set [store] cap to what there is, at most {}",
            bytes(used.unwrap_or(0) + free - min_free)
        ));
    }
    Finding::fine(CHECK, format!("{} free", bytes(free)))
}

/// The space that this user may fill, of the nearest folder that is there.
fn free_bytes(folder: &Path) -> Option<u64> {
    let there = std::path::absolute(folder).ok()?;
    let there = there.ancestors().find(|path| path.exists())?.to_owned();
    let stat = rustix::fs::statvfs(&there).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// What a file system is, as far as its promises go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    Keeps,
    Memory,
    Network,
    Layer,
    Foreign,
}

/// Whether what is synced is on a disk afterwards.
#[must_use]
pub fn file_system(folder: &Path) -> Finding {
    const CHECK: &str = "file_system";
    let Some(there) = std::path::absolute(folder)
        .ok()
        .and_then(|path| path.ancestors().find(|path| path.exists()).map(Path::to_owned))
    else {
        return Finding::skipped(CHECK, format!("{} is not there yet", folder.display()));
    };
    match rustix::fs::statfs(&there) {
        Ok(stat) => {
            #[allow(clippy::useless_conversion, reason = "its width differs between platforms")]
            let kind = i64::from(stat.f_type);
            judge_file_system(kind)
        }
        Err(error) => {
            Finding::skipped(CHECK, format!("{} tells nothing: {error}", there.display()))
        }
    }
}

fn judge_file_system(kind: i64) -> Finding {
    const CHECK: &str = "file_system";
    let (name, promise) = known_file_system(kind);
    match promise {
        Promise::Keeps => Finding::fine(CHECK, format!("{name}: what is synced stays")),
        Promise::Memory => {
            Finding::problem(CHECK, format!("{name}: everything is gone after a restart"))
                .advise("put [store] url on a disk; for a trial this may be what you want")
        }
        Promise::Network => {
            Finding::problem(CHECK, format!("{name}: locks and syncs are not to be relied on"))
                .advise("put [store] url on a local disk: SQLite files break on network mounts")
        }
        Promise::Layer => {
            Finding::warning(CHECK, format!("{name}: it goes away with the container"))
                .advise("mount a volume and put [store] url on it")
        }
        Promise::Foreign => {
            Finding::note(CHECK, format!("{name}: whether a sync reaches the disk is not known"))
                .advise("a disk with ext4, xfs, btrfs or zfs is known to keep what is synced")
        }
    }
}

/// The numbers are those of Linux (`statfs(2)`).
fn known_file_system(kind: i64) -> (&'static str, Promise) {
    match kind & 0xffff_ffff {
        0xef53 => ("ext4", Promise::Keeps),
        0x5846_5342 => ("xfs", Promise::Keeps),
        0x9123_683e => ("btrfs", Promise::Keeps),
        0x2fc1_2fc1 => ("zfs", Promise::Keeps),
        0xf2f5_2010 => ("f2fs", Promise::Keeps),
        0xca45_1a4e => ("bcachefs", Promise::Keeps),
        0x0102_1994 => ("tmpfs, in memory", Promise::Memory),
        0x8584_58f6 => ("ramfs, in memory", Promise::Memory),
        0x6969 => ("nfs, over the network", Promise::Network),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => ("smb, over the network", Promise::Network),
        0x00c3_6400 => ("ceph, over the network", Promise::Network),
        0x6573_5546 => ("fuse", Promise::Foreign),
        0x0102_1997 => ("9p, from the host", Promise::Network),
        0x794c_7630 => ("overlayfs, a container's own layer", Promise::Layer),
        0x6a65_6a63 => ("virtiofs, from the host", Promise::Foreign),
        _ => ("an unknown file system", Promise::Foreign),
    }
}

/// The most files that a process may have open, and how many connections it is to hold.
#[must_use]
pub fn open_files(
    whose: &str,
    limit: Option<u64>,
    connections_max: u64,
    attempts_max: u64,
) -> Finding {
    const CHECK: &str = "open_files";
    // Databases, listeners, log and what a runtime holds.
    const OTHERS: u64 = 200;
    let Some(limit) = limit else {
        return Finding::fine(CHECK, format!("{whose}: no limit"));
    };
    let wanted = connections_max.saturating_add(attempts_max).saturating_add(OTHERS);
    if limit < attempts_max + OTHERS + 100 {
        return Finding::problem(CHECK, format!("{whose}: {limit} at most, which is soon used up"))
            .advise("raise it: LimitNOFILE=65536 for systemd, ulimit -n 65536 in a shell");
    }
    // A connection more or less is no reason to warn.
    if limit < wanted / 10 * 9 {
        return Finding::warning(
            CHECK,
            format!("{whose}: {limit} at most, and the configuration allows for {wanted}"),
        )
        .advise("raise it: LimitNOFILE=65536 for systemd, ulimit -n 65536 in a shell")
        .advise("or make [server] connections_max smaller");
    }
    Finding::fine(CHECK, format!("{whose}: {limit}"))
}

/// The limit of this very process on open files; `None` if there is none.
#[must_use]
pub fn own_open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The limit of another process on this machine, from the text of its `/proc/<pid>/limits`.
#[must_use]
pub fn open_files_of(limits: &str) -> Option<u64> {
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line["Max open files".len()..].split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::Level;
    use super::*;

    #[test]
    fn a_folder_is_looked_at() {
        let guard = tempfile::tempdir().unwrap();
        let own = guard.path().join("data");
        assert_eq!(folder(&own)[0].level, Level::Note);
        std::fs::create_dir(&own).unwrap();
        let open = |mode| std::fs::set_permissions(&own, PermissionsExt::from_mode(mode)).unwrap();
        open(0o755);
        assert_eq!(folder(&own)[0].level, Level::Warning);
        open(0o700);
        assert_eq!(folder(&own)[0].level, Level::Fine);
        std::fs::write(own.join("master.key"), "x").unwrap();
        std::fs::set_permissions(own.join("master.key"), PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(folder(&own)[0].level, Level::Problem);
        assert_eq!(folder(&own.join("master.key"))[0].level, Level::Problem);
        assert!(space(&own, 0, 0, None).level == Level::Fine);
        assert_eq!(space(&own, u64::MAX, 0, None).level, Level::Problem);
    }

    #[test]
    fn space_is_judged_by_what_may_come() {
        let gib = 1 << 30;
        for (free, used, level) in [
            (gib / 4, None, Level::Problem),
            (gib, None, Level::Warning),
            (30 * gib, Some(0), Level::Fine),
            (10 * gib, Some(gib), Level::Warning),
            (10 * gib, Some(19 * gib), Level::Fine),
            (10 * gib, None, Level::Fine),
        ] {
            assert_eq!(judge_space(free, gib / 2, 20 * gib, used).level, level, "{free} {used:?}");
        }
    }

    #[test]
    fn file_systems_are_known_by_their_numbers() {
        for (kind, level) in [
            (0xef53, Level::Fine),
            (0x9123_683e_u32 as i32 as i64, Level::Fine),
            (0x0102_1994, Level::Problem),
            (0x6969, Level::Problem),
            (0x794c_7630, Level::Warning),
            (1, Level::Note),
        ] {
            let finding = judge_file_system(kind);
            assert_eq!(finding.level, level, "{kind:x}");
            assert_eq!(finding.advice.is_empty(), level == Level::Fine);
        }
        if Path::new("/dev/shm").exists() {
            assert_eq!(file_system(Path::new("/dev/shm/none/yet")).level, Level::Problem);
        }
    }

    #[test]
    fn limits_are_read_and_judged() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
            Max open files            1024                 524288               files\n";
        assert_eq!(open_files_of(text), Some(1_024));
        assert_eq!(open_files_of("Max open files unlimited unlimited files"), None);
        for (limit, level) in
            [(Some(256), Level::Problem), (Some(1_024), Level::Warning), (None, Level::Fine)]
        {
            assert_eq!(open_files("it", limit, 20_000, 256).level, level);
        }
    }
}

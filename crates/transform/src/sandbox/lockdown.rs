//! The process takes from itself whatever running users' code does not need.
//!
//! Invariants: it cannot open a file or a socket, start a program, map executable memory, gain rights
//! by a set-uid file, or outlive its owner; memory and processor time have an end.
//!
//! Absent: other systems than Linux. Without these walls nothing is run.

/// Why the walls do not stand.
#[derive(Debug, thiserror::Error)]
pub(super) enum LockdownError {
    #[cfg(target_os = "linux")]
    #[error("the limits of the process could not be set: {0}")]
    Limits(#[from] rustix::io::Errno),
    #[cfg(target_os = "linux")]
    #[error("its size could not be read: {0}")]
    Size(#[from] std::io::Error),
    #[cfg(target_os = "linux")]
    #[error("the filter of system calls could not be made: {0}")]
    Filter(#[from] seccompiler::BackendError),
    #[cfg(target_os = "linux")]
    #[error("the filter of system calls was refused by the kernel: {0}")]
    FilterRefused(#[from] seccompiler::Error),
    #[cfg(not(target_os = "linux"))]
    #[error("transformations run on Linux only: there are no walls for them on this system")]
    System,
}

#[cfg(not(target_os = "linux"))]
pub(super) fn enter() -> Result<(), LockdownError> {
    Err(LockdownError::System)
}

#[cfg(target_os = "linux")]
pub(super) use linux::enter;

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;

    use rustix::process::{Resource, Rlimit, Signal};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch,
    };

    use super::LockdownError;

    /// Address space beyond what the program itself takes, in bytes.
    const MEMORY_BYTES: u64 = 256 * 1024 * 1024;
    /// Processor time over the whole life, in seconds; the owner replaces the process long before.
    const PROCESSOR_S: u64 = 60;
    /// How much the process gives way to the gateway.
    const NICE: i32 = 5;

    pub(in crate::sandbox) fn enter() -> Result<(), LockdownError> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        rustix::thread::set_no_new_privs(true)?;
        // Fails where being nice is not possible, which is no reason not to work.
        let _ = rustix::process::nice(NICE);
        for (resource, most) in [
            (Resource::As, size_bytes()?.saturating_add(MEMORY_BYTES)),
            (Resource::Cpu, PROCESSOR_S),
            (Resource::Nofile, 3),
            (Resource::Fsize, 0),
            (Resource::Core, 0),
            (Resource::Nproc, 0),
        ] {
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            rustix::process::setrlimit(resource, limit)?;
        }
        seccompiler::apply_filter(&filter()?)?;
        Ok(())
    }

    /// The address space that the process takes now.
    fn size_bytes() -> std::io::Result<u64> {
        let text = std::fs::read_to_string("/proc/self/statm")?;
        let pages: Option<u64> = text.split(' ').next().and_then(|pages| pages.parse().ok());
        let pages = pages.ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(pages.saturating_mul(rustix::param::page_size() as u64))
    }

    /// What may still be called; everything else is answered "not permitted".
    fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = [
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_brk,
            libc::SYS_madvise,
            libc::SYS_futex,
            libc::SYS_clock_gettime,
            libc::SYS_gettimeofday,
            libc::SYS_getrandom,
            libc::SYS_rt_sigreturn,
            libc::SYS_rt_sigprocmask,
            libc::SYS_sigaltstack,
            libc::SYS_restart_syscall,
            libc::SYS_exit,
            libc::SYS_exit_group,
        ]
        .into_iter()
        .map(|call| (call, Vec::new()))
        .collect();
        let is = |value| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
        rules.insert(libc::SYS_read, vec![SeccompRule::new(vec![is(0)?])?]);
        let writable = vec![SeccompRule::new(vec![is(1)?])?, SeccompRule::new(vec![is(2)?])?];
        rules.insert(libc::SYS_write, writable);
        let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
        let never_code = || {
            let masked = SeccompCmpOp::MaskedEq(executable);
            SeccompRule::new(vec![SeccompCondition::new(2, SeccompCmpArgLen::Dword, masked, 0)?])
        };
        rules.insert(libc::SYS_mmap, vec![never_code()?]);
        rules.insert(libc::SYS_mprotect, vec![never_code()?]);
        let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        let arch = TargetArch::try_from(std::env::consts::ARCH)?;
        SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)?.try_into()
    }
}

//! What a process does to itself before it becomes the program: limits, user, folder.
//!
//! Every step is an ordinary system call of a process with one thread, which is why no `unsafe` is
//! needed: nothing happens between `fork` and `exec`.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::fs::Mode;
use rustix::process::{Gid, Pid, Resource, Rlimit, Signal, Uid};

use crate::wire::Confinement;

/// Confines this process and becomes the program. Returns only if something is in the way.
pub(crate) fn become_program(
    confinement: &Confinement,
    program: &str,
    arguments: &[String],
) -> String {
    // Made first: with little memory left it could not be made any more.
    let mut command = Command::new(program);
    command.args(arguments);
    if let Err(problem) = confine(confinement) {
        return problem;
    }
    let error = command.exec();
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("`{program}` does not exist, or its interpreter does not")
        }
        io::ErrorKind::PermissionDenied => format!("`{program}` may not be executed"),
        _ => format!("`{program}`: {error}"),
    }
}

fn confine(plan: &Confinement) -> Result<(), String> {
    if let Some(umask) = plan.umask {
        rustix::process::umask(Mode::from_raw_mode(umask));
    }
    if plan.nice != 0 {
        rustix::process::nice(plan.nice).map_err(|error| format!("nice {}: {error}", plan.nice))?;
    }
    for (resource, name, value) in [
        (Resource::Cpu, "cpu", plan.cpu_s),
        (Resource::Nofile, "open_files", plan.open_files),
        (Resource::Nproc, "processes", plan.processes),
        (Resource::Fsize, "file_size", plan.file_size_bytes),
    ] {
        limit(resource, name, value)?;
    }
    if let Some(groups) = &plan.groups {
        let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
        rustix::thread::set_thread_groups(&groups).map_err(|e| format!("the groups: {e}"))?;
    }
    if let Some(group) = plan.group.map(Gid::from_raw) {
        rustix::thread::set_thread_res_gid(group, group, group)
            .map_err(|error| format!("the group {}: {error}", group.as_raw()))?;
    }
    if let Some(user) = plan.user.map(Uid::from_raw) {
        rustix::thread::set_thread_res_uid(user, user, user)
            .map_err(|error| format!("the user {}: {error}", user.as_raw()))?;
    }
    if plan.no_new_privileges {
        rustix::thread::set_no_new_privs(true).map_err(|e| format!("no_new_privileges: {e}"))?;
    }
    // As the user who will be there.
    std::env::set_current_dir(&plan.working_directory)
        .map_err(|error| format!("the working directory {}: {error}", plan.working_directory))?;
    // A change of user forgets this, so it comes after. It covers a guardian that is itself killed.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("the parent's death: {error}"))?;
    if rustix::process::getppid().map(Pid::as_raw_pid) != Some(plan.guardian) {
        return Err("the gateway is gone".to_owned());
    }
    limit(Resource::As, "memory", plan.memory_bytes)
}

fn limit(resource: Resource, name: &str, value: Option<u64>) -> Result<(), String> {
    let Some(value) = value else { return Ok(()) };
    // At the soft limit of processor time a program gets SIGXCPU and could catch it; at the hard one,
    // a second later, it is killed.
    let hard = if resource == Resource::Cpu { value + 1 } else { value };
    rustix::process::setrlimit(resource, Rlimit { current: Some(value), maximum: Some(hard) })
        .map_err(|error| format!("the limit `{name}` cannot be set to {value}: {error}"))
}

//! What is refused before anything runs. What runs is tested in `tests/` with real processes.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::*;

/// A delivery with this body.
pub(crate) fn request(body: &str) -> ActionRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    ActionRequest {
        event_id: "msg_1".to_owned(),
        event_type: Some("push".to_owned()),
        source: "github".to_owned(),
        endpoint: "ep_1".to_owned(),
        attempt: 2,
        received_at_ms: 1_767_225_600_000,
        started_at_ms: 1_767_225_600_100,
        method: "POST".to_owned(),
        path: "/in/github?x=1".to_owned(),
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        timeout_ms: 5_000,
    }
}

fn settings(command: &[&str]) -> Settings {
    Settings {
        command: command.iter().map(|text| (*text).to_owned()).collect(),
        base_env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        ..Settings::default()
    }
}

fn refused(settings: Settings) -> &'static str {
    ExecAction::new(settings).err().map_or("", |error| {
        assert!(!error.to_string().is_empty());
        error.code()
    })
}

#[test]
fn commands_are_checked() {
    for (command, expected) in [
        (&["/bin/sh"][..], ""),
        (&["sh", "-c", "true"], ""),
        (&["/bin/echo", "{{body.ref}}"], ""),
        (&[], "command_empty"),
        (&[""], "command_empty"),
        (&["./deploy.sh"], "program_relative"),
        (&["scripts/deploy.sh"], "program_relative"),
        (&["{{body.program}}"], "program_template"),
        (&["/no/such/program"], "program_missing"),
        (&["no-such-program-anywhere"], "program_missing"),
        (&["/etc"], "program_not_executable"),
        (&["/etc/passwd"], "program_not_executable"),
        (&["/bin/echo", "{{body.ref"], "template_unusable"),
        (&["/bin/echo", "{{secret}}"], "template_unusable"),
    ] {
        assert_eq!(refused(settings(command)), expected, "{command:?}");
    }
}

#[test]
fn scripts_have_no_fields() {
    let shell = |command: &[&str]| refused(Settings { shell: true, ..settings(command) });
    assert_eq!(shell(&["echo \"$BECKET_EVENT_ID\" | tee /dev/null"]), "");
    assert_eq!(shell(&["echo {{body.ref}}"]), "shell_template");
    assert_eq!(shell(&["echo", "x"]), "shell_arguments");
}

#[test]
fn the_rest_is_checked() {
    let with = |change: fn(&mut Settings)| {
        let mut settings = settings(&["/bin/true"]);
        change(&mut settings);
        refused(settings)
    };
    assert_eq!(with(|s| s.user = Some("nobody-of-this-name".to_owned())), "unknown_account");
    assert_eq!(with(|s| s.group = Some("nobody-of-this-name".to_owned())), "unknown_account");
    assert_eq!(with(|s| s.working_directory = Some("srv".to_owned())), "working_directory");
    assert_eq!(with(|s| s.working_directory = Some("/no/such".to_owned())), "working_directory");
    assert_eq!(with(|s| s.working_directory = Some("/etc/passwd".to_owned())), "working_directory");
    assert_eq!(with(|s| s.umask = Some("9".to_owned())), "wrong_value");
    assert_eq!(with(|s| s.umask = Some("1777".to_owned())), "wrong_value");
    assert_eq!(with(|s| s.umask = Some("0027".to_owned())), "");
    assert_eq!(with(|s| s.nice = 20), "wrong_value");
    assert_eq!(with(|s| s.give_up = vec![0]), "wrong_value");
    assert_eq!(with(|s| s.success = vec![]), "wrong_value");
    assert_eq!(with(|s| s.limits.cpu_s = Some(0)), "wrong_value");
    assert_eq!(with(|s| s.limits.open_files = Some(3)), "wrong_value");
    let name = |s: &mut Settings| {
        s.env = vec![("BECKET_TOKEN".to_owned(), crate::EnvValue::Fixed("x".to_owned()))];
    };
    assert_eq!(with(name), "variable_unusable");
}

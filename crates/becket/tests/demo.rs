//! The first minute of a new user: start with nothing configured, paste the printed line, look.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use support::gateway::{Gateway, Place};
use support::{require_command, wait_until};

#[test]
fn the_pasted_line_is_accepted_delivered_and_listed() {
    require_command("curl");
    let place = Place::new();
    let listen = place.address.to_string();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_becket"));
    serve.args(["serve", "--listen", &listen]).current_dir(&place.folder);
    serve.env_remove("BECKET_ADMIN_TOKEN");
    let gateway = Gateway::spawn(&place, serve);
    gateway.wait_ready(Duration::from_secs(20));
    let told = || place.log().contains("becket events list");
    assert!(wait_until(Duration::from_secs(20), told), "{}", place.log_tail());

    let token = place.data().join("admin-token");
    let mode = token.metadata().expect("a token was made and kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others may read the admin token");

    let log = place.log();
    let line = log
        .lines()
        .find(|line| line.trim_start().starts_with("curl "))
        .expect("a curl line is printed");
    let answered = output(Command::new("sh").args(["-c", line.trim()]));
    let answer: serde_json::Value = serde_json::from_str(&answered).expect("it answers with JSON");
    let id = answer["id"].as_str().unwrap_or_else(|| panic!("not accepted: {answered}"));

    let becket = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_becket"));
        command.args(arguments).args(["--url", &format!("http://{listen}")]);
        command.current_dir(&place.folder).env_remove("BECKET_ADMIN_TOKEN");
        output(&mut command)
    };
    let delivered = wait_until(Duration::from_secs(30), || {
        becket(&["events", "list"])
            .lines()
            .any(|line| line.contains(id) && line.contains("delivered"))
    });
    assert!(delivered, "not delivered: {}", becket(&["events", "list"]));
    let shown = becket(&["events", "show", id]);
    for expected in ["genuine", "signed", "attempt 1 at demo/echo", "curl --request POST"] {
        assert!(shown.contains(expected), "`{expected}` is not in:\n{shown}");
    }
    gateway.stop();
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("the command can be run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

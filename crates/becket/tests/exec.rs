//! Endpoints that run a program, with the real binary: what exit codes come to, what a program is given
//! and what it is not, its limits, and that one run at a time means one, whoever is killed.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::gateway::{ADMIN_TOKEN, Gateway, Place};
use support::http::Client;
use support::{EVENTS, wait_until};

const TOKEN: &str = "the-token-of-every-source-here";
const LIMIT: Duration = Duration::from_secs(30);

/// A source of this name with one endpoint, `run`.
fn source(id: &str, endpoint: &str, exec: &str) -> String {
    format!(
        "[[source]]\nid = \"{id}\"\nprovider = \"token\"\nsecrets = [\"{TOKEN}\"]\n\
         params = {{ header = \"x-token\" }}\n\
         [[source.endpoint]]\nid = \"{id}-run\"\n{endpoint}\n[source.endpoint.exec]\n{exec}\n"
    )
}

/// Sends an event; answers its id.
fn post(client: &mut Client, source: &str, body: &[u8]) -> String {
    let headers = [
        ("x-token", TOKEN),
        ("content-type", "application/json"),
        ("x-trick", "$(touch /tmp/becket-never)"),
    ];
    let answer = client.send("POST", &format!("/in/{source}"), &headers, body).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("becket-event-id").expect("the event's id").to_owned()
}

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the folder can be written");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, executable).expect("it is ours");
    path
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The attempts at an event, first one first, with their details.
fn attempts(gateway: &Gateway<'_>, event: &str) -> Vec<Value> {
    let mut all: Vec<Value> = gateway
        .api_list(&format!("/api/v1/becket/attempt?event={event}"))
        .iter()
        .map(|attempt| {
            let id = attempt["id"].as_str().expect("an attempt has an id");
            gateway.api("GET", &format!("/api/v1/becket/attempt/{id}"))
        })
        .collect();
    all.sort_by_key(|attempt| attempt["number"].as_u64());
    all
}

/// Waits until the last attempt at an event leads to this step.
fn wait_for_step(place: &Place, gateway: &Gateway<'_>, event: &str, step: &str) -> Vec<Value> {
    let mut last = Vec::new();
    let came = wait_until(LIMIT, || {
        last = attempts(gateway, event);
        last.last().is_some_and(|attempt| attempt["next"]["step"] == step)
    });
    assert!(came, "{event} is not {step}: {last:#?}\n{}", place.log_tail());
    last
}

fn output(attempt: &Value) -> String {
    attempt["detail"]["output"]["body"]["text"].as_str().unwrap_or_default().to_owned()
}

fn is_root() -> bool {
    std::process::Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[test]
fn exit_codes_end_retry_and_give_up() {
    let place = Place::new();
    let code =
        "command = [\"exit \\\"$CODE\\\"\"]\nshell = true\nenv = { CODE = \"{{body.code}}\" }";
    let later = "command = [\"/bin/test\", \"{{event.attempt}}\", \"-ge\", \"3\"]";
    let argument = "command = [\"/bin/echo\", \"{{body.text}}\"]";
    let text = source("code", "retry = [\"100ms\"]", code)
        + &source("later", "retry = [\"100ms\", \"100ms\", \"100ms\"]", later)
        + &source("argument", "retry = [\"100ms\"]", argument);
    place.configure("", &place.data(), "", &text);
    let gateway = place.start();
    let mut client = Client::keeping(place.address);
    for (code, step, attempts, note) in [
        (0, "delivered", 1, "exit code 0"),
        (65, "failed", 1, "exit code 65 (EX_DATAERR)"),
        (75, "failed", 2, "exit code 75 (EX_TEMPFAIL)"),
        (1, "failed", 2, "exit code 1"),
    ] {
        let event = post(&mut client, "code", format!("{{\"code\":{code}}}").as_bytes());
        let made = wait_for_step(&place, &gateway, &event, step);
        assert_eq!(made.len(), attempts, "{made:#?}");
        assert!(made.iter().all(|attempt| attempt["detail"]["note"] == note), "{made:#?}");
        let error = if code == 0 { Value::Null } else { "program_failed".into() };
        assert_eq!(made[0]["errorCode"], error, "{made:#?}");
    }
    let event = post(&mut client, "later", b"{}");
    assert_eq!(wait_for_step(&place, &gateway, &event, "delivered").len(), 3);
    // What came from outside is one argument, and no option.
    let event = post(&mut client, "argument", br#"{"text":"$(id) ; * \" '"}"#);
    let made = wait_for_step(&place, &gateway, &event, "delivered");
    assert_eq!(output(&made[0]), "$(id) ; * \" '\n");
    let event = post(&mut client, "argument", br#"{"text":"-e \\x41"}"#);
    let made = wait_for_step(&place, &gateway, &event, "failed");
    assert_eq!(made.len(), 1);
    assert_eq!(made[0]["errorCode"], "program_not_started");

    // It can be seen, paused and replayed, and not made into anything else.
    let endpoint = gateway.api("GET", "/api/v1/becket/endpoint/code-run");
    assert_eq!((&endpoint["kind"], &endpoint["url"]), (&"exec".into(), &"exec:code-run".into()));
    assert!(gateway.stop().success());
}

#[test]
fn time_is_up_for_the_whole_family() {
    let place = Place::new();
    let pids = place.folder.join("pids");
    let family = script(
        &place.folder,
        "family.sh",
        &format!(
            "#!/bin/sh\nexec >/dev/null 2>&1\nsetsid sh -c 'echo $$ >>{0}; exec sleep 300' &\n\
             sh -c 'trap \"\" TERM; echo $$ >>{0}; sleep 300; sleep 300' &\nsleep 300\n",
            pids.display()
        ),
    );
    let exec = format!("command = [\"{}\"]\ngrace = \"300ms\"", family.display());
    place.configure(
        "",
        &place.data(),
        "",
        &source("slow", "timeout = \"4s\"\nretry = \"none\"", &exec),
    );
    let gateway = place.start();
    let event = post(&mut Client::keeping(place.address), "slow", b"{}");
    let made = wait_for_step(&place, &gateway, &event, "failed");
    assert_eq!(made[0]["errorCode"], "program_timeout", "{made:#?}");
    let took = made[0]["durationMs"].as_u64().expect("a duration");
    // Asked to end at the end of its time less the grace; killed behind it, by a machine that is busy.
    assert!((3_650..10_000).contains(&took), "{took} ms");
    let pids = lines(&pids);
    assert_eq!(pids.len(), 2, "{pids:?}");
    assert!(wait_until(LIMIT, || !pids.iter().any(|pid| runs(pid))), "{pids:?} live on");
    assert!(gateway.stop().success());
}

#[test]
fn payloads_output_and_environment() {
    let place = Place::new();
    let folder = place.folder.display().to_string();
    let environment = script(
        &place.folder,
        "environment.sh",
        &format!(
            "#!/bin/sh\nenv >{folder}/environment\ntr '\\0' '\\n' </proc/$PPID/environ >{folder}/guardian\n\
             tr '\\0' ' ' </proc/$PPID/cmdline >>{folder}/guardian\npwd; umask; ulimit -n; nice\n"
        ),
    );
    let text = source("read", "", "command = [\"wc\", \"-c\"]")
        + &source("unread", "", "command = [\"/bin/true\"]")
        + &source("loud", "", "command = [\"echo BEGIN; seq 1 200000; echo END\"]\nshell = true")
        + &source(
            "environment",
            "",
            &format!(
                "command = [\"{}\"]\nworking_directory = \"{folder}\"\numask = \"027\"\nnice = 3\n\
                 env = {{ DEPLOY_TOKEN = {{ env = \"TEST_DEPLOY_TOKEN\" }}, REF = \"{{{{body.ref}}}}\" }}\n\
                 limits = {{ open_files = 64, file_size = \"10MiB\", cpu = \"30s\", memory = \"1GiB\" }}",
                environment.display()
            ),
        );
    place.configure("", &place.data(), "", &text);
    let mut command = place.command();
    command
        .env("TEST_DEPLOY_TOKEN", "a-secret-for-the-program")
        .env("GATEWAY_SECRET", "gateway-only");
    command.env("TZ", "Europe/Ljubljana").env_remove("LANG");
    let gateway = Gateway::spawn(&place, command);
    gateway.wait_ready(LIMIT);
    let mut client = Client::keeping(place.address);

    let large = vec![b'x'; 5 << 20];
    let read = post(&mut client, "read", &large);
    let unread = post(&mut client, "unread", &large);
    let made = wait_for_step(&place, &gateway, &read, "delivered");
    assert_eq!(output(&made[0]).trim(), "5242880");
    wait_for_step(&place, &gateway, &unread, "delivered");

    let loud = post(&mut client, "loud", b"{}");
    let made = wait_for_step(&place, &gateway, &loud, "delivered");
    let kept = output(&made[0]);
    assert!(kept.starts_with("BEGIN\n1\n") && kept.ends_with("200000\nEND\n"), "{kept}");
    assert!(kept.len() <= 16 * 1024, "{} bytes", kept.len());
    assert_eq!(made[0]["detail"]["output"]["truncated"], true, "{made:#?}");
    // The log is written a moment later than the attempt is recorded.
    let complete = wait_until(LIMIT, || place.log().contains("lines came faster"));
    assert!(complete, "{}", place.log_tail());
    let log = place.log();
    let told = log.lines().filter(|line| line.contains("exec.output") && line.contains(&loud));
    assert!((100..2_000).contains(&told.count()), "{}", place.log_tail());

    let event = post(&mut client, "environment", br#"{"ref":"$(id) main"}"#);
    let made = wait_for_step(&place, &gateway, &event, "delivered");
    assert_eq!(output(&made[0]), format!("{folder}\n0027\n64\n3\n"));
    let path = place.folder.join("environment");
    let environment: BTreeMap<String, String> = lines(&path)
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let endpoint = gateway.api("GET", "/api/v1/becket/endpoint/environment-run");
    for (name, expected) in [
        ("BECKET_EVENT_ID", event.as_str()),
        ("BECKET_SOURCE", "environment"),
        ("BECKET_ENDPOINT", endpoint["id"].as_str().expect("an id")),
        ("BECKET_ATTEMPT", "1"),
        ("BECKET_METHOD", "POST"),
        ("BECKET_PATH", "/in/environment"),
        ("BECKET_CONTENT_TYPE", "application/json"),
        ("BECKET_HEADER_X_TRICK", "$(touch /tmp/becket-never)"),
        ("BECKET_HEADER_WEBHOOK_ID", event.as_str()),
        ("DEPLOY_TOKEN", "a-secret-for-the-program"),
        ("REF", "$(id) main"),
        ("TZ", "Europe/Ljubljana"),
    ] {
        assert_eq!(environment.get(name).map(String::as_str), Some(expected), "{name}");
    }
    let known =
        ["PATH", "HOME", "LANG", "TZ", "PWD", "OLDPWD", "SHLVL", "_", "DEPLOY_TOKEN", "REF"];
    for name in environment.keys() {
        assert!(name.starts_with("BECKET_") || known.contains(&name.as_str()), "{name} is there");
    }
    let written = std::fs::read_to_string(&path).expect("it was written");
    let guardian = std::fs::read_to_string(place.folder.join("guardian")).expect("it too");
    assert!(guardian.starts_with("becket exec-child guard"), "{guardian}");
    let master_key = lines(&place.data().join("master-key")).concat();
    for secret in [ADMIN_TOKEN, "gateway-only", TOKEN, "whsec_"] {
        assert!(!written.contains(secret) && !guardian.contains(secret), "a secret is there");
    }
    assert!(master_key.is_empty() || !written.contains(&master_key));
    assert!(!Path::new("/tmp/becket-never").exists());
    assert!(gateway.stop().success());
}

#[test]
fn another_user_runs_it() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let exec = "command = [\"id -u; id -g; cat\"]\nshell = true\nuser = \"nobody\"\n\
                limits = { processes = 100 }\nno_new_privileges = true";
    place.configure("", &place.data(), "", &source("nobody", "", exec));
    let gateway = place.start();
    let event = post(&mut Client::keeping(place.address), "nobody", b"payload");
    let made = wait_for_step(&place, &gateway, &event, "delivered");
    assert_eq!(output(&made[0]), "65534\n65534\npayload");
    assert!(gateway.stop().success());
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let place = Place::new();
    let plain = place.folder.join("not-executable");
    std::fs::write(&plain, "#!/bin/sh\n").expect("the folder can be written");
    for (exec, expected) in [
        ("command = []", "`command` is empty"),
        ("command = [\"scripts/deploy.sh\"]", "relative path"),
        ("command = [\"/no/such/program\"]", "does not exist"),
        (&format!("command = [\"{}\"]", plain.display()), "chmod +x"),
        ("command = [\"/bin/true\", \"{{body.\"]", "argument 1 of `command`"),
        ("command = [\"{{body.x}}\"]", "must not choose what is run"),
        ("command = [\"echo {{body.x}}\"]\nshell = true", "would be shell text"),
        (
            "command = [\"/bin/true\"]\nuser = \"nobody-of-this-name\"",
            "no user `nobody-of-this-name`",
        ),
        ("command = [\"/bin/true\"]\nworking_directory = \"srv\"", "relative path"),
        ("command = [\"/bin/true\"]\nenv = { BECKET_X = \"1\" }", "names that begin with BECKET_"),
        ("command = [\"/bin/true\"]\ngive_up = [0]", "in `success` too"),
        ("command = [\"/bin/true\"]\nsuccess = [256]", "no exit code"),
        ("command = [\"/bin/true\"]\ncomand = 1", "did you mean `command`?"),
        ("command = [\"/bin/true\"]\nlimits = { memory = \"lots\" }", "not a size"),
    ] {
        place.configure("", &place.data(), "", &source("a", "", exec));
        let check = std::process::Command::new(env!("CARGO_BIN_EXE_becket"))
            .args(["config", "check", "--config"])
            .arg(place.config())
            .output()
            .expect("the binary runs");
        let text = String::from_utf8_lossy(&check.stdout);
        assert_eq!(check.status.code(), Some(1), "{exec}: {text}");
        assert!(text.contains(expected), "{exec}: {text}");
        assert!(text.contains("1 error"), "{exec}: {text}");
    }
    place.configure(
        "",
        &place.data(),
        "",
        &source("a", "timeout = \"61m\"", "command = [\"true\"]"),
    );
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(["config", "check", "--config"])
        .arg(place.config())
        .output()
        .expect("the binary runs");
    assert!(String::from_utf8_lossy(&check.stdout).contains("`timeout` is longer than 1h"));
}

#[test]
fn an_hour_is_possible() {
    let place = Place::new();
    let text = source("long", "timeout = \"1h\"", "command = [\"/bin/echo\", \"ran\"]");
    place.configure("", &place.data(), "", &text);
    let gateway = place.start();
    let event = post(&mut Client::keeping(place.address), "long", b"{}");
    let made = wait_for_step(&place, &gateway, &event, "delivered");
    assert_eq!(output(&made[0]), "ran\n");
    // Leases are as long as the longest time that the file had at start.
    let longer = source("long", "timeout = \"1m\"", "command = [\"true\"]");
    place.configure("", &place.data(), "", &longer);
    assert!(gateway.stop().success());
    let gateway = place.start();
    place.configure("", &place.data(), "", &text);
    gateway.signal("HUP");
    assert!(
        wait_until(LIMIT, || place.log().contains("restart the gateway")),
        "{}",
        place.log_tail()
    );
    assert!(gateway.stop().success());
}

/// A command that is deaf to everything but SIGKILL: the gateway is killed in the middle of it and
/// started again at once, and the next run does not begin before the first has been ended.
#[test]
fn a_run_outlives_no_gateway() {
    let place = Place::new();
    let at = place.folder.join("runs");
    let deaf = script(
        &place.folder,
        "deaf.sh",
        &format!(
            "#!/bin/sh\ntrap '' TERM INT HUP\nat={0}\n\
             echo \"begin $BECKET_EVENT_ID $$\" >>$at\n\
             [ \"$(wc -l <$at)\" -gt 1 ] && exit 0\n\
             i=0; while [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done\n",
            at.display()
        ),
    );
    let exec = format!("command = [\"{}\"]\ngrace = \"6s\"", deaf.display());
    place.configure(
        "",
        &place.data(),
        "",
        &source("deaf", "timeout = \"40s\"\nretry = [\"1s\"]", &exec),
    );
    let gateway = place.start();
    let event = post(&mut Client::keeping(place.address), "deaf", b"{}");
    assert!(wait_until(LIMIT, || lines(&at).len() == 1), "{}", place.log_tail());
    let first = lines(&at)[0].clone();
    let pid = first.split(' ').nth(2).expect("a number").to_owned();
    assert!(first.contains(&event) && runs(&pid));
    gateway.kill();
    let killed = Instant::now();
    let gateway = place.start();
    let mut ended = None;
    let begun = wait_until(LIMIT, || {
        if ended.is_none() && !runs(&pid) {
            ended = Some(killed.elapsed());
        }
        lines(&at).len() > 1
    });
    assert!(begun, "{}", place.log_tail());
    assert!(!runs(&pid), "two at once");
    println!(
        "the first run ended {ended:?} after the gateway was killed, and then the second began"
    );
    assert!(place.log().contains("exec.waiting"), "{}", place.log_tail());
    assert!(gateway.stop().success());
}

/// Appends the event's id to a file, one at a time: a folder is the lock, with the number of whoever
/// has it inside. A folder of somebody who is dead was left by a kill.
const ONE_AT_A_TIME: &str = r#"#!/bin/sh
at="$1"
if ! mkdir "$at/running" 2>/dev/null; then
    read -r other <"$at/running/pid" 2>/dev/null
    if [ -n "$other" ] && kill -0 "$other" 2>/dev/null; then
        echo "$BECKET_EVENT_ID met $other" >>"$at/overlaps"
        exit 1
    fi
fi
echo $$ >"$at/running/pid"
echo "$BECKET_EVENT_ID" >>"$at/begun"
sleep 0.01
echo "$BECKET_EVENT_ID" >>"$at/done"
rm -r "$at/running"
"#;

#[test]
fn a_thousand_events_one_at_a_time_and_two_kills() {
    const EVENTS_SENT: usize = 1_000;
    let place = Place::new();
    let program = script(&place.folder, "append.sh", ONE_AT_A_TIME);
    let exec = format!(
        "command = [\"{}\", \"{}\"]\nlog_output = false",
        program.display(),
        place.folder.display()
    );
    let endpoint = "retry = [\"1s\", \"1s\", \"1s\", \"1s\"]";
    place.configure("", &place.data(), "", &source("count", endpoint, &exec));
    let (begun, done) = (place.folder.join("begun"), place.folder.join("done"));

    let mut gateway = place.start();
    let started = Instant::now();
    let mut client = Client::keeping(place.address);
    let sent: BTreeSet<String> = (0..EVENTS_SENT)
        .map(|number| post(&mut client, "count", format!("{{\"number\":{number}}}").as_bytes()))
        .collect();
    assert_eq!(sent.len(), EVENTS_SENT);
    println!("{EVENTS_SENT} events accepted in {:.1} s", started.elapsed().as_secs_f64());
    let patience = Duration::from_secs(240);
    for kill_at in [EVENTS_SENT / 3, 2 * EVENTS_SENT / 3] {
        let reached = wait_until(patience, || lines(&done).len() >= kill_at);
        assert!(reached, "only {} are done:\n{}", lines(&done).len(), place.log_tail());
        gateway.kill();
        let after = lines(&done).len();
        gateway = place.start();
        println!("killed at {after} runs");
    }
    let all = |path: &Path| lines(path).into_iter().collect::<BTreeSet<String>>();
    let complete =
        wait_until(patience, || lines(&done).len() >= EVENTS_SENT && all(&done).is_superset(&sent));
    let missing: Vec<String> = sent.difference(&all(&done)).cloned().collect();
    assert!(complete, "{} are missing: {missing:?}\n{}", missing.len(), place.log_tail());
    let overlaps = lines(&place.folder.join("overlaps"));
    assert!(overlaps.is_empty(), "two ran at once: {overlaps:?}");
    let took = started.elapsed();
    // Results that are on their way to the disk.
    let settled = wait_until(LIMIT, || gateway.api_list(EVENTS).len() == EVENTS_SENT);
    assert!(settled, "the gateway does not have every event");
    assert!(gateway.stop().success());

    let (begun, done) = (lines(&begun), lines(&done));
    let mut repeated = String::new();
    let _ = write!(
        repeated,
        "{} began, {} were done: {} repeated, {} cut off by a kill, none lost, never two at once",
        begun.len(),
        done.len(),
        done.len() - EVENTS_SENT,
        begun.len() - done.len(),
    );
    println!("{repeated}; {:.1} s in all", took.as_secs_f64());
    assert!(done.len() - EVENTS_SENT <= 4, "{repeated}");
}

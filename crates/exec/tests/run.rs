//! Real programs, run the way the gateway runs them, without the gateway.

use std::path::Path;
use std::time::{Duration, Instant};

use becket_egress::action::{Action as _, ActionRequest};
use becket_egress::{Acted, AttemptError, AttemptOutcome};
use becket_exec::{EnvValue, ExecAction, Limits, Locks, Settings};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

fn request(body: impl Into<Bytes>) -> ActionRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-github-event", HeaderValue::from_static("push"));
    ActionRequest {
        event_id: "msg_1".to_owned(),
        event_type: Some("push".to_owned()),
        source: "github".to_owned(),
        endpoint: "ep_1".to_owned(),
        attempt: 1,
        received_at_ms: 1_767_225_600_000,
        started_at_ms: 1_767_225_600_100,
        method: "POST".to_owned(),
        path: "/in/github".to_owned(),
        headers,
        body: body.into(),
        timeout_ms: 20_000,
    }
}

fn settings(command: &[&str]) -> Settings {
    Settings {
        command: command.iter().map(|text| (*text).to_owned()).collect(),
        base_env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        launcher: env!("CARGO_BIN_EXE_becket-exec-child").into(),
        ..Settings::default()
    }
}

fn script(text: &str) -> Settings {
    Settings { shell: true, ..settings(&[text]) }
}

async fn act(settings: Settings, request: ActionRequest) -> AttemptOutcome {
    ExecAction::new(settings).expect("the description is right").act(request).await
}

fn text(outcome: &AttemptOutcome) -> String {
    String::from_utf8_lossy(&outcome.body).into_owned()
}

/// Whether a process of this number runs: neither gone nor a zombie.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn exit_codes_say_what_became_of_it() {
    let own = |text| Settings { success: vec![0, 3], give_up: vec![9], ..script(text) };
    for (settings, acted, error, note) in [
        (script("exit 0"), Some(Acted::Done), None, "exit code 0"),
        (script("exit 1"), None, Some(AttemptError::ProgramFailed), "exit code 1"),
        (
            script("exit 65"),
            Some(Acted::GiveUp),
            Some(AttemptError::ProgramFailed),
            "exit code 65 (EX_DATAERR)",
        ),
        (script("exit 75"), None, Some(AttemptError::ProgramFailed), "exit code 75 (EX_TEMPFAIL)"),
        (script("exit 125"), None, Some(AttemptError::ProgramFailed), "exit code 125"),
        (
            script("kill -9 $$"),
            None,
            Some(AttemptError::ProgramFailed),
            "killed by signal 9 (SIGKILL): by somebody, or because the machine ran out of memory",
        ),
        (own("exit 3"), Some(Acted::Done), None, "exit code 3"),
        (own("exit 9"), Some(Acted::GiveUp), Some(AttemptError::ProgramFailed), "exit code 9"),
        (own("exit 65"), None, Some(AttemptError::ProgramFailed), "exit code 65 (EX_DATAERR)"),
    ] {
        let command = settings.command.clone();
        let outcome = act(settings, request("{}")).await;
        assert_eq!(outcome.note, note, "{command:?}");
        assert_eq!((outcome.acted, outcome.error), (acted, error), "{command:?}");
        assert!(outcome.timings.total_us > 0);
    }
}

#[tokio::test]
async fn payloads_come_on_standard_input_if_somebody_reads() {
    let large = Bytes::from(vec![b'x'; 5 << 20]);
    let outcome = act(settings(&["/usr/bin/wc", "-c"]), request(large.clone())).await;
    assert_eq!(text(&outcome).trim(), "5242880");
    let sum = act(settings(&["/usr/bin/cksum"]), request(large.clone())).await;
    assert!(sum.is_success(), "{sum:?}");
    for unread in [settings(&["/bin/true"]), script("exec 0<&-; echo done"), script("head -c 3")] {
        let started = Instant::now();
        let outcome = act(unread, request(large.clone())).await;
        assert!(outcome.is_success(), "{outcome:?} {}", outcome.note);
        // Less than its time, at the end of which it would be killed.
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    }
    let empty = act(settings(&["/bin/cat"]), request("")).await;
    assert!(empty.is_success() && empty.body.is_empty());
}

#[tokio::test]
async fn output_is_kept_in_order_and_with_a_bound() {
    let outcome = act(script("echo a; echo b >&2; echo c"), request("")).await;
    assert_eq!(text(&outcome), "a\nb\nc\n");
    let outcome = act(script("echo BEGIN; yes | head -c 50000000; echo END"), request("")).await;
    assert!(outcome.is_success() && outcome.body_truncated, "{}", outcome.note);
    assert!(outcome.body.len() <= 16 * 1024);
    assert!(text(&outcome).starts_with("BEGIN\ny\n") && text(&outcome).ends_with("END\n"));
}

#[tokio::test]
async fn environments_are_made_from_nothing() {
    let env = vec![
        ("TOKEN".to_owned(), EnvValue::Fixed("s3cret {{x}}".to_owned())),
        ("REF".to_owned(), EnvValue::Template("{{body.ref}}".to_owned())),
    ];
    let body = r#"{"ref":"$(touch /tmp/never); `id`"}"#;
    let printed = act(Settings { env, ..settings(&["/usr/bin/env"]) }, request(body)).await;
    let mut lines: Vec<String> = text(&printed).lines().map(str::to_owned).collect();
    lines.sort();
    let expected = [
        "BECKET_ATTEMPT=1",
        "BECKET_CONTENT_TYPE=application/json",
        "BECKET_ENDPOINT=ep_1",
        "BECKET_EVENT_ID=msg_1",
        "BECKET_EVENT_TYPE=push",
        "BECKET_HEADER_CONTENT_TYPE=application/json",
        "BECKET_HEADER_X_GITHUB_EVENT=push",
        "BECKET_METHOD=POST",
        "BECKET_PATH=/in/github",
        "BECKET_RECEIVED_AT=2026-01-01T00:00:00.000Z",
        "BECKET_SOURCE=github",
        "PATH=/usr/bin:/bin",
        "REF=$(touch /tmp/never); `id`",
        "TOKEN=s3cret {{x}}",
    ];
    assert_eq!(lines, expected);
    // A guardian has nothing in its environment either.
    let guardian = act(script("tr '\\0' '\\n' </proc/$PPID/environ"), request("")).await;
    assert_eq!(text(&guardian), "");
    // No open file but the three, and what the tests themselves were given by whoever runs them.
    let given = std::process::Command::new("/bin/ls").arg("/proc/self/fd").output().unwrap().stdout;
    let descriptors = act(settings(&["/bin/ls", "/proc/self/fd"]), request("")).await;
    assert_eq!(text(&descriptors), String::from_utf8(given).unwrap());
    assert!(!Path::new("/tmp/never").exists());
}

#[tokio::test]
async fn arguments_are_values_and_nothing_else() {
    let command =
        ["/usr/bin/printf", "[%s]", "{{body.a}}", "{{header.x-github-event}}", "{{body.no}}"];
    let hostile = r#"{"a":"a b'\"$(id);\n*"}"#;
    let outcome = act(settings(&command), request(hostile)).await;
    assert_eq!(text(&outcome), "[a b'\"$(id);\n*][push][]");
    let outcome = act(settings(&command), request(r#"{"a":"--version"}"#)).await;
    assert_eq!(outcome.acted, Some(Acted::GiveUp));
    assert!(outcome.note.contains("would begin with `-`"), "{}", outcome.note);
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(200_000));
    let outcome = act(settings(&command), request(long)).await;
    assert_eq!(outcome.acted, Some(Acted::GiveUp));
    // Each fits, and all together do not.
    let many: Vec<&str> =
        ["/bin/echo"].into_iter().chain(std::iter::repeat_n("{{body.a}}", 100)).collect();
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000));
    let outcome = act(settings(&many), request(long)).await;
    assert_eq!(outcome.error, Some(AttemptError::ProgramNotStarted));
    assert_eq!(outcome.acted, Some(Acted::GiveUp), "{}", outcome.note);
}

#[tokio::test]
async fn time_ends_the_whole_tree() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let hidden = folder.path().join("hidden");
    // A child that ignores SIGTERM, and one that left the process group and its parents.
    let tree = format!(
        "(trap '' TERM; echo $$ >{at}/deaf; while :; do sleep 1; done) &
         setsid sh -c 'sh -c \"echo \\$\\$ >{at}/hidden; exec sleep 300\" &' &
         sleep 300"
    );
    let mut asked = request("");
    // Long enough for the tree to be made on a busy machine.
    asked.timeout_ms = 5_000;
    let started = Instant::now();
    let settings = Settings { grace_ms: 500, ..script(&tree) };
    let outcome = act(settings, asked).await;
    assert_eq!(outcome.error, Some(AttemptError::ProgramTimeout), "{}", outcome.note);
    assert_eq!(outcome.acted, None);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(4_450) && took < Duration::from_secs(15), "{took:?}");
    let hidden = read(&hidden);
    assert!(!hidden.is_empty(), "the test's own tree was not made");
    wait_for("the end of what hid", || !runs(&hidden)).await;
}

#[tokio::test]
async fn a_gentle_end_is_possible() {
    let mut asked = request("");
    asked.timeout_ms = 8_000;
    let polite = "trap 'echo tidied; exit 1' TERM; echo begun; while :; do sleep 0.05; done";
    let polite = act(Settings { grace_ms: 4_000, ..script(polite) }, asked.clone());
    let deaf = "trap '' TERM; echo begun; while :; do sleep 0.05; done";
    let deaf = act(Settings { grace_ms: 500, ..script(deaf) }, asked);
    let (outcome, deaf) = tokio::join!(polite, deaf);
    let printed = text(&outcome);
    assert!(printed.starts_with("begun\n") && printed.ends_with("tidied\n"), "{printed}");
    assert_eq!(outcome.note, "it had 8 s; it ended when it was told to");
    assert_eq!(deaf.note, "it had 8 s; it was killed");
    assert_eq!(deaf.error, Some(AttemptError::ProgramTimeout));
}

#[tokio::test]
async fn what_is_left_behind_ends_unless_it_may_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let leaves = format!("setsid sleep 300 & echo $! >{}; echo started", pid.display());
    let started = Instant::now();
    let outcome = act(script(&leaves), request("")).await;
    assert!(outcome.is_success());
    // Less than its time, up to which nobody waits for what is left.
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert!(!runs(&read(&pid)), "what was left behind goes on");

    // A pipeline that is still finishing is given its moment.
    let late = format!("(sleep 0.05; echo late >{}) &", folder.path().join("late").display());
    assert!(act(script(&late), request("")).await.is_success());
    assert_eq!(read(&folder.path().join("late")), "late");

    let settings = Settings { keep_background: true, ..script(&leaves) };
    let started = Instant::now();
    let outcome = act(settings, request("")).await;
    assert!(outcome.is_success() && started.elapsed() < Duration::from_secs(15));
    let pid = read(&pid);
    assert!(runs(&pid), "it was to go on");
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
}

#[tokio::test]
async fn breaking_off_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let action = ExecAction::new(Settings {
        grace_ms: 200,
        ..script(&format!("echo $$ >{}; trap '' TERM; sleep 300; sleep 300", pid.display()))
    })
    .unwrap();
    let attempt = tokio::spawn(async move { action.act(request("")).await });
    wait_for("the program", || !read(&pid).is_empty()).await;
    let pid = read(&pid);
    assert!(runs(&pid));
    attempt.abort();
    wait_for("its end", || !runs(&pid)).await;
}

#[tokio::test]
async fn one_at_a_time_across_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let locks =
        Locks { folder: folder.path().join("locks"), name: "source.endpoint".to_owned(), count: 1 };
    let pid = folder.path().join("pid");
    let slow = format!("echo $$ $PPID >{}; exec sleep 300", pid.display());
    let slow = Settings { locks: Some(locks.clone()), ..script(&slow) };
    let quick = Settings { locks: Some(locks.clone()), ..script("echo ran") };
    let first = ExecAction::new(slow.clone()).unwrap();
    let attempt = tokio::spawn(async move { first.act(request("")).await });
    wait_for("the first run", || read(&pid).contains(' ')).await;

    let mut impatient = request("");
    impatient.timeout_ms = 3_000;
    let outcome = act(quick.clone(), impatient).await;
    assert_eq!(outcome.error, Some(AttemptError::ProgramNotStarted));
    assert_eq!(outcome.acted, None);
    let (program, guardian) =
        read(&pid).split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let note = format!("an earlier run of this endpoint has not ended (process group {program})");
    assert_eq!(outcome.note, note);

    // Somebody kills the guardian: the program goes with it, and only then does the next one run.
    assert!(std::process::Command::new("kill").args(["-9", &guardian]).status().unwrap().success());
    assert_eq!(attempt.await.unwrap().error, Some(AttemptError::ProgramFailed));
    let outcome = act(quick.clone(), request("")).await;
    assert_eq!(text(&outcome), "ran\n");
    assert!(!runs(&program));

    // Two may run if two may run.
    let two = Locks { count: 2, ..locks };
    let first = ExecAction::new(Settings { locks: Some(two.clone()), ..slow }).unwrap();
    std::fs::remove_file(&pid).unwrap();
    let attempt = tokio::spawn(async move { first.act(request("")).await });
    wait_for("the first run", || read(&pid).contains(' ')).await;
    let outcome = act(Settings { locks: Some(two), ..quick }, request("")).await;
    assert!(outcome.is_success());
    attempt.abort();
}

#[tokio::test]
async fn limits_hold() {
    let with = |limits: Limits, text: &str| Settings { limits, ..script(text) };
    let limits = Limits { open_files: Some(20), ..Limits::default() };
    assert_eq!(text(&act(with(limits, "ulimit -n"), request("")).await), "20\n");
    let limits = Limits { file_size_bytes: Some(100_000), ..Limits::default() };
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = format!("exec head -c 200000 /dev/zero >{}", file.path().display());
    let outcome = act(with(limits, &write), request("")).await;
    assert!(outcome.note.contains("SIGXFSZ"), "{}", outcome.note);
    let limits = Limits { cpu_s: Some(1), ..Limits::default() };
    let outcome = act(with(limits, "while :; do :; done"), request("")).await;
    assert!(outcome.note.contains("SIGXCPU"), "{}", outcome.note);
    let limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
    let outcome = act(with(limits, "x=$(head -c 200000000 /dev/zero | tr '\\0' x)"), request(""));
    assert!(!outcome.await.is_success());
    let settings = Settings {
        umask: Some("027".to_owned()),
        nice: 7,
        working_directory: Some("/usr".to_owned()),
        no_new_privileges: true,
        ..script("umask; nice; pwd; grep NoNewPrivs /proc/self/status")
    };
    let printed = text(&act(settings, request("")).await);
    assert_eq!(printed, "0027\n7\n/usr\nNoNewPrivs:\t1\n");
}

#[tokio::test]
async fn another_user_if_root() {
    let root = std::process::Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let nobody = Settings { user: Some("nobody".to_owned()), ..script("id -u; id -G; echo $HOME") };
    if !root {
        assert_eq!(ExecAction::new(nobody).err().unwrap().code(), "cannot_become");
        return;
    }
    let limits = Limits { processes: Some(50), ..Limits::default() };
    let outcome = act(Settings { limits, ..nobody }, request("")).await;
    assert_eq!(text(&outcome), "65534\n65534\n/nonexistent\n");
    // Whoever dies with the gateway does so as another user too.
    let numbers = Settings {
        user: Some("54321".to_owned()),
        group: Some("54322".to_owned()),
        ..script("id -u; id -G")
    };
    assert_eq!(text(&act(numbers, request("")).await), "54321\n54322\n");
    let hidden = tempfile::tempdir().unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(hidden.path(), private).unwrap();
    let folder = hidden.path().display().to_string();
    let settings = Settings {
        user: Some("54321".to_owned()),
        working_directory: Some(folder),
        ..script("true")
    };
    let outcome = act(settings, request("")).await;
    assert_eq!(outcome.error, Some(AttemptError::ProgramNotStarted));
    assert!(outcome.note.starts_with("the working directory "), "{}", outcome.note);
    assert!(outcome.body.is_empty());
}

#[tokio::test]
async fn what_does_not_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "#!/no/such/interpreter\n").unwrap();
    let chmod = std::process::Command::new("chmod").arg("+x").arg(&broken).status().unwrap();
    assert!(chmod.success());
    let outcome = act(settings(&[broken.to_str().unwrap()]), request("")).await;
    assert_eq!(outcome.error, Some(AttemptError::ProgramNotStarted));
    assert!(outcome.note.ends_with("does not exist, or its interpreter does not"));
    let launcher = "/no/such/launcher".into();
    let outcome = act(Settings { launcher, ..script("true") }, request("")).await;
    assert_eq!(outcome.error, Some(AttemptError::ProgramNotStarted));
    assert_eq!(outcome.acted, None);
}

//! `becket import` with files as people have them: what comes out is a configuration that passes
//! `becket config check` and that runs.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use support::gateway::{Gateway, Place};
use support::http::Client;
use support::{sign, wait_until};

fn becket(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(arguments)
        .current_dir(folder)
        .envs(env.iter().copied())
        .output()
        .expect("the binary runs")
}

fn script(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the folder can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    path.display().to_string()
}

struct Made {
    code: Option<i32>,
    toml: String,
    told: String,
}

/// Imports a file, then checks what came out with these variables set.
fn import(folder: &Path, name: &str, text: &str, env: &[(&str, &str)]) -> Made {
    std::fs::write(folder.join(name), text).expect("the folder can be written");
    let out = format!("{name}.toml");
    let made = becket(folder, &["import", name, "--out", &out], env);
    let told = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.stdout.is_empty(), "with --out nothing is printed");
    let toml = std::fs::read_to_string(folder.join(&out)).expect("the file was written");
    let check = becket(folder, &["config", "check", "--config", &out], env);
    let checked = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{checked}\n{toml}");
    Made { code: made.status.code(), toml, told }
}

/// The shape of the example that everybody starts from.
fn deploy_hook(program: &str, folder: &Path) -> String {
    format!(
        r#"[
  {{
    "id": "redeploy-webhook",
    "execute-command": "{program}",
    "command-working-directory": "{folder}",
    "response-message": "Executing redeploy script",
    "pass-arguments-to-command":
    [
      {{ "source": "payload", "name": "head_commit.id" }},
      {{ "source": "payload", "name": "commits.0.author.name" }},
      {{ "source": "string", "name": "--fixed" }}
    ],
    "pass-environment-to-command":
    [
      {{ "source": "payload", "name": "pusher.name", "envname": "PUSHER" }},
      {{ "source": "payload", "name": "ref" }}
    ],
    "trigger-rule":
    {{
      "and":
      [
        {{
          "match":
          {{
            "type": "payload-hmac-sha256",
            "secret": "old secret in the file",
            "parameter": {{ "source": "header", "name": "X-Hub-Signature-256" }}
          }}
        }},
        {{
          "match":
          {{
            "type": "value",
            "value": "refs/heads/master",
            "parameter": {{ "source": "payload", "name": "ref" }}
          }}
        }}
      ]
    }}
  }}
]"#,
        folder = folder.display(),
    )
}

#[test]
fn a_deploy_hook_of_github_runs_as_before() {
    let place = Place::new();
    let folder = place.folder.clone();
    let program = script(
        &folder,
        "redeploy.sh",
        "#!/bin/sh\n{ echo \"$#|$1|$2|$3\"; echo \"$PUSHER|$HOOK_ref\"; pwd; wc -c; } >>runs\n",
    );
    let hooks = deploy_hook(&program, &folder);
    let env = [("REDEPLOY_WEBHOOK_SECRET", "old secret in the file")];
    let made = import(&folder, "hooks.json", &hooks, &env);
    assert_eq!(made.code, Some(0), "{}", made.told);
    assert!(!made.toml.contains("old secret") && !made.told.contains("old secret"));
    assert!(
        made.told.contains("REDEPLOY_WEBHOOK_SECRET: the `secret` of its rule"),
        "{}",
        made.told
    );
    assert!(made.told.contains("/hooks/redeploy-webhook is now /in/redeploy-webhook"));

    place.configure("", &place.data(), "", &made.toml);
    let mut command = place.command();
    command.envs(env);
    let gateway = Gateway::spawn(&place, command);
    gateway.wait_ready(Duration::from_secs(30));
    let mut client = Client::keeping(place.address);
    let mut push = |branch: &str, secret: &str, id: &str| {
        let body = format!(
            r#"{{"ref":"refs/heads/{branch}","head_commit":{{"id":"abc123"}},"pusher":{{"name":"jo; rm -rf /"}},"commits":[{{"author":{{"name":"Jo $(id)"}}}}]}}"#
        );
        let signature = sign::github(secret, body.as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("x-github-event", "push"),
            ("x-github-delivery", id),
            ("x-hub-signature-256", signature.as_str()),
        ];
        let answer = client
            .send("POST", "/in/redeploy-webhook", &headers, body.as_bytes())
            .expect("an answer");
        (answer.status, answer.text(), body.len())
    };
    assert_eq!(push("master", "wrong", "a").0, 401);
    let (status, text, _) = push("other", env[0].1, "b");
    assert_eq!((status, text.as_str()), (200, "Executing redeploy script"));
    let (status, _, length) = push("master", env[0].1, "c");
    assert_eq!(status, 200);
    let runs = folder.join("runs");
    let whole = || std::fs::read_to_string(&runs).unwrap_or_default();
    assert!(
        wait_until(Duration::from_secs(20), || whole().lines().count() >= 4),
        "{}",
        place.log_tail()
    );
    let expected = format!(
        "3|abc123|Jo $(id)|--fixed\njo; rm -rf /|refs/heads/master\n{}\n{length}\n",
        folder.display()
    );
    assert_eq!(whole(), expected, "the branch that was not asked for ran nothing");
    assert!(gateway.stop().success());
}

/// One hook of every kind.
fn many_hooks(program: &str, folder: &Path) -> String {
    format!(
        r#"
- id: gitlab
  execute-command: {program}
  trigger-rule:
    match: {{ type: value, value: gl-token-1, parameter: {{ source: header, name: X-Gitlab-Token }} }}
- id: gitea
  execute-command: run.sh
  command-working-directory: {folder}
  trigger-rule:
    and:
      - match: {{ type: payload-hmac-sha256, secret: gitea-secret, parameter: {{ source: header, name: X-Gitea-Signature }} }}
      - match: {{ type: regex, regex: '^refs/heads/(main|release)$', parameter: {{ source: payload, name: ref }} }}
      - not:
          match: {{ type: value, value: "true", parameter: {{ source: payload, name: deleted }} }}
- id: bitbucket
  execute-command: {program}
  pass-arguments-to-command:
    - {{ source: payload, name: actor.username }}
  trigger-rule:
    match: {{ type: ip-whitelist, ip-range: 104.192.143.0/24 }}
- id: simple-one
  execute-command: {program}
  response-message: Executing simple webhook...
  include-command-output-in-response: true
  trigger-rule:
    match: {{ type: value, value: "42", parameter: {{ source: url, name: token }} }}
- id: slack
  execute-command: {program}
  http-methods: [POST]
  trigger-rule:
    match: {{ type: value, value: slack-token, parameter: {{ source: payload, name: token }} }}
- id: own
  execute-command: {program}
  success-http-response-code: 202
  trigger-rule:
    or:
      - match: {{ type: payload-hmac-sha1, secret: first, parameter: {{ source: header, name: X-Signature }} }}
      - match: {{ type: payload-hmac-sha1, secret: second, parameter: {{ source: header, name: X-Signature }} }}
- id: scalr
  execute-command: {program}
  pass-environment-to-command:
    - {{ envname: EVENT_NAME, source: payload, name: eventName }}
    - {{ envname: SERVER_HOSTNAME, source: payload, name: data.SCALR_SERVER_HOSTNAME }}
  trigger-rule:
    match: {{ type: scalr-signature, secret: scalr-key }}
- id: travis
  execute-command: {program}
  parse-parameters-as-json: [{{ source: payload, name: payload }}]
  trigger-rule:
    match: {{ type: value, value: passed, parameter: {{ source: payload, name: payload.state }} }}
- id: files
  execute-command: {program}
  pass-file-to-command: [{{ source: payload, name: binary, envname: FILE, base64decode: true }}]
- id: open
  execute-command: {program}
"#,
        folder = folder.display(),
    )
}

#[test]
fn a_large_yaml_file_is_carried_over_item_by_item() {
    let guard = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = guard.path();
    let program = script(folder, "run.sh", "#!/bin/sh\n");
    let hooks = many_hooks(&program, folder);
    let env = [
        ("GITLAB_SECRET", "gl-token-1"),
        ("GITEA_SECRET", "gitea-secret"),
        ("SIMPLE_ONE_SECRET", "42"),
        ("SLACK_SECRET", "slack-token"),
        ("OWN_SECRET", "first"),
        ("OWN_SECRET_2", "second"),
        ("SCALR_SECRET", "scalr-key"),
    ];
    let made = import(folder, "hooks.yaml", &hooks, &env);
    assert_eq!(made.code, Some(1), "two were left out: {}", made.told);
    for expected in [
        "8 of 10 hooks carried over",
        "left out: travis",
        "JSON in a text",
        "left out: files",
        "no files are made",
        "`include-command-output-in-response` was dropped",
        "OWN_SECRET_2: the `secret` of its rule about the header X-Signature of the hook own",
    ] {
        assert!(made.told.contains(expected), "{expected} is not in\n{}", made.told);
    }
    for expected in [
        "provider = \"gitlab\"",
        "provider = \"gitea\"",
        "\"$in\" = [\"refs/heads/main\", \"refs/heads/release\"]",
        "allow_ips = [\"104.192.143.0/24\"]",
        "params = { query = \"token\" }",
        "# The hook `travis` was left out:",
    ] {
        assert!(made.toml.contains(expected), "{expected} is not in\n{}", made.toml);
    }
    for (name, secret) in env {
        let told = made.told.contains(&format!("  {name}: "));
        assert!(told, "{name} is not told: {}", made.told);
        let written =
            made.toml.lines().any(|line| !line.contains("env =") && line.contains(secret));
        assert!(!written || secret == "42" || secret == "first", "{secret} is in {}", made.toml);
    }

    // A second time it does not overwrite what somebody may have changed.
    let again = becket(folder, &["import", "hooks.yaml", "--out", "hooks.yaml.toml"], &[]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("does not exist yet"));
    let json = becket(folder, &["import", "hooks.yaml", "--json"], &[]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    assert_eq!(report["carried"].as_array().map(Vec::len), Some(8), "{report:#}");
    assert_eq!(report["leftOut"][0]["hook"], "travis");
}

/// What a signature of adnanh/webhook looks like: in hex, with or without its kind, several with commas.
#[test]
fn signatures_and_tokens_are_judged_as_before() {
    let place = Place::new();
    let hooks = r#"
- id: own
  execute-command: /bin/true
  trigger-rule:
    or:
      - match: { type: payload-hmac-sha1, secret: first, parameter: { source: header, name: X-Signature } }
      - match: { type: payload-hmac-sha1, secret: second, parameter: { source: header, name: X-Signature } }
- id: scalr
  execute-command: /bin/true
  trigger-rule:
    match: { type: scalr-signature, secret: scalr-key }
- id: simple
  execute-command: /bin/true
  trigger-rule:
    match: { type: value, value: "42", parameter: { source: url, name: token } }
- id: slack
  execute-command: /bin/true
  trigger-rule:
    match: { type: value, value: slack-token, parameter: { source: payload, name: token } }
"#;
    let env = [
        ("OWN_SECRET", "first"),
        ("OWN_SECRET_2", "second"),
        ("SCALR_SECRET", "scalr-key"),
        ("SIMPLE_SECRET", "42"),
        ("SLACK_SECRET", "slack-token"),
    ];
    let made = import(&place.folder, "hooks.yaml", hooks, &env);
    assert_eq!(made.code, Some(0), "{}", made.told);
    place.configure("", &place.data(), "", &made.toml);
    let mut command = place.command();
    command.envs(env);
    let gateway = Gateway::spawn(&place, command);
    gateway.wait_ready(Duration::from_secs(30));

    let sha1 = |key: &str, message: &[u8]| -> String {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
        let tag = ring::hmac::sign(&key, message);
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let body = br#"{"a":1}"#;
    let date = "Fri 08 Sep 2017 11:24:32 UTC";
    let dated = [body.as_slice(), date.as_bytes()].concat();
    let (first, second, third) = (sha1("first", body), sha1("second", body), sha1("third", body));
    let mut client = Client::keeping(place.address);
    let mut send = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        client.send(method, path, headers, body).expect("an answer").status
    };
    let json = ("content-type", "application/json");
    for (signature, expected) in [
        (format!("sha1={first}"), 200),
        (second.clone(), 200),
        (format!("sha1={third},sha1={second}"), 200),
        (format!("sha1={third}"), 401),
        (third.clone(), 401),
        (String::new(), 401),
    ] {
        let headers = [json, ("x-signature", signature.as_str())];
        assert_eq!(send("POST", "/in/own", &headers, body), expected, "{signature}");
    }
    let scalr = sha1("scalr-key", &dated);
    let headers = [json, ("date", date), ("x-signature", scalr.as_str())];
    assert_eq!(send("POST", "/in/scalr", &headers, body), 200);
    let headers = [json, ("date", "Fri 08 Sep 2017 11:24:33 UTC"), ("x-signature", scalr.as_str())];
    assert_eq!(send("POST", "/in/scalr", &headers, body), 401);
    for (path, expected) in [("/in/simple?token=42", 200), ("/in/simple?token=43", 401)] {
        assert_eq!(send("GET", path, &[], b""), expected, "{path}");
    }
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(send("POST", "/in/slack", &[form], b"token=slack-token&text=hi"), 200);
    assert_eq!(send("POST", "/in/slack", &[json], br#"{"token":"slack-token"}"#), 200);
    assert_eq!(send("POST", "/in/slack", &[json], br#"{"token":"another"}"#), 401);
    assert!(gateway.stop().success());
}

#[test]
fn templates_and_secrets_on_request() {
    let guard = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = guard.path();
    let program = script(folder, "run.sh", "#!/bin/sh\n");
    let template = format!(
        r#"[{{ "id": "webhook", "execute-command": "{program}", "trigger-rule": {{ "match": {{
          "type": "payload-hmac-sha1", "secret": "{{{{ getenv "XXXTEST_SECRET" | js }}}}",
          "parameter": {{ "source": "header", "name": "X-Hub-Signature" }} }} }} }}]"#
    );
    let env = [("XXXTEST_SECRET", "from the environment")];
    let made = import(folder, "hooks.json.tmpl", &template, &env);
    assert!(made.toml.contains("secrets = [{ env = \"XXXTEST_SECRET\" }]"), "{}", made.toml);

    std::fs::write(
        folder.join("plain.json"),
        template.replace("{{ getenv \"XXXTEST_SECRET\" | js }}", "p\\\"lain"),
    )
    .expect("the folder can be written");
    let printed = becket(folder, &["import", "plain.json", "--with-secrets"], &[]);
    let text = String::from_utf8_lossy(&printed.stdout);
    assert!(text.contains(r#"secrets = ["p\"lain"]"#), "{text}");

    for (name, text, expected) in [
        ("empty.json", "", "it is empty"),
        ("other.json", "{\"hooks\": []}", "no list of hooks"),
        ("broken.json", "[{", "neither JSON nor YAML"),
    ] {
        std::fs::write(folder.join(name), text).expect("the folder can be written");
        let refused = becket(folder, &["import", name], &[]);
        assert_eq!(refused.status.code(), Some(1));
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(told.contains(expected) && told.contains("hint: "), "{told}");
    }
    let missing = becket(folder, &["import", "nowhere.json"], &[]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere.json cannot be read"));
}

//! Hooks as people write them, and what becomes of them. That the result is a configuration that works
//! is shown with the binary.

use super::*;

fn imported(text: &str) -> Imported {
    import(text, ImportOptions::default(), &|name| (name == "SET").then(|| "value".to_owned()))
        .unwrap()
}

fn hook(more: &str) -> Imported {
    imported(&format!(
        r#"[{{ "id": "deploy", "execute-command": "/srv/deploy.sh"{}{more} }}]"#,
        if more.is_empty() { "" } else { ", " }
    ))
}

fn rule(rule: &str) -> Imported {
    hook(&format!(r#""trigger-rule": {rule}"#))
}

fn matched(kind: &str, source: &str, name: &str) -> String {
    format!(
        r#"{{ "match": {{ {kind}, "parameter": {{ "source": "{source}", "name": "{name}" }} }} }}"#
    )
}

fn value(source: &str, name: &str, wanted: &str) -> String {
    matched(&format!(r#""type": "value", "value": "{wanted}""#), source, name)
}

#[track_caller]
fn has(imported: &Imported, lines: &[&str]) {
    assert_eq!(imported.left_out, Vec::new());
    for line in lines {
        assert!(imported.toml.contains(line), "{line} is not in\n{}", imported.toml);
    }
}

#[track_caller]
fn left_out(imported: &Imported, reason: &str) {
    assert!(imported.carried.is_empty(), "{}", imported.toml);
    let reasons = &imported.left_out[0].1;
    assert!(reasons.iter().any(|known| known.contains(reason)), "{reasons:?}");
    assert!(imported.toml.contains("was left out"), "{}", imported.toml);
}

#[test]
fn the_plainest_hook() {
    let plain = hook("");
    has(
        &plain,
        &[
            "[[source]]\nid = \"deploy\"\n",
            "provider = \"none\"",
            "whoever knows the URL",
            "methods = [\"GET\", \"POST\"]",
            "dedupe = { enabled = false }",
            "[[source.endpoint]]\nid = \"deploy\"\n",
            "retry = \"none\"",
            "[source.endpoint.exec]\ncommand = [\"/srv/deploy.sh\"]\n",
        ],
    );
    assert!(plain.secrets.is_empty() && plain.notes.is_empty(), "{:?}", plain.notes);
}

#[test]
fn signatures_find_their_provider() {
    let signed = |kind: &str, header: &str| {
        rule(&matched(&format!(r#""type": "{kind}", "secret": "hush""#), "header", header))
    };
    has(&signed("payload-hmac-sha256", "X-Hub-Signature-256"), &["provider = \"github\""]);
    has(&signed("payload-hash-sha256", "X-Gogs-Signature"), &["provider = \"gitea\""]);
    has(&signed("payload-hmac-sha256", "X-Gitea-Signature"), &["provider = \"gitea\""]);
    let own = signed("payload-hmac-sha512", "X-Custom");
    has(
        &own,
        &[
            "provider = \"webhook-sha512-x-custom\"",
            "when = [{ at = \"header:x-custom\", starts_with = \"sha512=\" }]",
            "split = { items = \",\", pair = \"=\", wanted = \"sha512\" }",
            "signature = { at = \"header:x-custom\", encoding = \"hex\" }",
            "secrets = [{ env = \"DEPLOY_SECRET\" }]",
            "#   DEPLOY_SECRET",
        ],
    );
    assert!(!own.toml.contains("hush"));
    assert_eq!(own.secrets.len(), 1);
    has(
        &signed("payload-hmac-sha1", "X-Hub-Signature"),
        &["webhook-sha1-x-hub-signature", "If GitHub"],
    );
    let github = format!(
        r#"{{ "and": [{}, {}] }}"#,
        matched(r#""type": "payload-hmac-sha1", "secret": "hush""#, "header", "X-Hub-Signature"),
        value("header", "X-GitHub-Event", "push")
    );
    has(
        &rule(&github),
        &["provider = \"github\"", "filter = { headers = { x-github-event = \"push\" } }"],
    );
    let scalr = rule(r#"{ "match": { "type": "scalr-signature", "secret": "hush" } }"#);
    has(&scalr, &["message = \"{body}{header:date?}\""]);
    assert_eq!(scalr.toml.matches("[[provider.scheme]]").count(), 1);
    let text = r#"[{ "id": "a", "execute-command": "/b", "trigger-rule": { "match": {
        "type": "payload-hmac-sha256", "secret": "hush",
        "parameter": { "source": "header", "name": "X-Hub-Signature-256" } } } }]"#;
    let written = import(text, ImportOptions { with_secrets: true }, &|_| None).unwrap();
    assert!(written.toml.contains("secrets = [\"hush\"]") && written.secrets.is_empty());
}

#[test]
fn tokens_are_known_by_their_names() {
    let at = |source: &str, name: &str| rule(&value(source, name, "hush"));
    has(&at("header", "X-Gitlab-Token"), &["provider = \"gitlab\"", "DEPLOY_SECRET"]);
    has(
        &at("header", "X-Api-Key"),
        &["provider = \"token\"", "params = { header = \"x-api-key\" }"],
    );
    has(&at("url", "token"), &["params = { query = \"token\" }"]);
    has(
        &at("payload", "secret"),
        &["at = [\"json:secret\", \"form:secret\"]", "class = \"token\""],
    );
    has(&at("payload", "auth.token"), &["at = \"json:auth.token\""]);
    let bearer = rule(&value("header", "Authorization", "Bearer hush"));
    has(&bearer, &["params = { header = \"authorization\", prefix = \"Bearer \" }"]);
    has(
        &at("payload", "branch"),
        &["provider = \"none\"", "filter = { body = { branch = \"hush\" } }"],
    );
    let several = format!(
        r#"{{ "or": [{}, {}] }}"#,
        value("url", "token", "hush1"),
        value("url", "token", "hush2")
    );
    has(
        &rule(&several),
        &["secrets = [{ env = \"DEPLOY_SECRET\" }, { env = \"DEPLOY_SECRET_2\" }]"],
    );
    let both = format!(
        r#"{{ "and": [{}, {}] }}"#,
        matched(
            r#""type": "payload-hmac-sha256", "secret": "hush""#,
            "header",
            "X-Gitea-Signature"
        ),
        value("payload", "secret", "hush")
    );
    let both = rule(&both);
    has(&both, &["provider = \"gitea\""]);
    assert!(both.notes[0].1.contains("proves more"), "{:?}", both.notes);
    assert!(!both.toml.contains("hush"));
}

#[test]
fn conditions_become_filters() {
    let list = |name: &str, rules: &[String]| format!(r#"{{ "{name}": [{}] }}"#, rules.join(", "));
    let reference = || value("payload", "ref", "refs/heads/main");
    let event = || value("header", "X-Event", "push");
    has(&rule(&reference()), &["filter = { body = { ref = \"refs/heads/main\" } }"]);
    has(
        &rule(&list("and", &[reference(), event()])),
        &["filter = { body = { ref = \"refs/heads/main\" }, headers = { x-event = \"push\" } }"],
    );
    has(
        &rule(&list("and", &[reference(), value("payload", "repo.name", "app")])),
        &[
            "{ \"$and\" = [{ body = { ref = \"refs/heads/main\" } }, { body = { repo = { name = \"app\" } } }] }",
        ],
    );
    has(
        &rule(&list("or", &[reference(), event()])),
        &[
            "{ \"$or\" = [{ body = { ref = \"refs/heads/main\" } }, { headers = { x-event = \"push\" } }] }",
        ],
    );
    has(
        &rule(&format!(r#"{{ "not": {} }}"#, value("url", "dry", "true"))),
        &["{ \"$not\" = { query = { dry = { \"$or\" = [\"true\", true] } } } }"],
    );
    has(
        &rule(&matched(r#""type": "regex", "regex": "^refs/tags/v""#, "payload", "ref")),
        &["{ body = { ref = { \"$startsWith\" = \"refs/tags/v\" } } }"],
    );
    has(&rule(&value("request", "method", "POST")), &["filter = { method = \"POST\" }"]);
    has(
        &rule(&value("payload", "a.$b.c d", "x")),
        &["{ body = { a = { \"$$b\" = { \"c d\" = \"x\" } } } }"],
    );
    let networks = r#"{ "match": { "type": "ip-whitelist", "ip-range": "192.168.0.1/24 10.1.2.3 2001:db8::7/32" } }"#;
    has(
        &rule(networks),
        &[
            "allow_ips = [\"192.168.0.0/24\", \"10.1.2.3/32\", \"2001:db8::/32\"]",
            "Nothing but the address",
        ],
    );
}

#[test]
fn what_cannot_be_said_leaves_the_hook_out() {
    let signature =
        || matched(r#""type": "payload-hmac-sha1", "secret": "hush""#, "header", "X-Signature");
    let regex =
        |text: &str| matched(&format!(r#""type": "regex", "regex": "{text}""#), "payload", "ref");
    left_out(
        &rule(&format!(r#"{{ "or": [{}, {}] }}"#, signature(), value("url", "a", "b"))),
        "signature",
    );
    left_out(&rule(&format!(r#"{{ "not": {} }}"#, signature())), "signature");
    left_out(&rule(&regex("^v[0-9]+$")), "regular expression");
    left_out(&rule(&value("payload", "commits.0.id", "x")), "list by its number");
    left_out(&rule(&value("request", "remote-addr", "::1")), "cannot look at");
    left_out(&rule("{}"), "a rule is empty");
    has(&rule(r#"{ "and": [] }"#), &["provider = \"none\""]);
    left_out(&rule(r#"{ "match": { "type": "magic" } }"#), "`magic` is no type");
    left_out(
        &rule(&format!(
            r#"{{ "and": [{}, {}] }}"#,
            value("url", "token", "a"),
            value("header", "x-key", "b")
        )),
        "two secrets",
    );
    left_out(
        &rule(&format!(
            r#"{{ "or": [{}, {}] }}"#,
            value("url", "token", "a"),
            value("payload", "b", "c")
        )),
        "looks like a secret",
    );
    left_out(&hook(r#""pre-hook-command": "/x""#), "pre-hook-command");
    left_out(
        &hook(r#""pass-arguments-to-command": [{ "source": "entire-headers" }]"#),
        "all headers",
    );
    left_out(
        &hook(r#""pass-arguments-to-command": [{ "source": "template", "name": "" }]"#),
        "Go template",
    );
    left_out(
        &hook(
            r#""pass-file-to-command": [{ "source": "payload", "name": "binary", "base64decode": true }]"#,
        ),
        "no files",
    );
    let travis = r#""parse-parameters-as-json": [{ "source": "payload", "name": "payload" }]"#;
    let state = value("payload", "payload.state", "passed");
    left_out(&hook(&format!(r#"{travis}, "trigger-rule": {state}"#)), "JSON in a text");
    left_out(&imported(r#"[{ "id": "a", "execute-command": "./b.sh" }]"#), "relative to where");
    left_out(&imported(r#"[{ "execute-command": "/b.sh" }]"#), "no `id`");
    left_out(&imported(r#"[{ "id": "a" }]"#), "no `execute-command`");
}

#[test]
fn values_become_templates() {
    let made = hook(
        r#""command-working-directory": "/srv/app",
        "pass-arguments-to-command": [
            { "source": "string", "name": "--flag={{x}}" },
            { "source": "payload", "name": "head_commit.id" },
            { "source": "payload", "name": "commits.0.author.name" },
            { "source": "payload", "name": "root.1.a" },
            { "source": "payload", "name": "odd key.x" },
            { "source": "header", "name": "X-GitHub-Event" },
            { "source": "url", "name": "q" },
            { "source": "query", "name": "a b" },
            { "source": "entire-payload" },
            { "source": "request", "name": "Method" }
        ],
        "pass-environment-to-command": [
            { "source": "payload", "name": "pusher.name", "envname": "PUSHER" },
            { "source": "payload", "name": "pusher.email" }
        ]"#,
    );
    has(
        &made,
        &[
            concat!(
                r#"command = ["/srv/deploy.sh", "--flag={{'{{'}}x}}", "{{body.head_commit.id}}", "#,
                r#""{{body.commits[0].author.name}}", "{{body[1].a}}", "{{body[\"odd key\"].x}}", "#,
                r#""{{header.x-github-event}}", "{{query.q}}", "{{query[\"a b\"]}}", "{{body}}", "#,
                r#""{{event.method}}"]"#
            ),
            "working_directory = \"/srv/app\"",
            r#"env = { PUSHER = "{{body.pusher.name}}", "HOOK_pusher.email" = "{{body.pusher.email}}" }"#,
        ],
    );
    assert!(made.notes.iter().any(|(_, note)| note.contains("begins with `-`")));
    let inside = imported(
        r#"[{ "id": "a", "execute-command": "./run.sh", "command-working-directory": "/srv/" }]"#,
    );
    has(&inside, &["command = [\"/srv/run.sh\"]"]);
}

#[test]
fn answers_are_kept_as_far_as_they_can_be() {
    let made = hook(
        r#""response-message": "run\n\"now\"", "success-http-response-code": 202,
        "response-headers": [{ "name": "Content-Type", "value": "text/x" }, { "name": "X-A", "value": "b" }],
        "include-command-output-in-response": true, "http-methods": ["post ", "PUT"],
        "trigger-rule-mismatch-http-response-code": 400, "trigger-signature-soft-failures": true,
        "incoming-payload-content-type": "application/json", "unheard-of": 1"#,
    );
    has(
        &made,
        &[
            r#"ack = { status = 202, content_type = "text/x", body = "run\n\"now\"" }"#,
            r#"methods = ["POST", "PUT"]"#,
        ],
    );
    for told in ["X-A", "include-command-output", "incoming-payload", "unheard-of"] {
        assert!(made.notes.iter().any(|(_, note)| note.contains(told)), "{told}: {:?}", made.notes);
    }
    assert!(
        hook(r#""success-http-response-code": 302"#).notes[0].1.contains("between 200 and 299")
    );
}

#[test]
fn yaml_and_templates_are_read_too() {
    let yaml = "- id: redeploy\n  execute-command: /srv/x.sh\n  response-message: yes it runs\n  \
                trigger-rule:\n    and:\n      - match:\n          type: payload-hmac-sha256\n          \
                secret: '{{ getenv \"HOOK_KEY\" | js }}'\n          parameter: { source: header, name: X-Hub-Signature-256 }\n      \
                - match: { type: value, value: 7, parameter: { source: payload, name: n } }\n";
    let made = imported(yaml);
    has(&made, &["secrets = [{ env = \"HOOK_KEY\" }]", "filter = { body = { n = \"7\" } }"]);
    assert_eq!(made.secrets[0].variable, "HOOK_KEY");
    let json = r#"[{ "id": "a", "execute-command": "{{ getenv "SET" }}", "trigger-rule": { "match": {
        "type": "payload-hmac-sha1", "secret": "{{ getenv "KEY" | js }}",
        "parameter": { "source": "header", "name": "X-Hub-Signature" } } } },
        { "id": "b", "execute-command": "/{{ getenv "UNSET" }}" }]"#;
    let made = imported(json);
    assert!(made.toml.contains("command = [\"value\"]") && made.toml.contains("{ env = \"KEY\" }"));
    assert!(made.left_out[0].1[0].contains("UNSET, which is not set here"));
    let compact = r#"[{"id":"a","execute-command":"/b","trigger-rule":{"not":{"match":{"type":"value","value":"x","parameter":{"source":"payload","name":"y"}}}}}]"#;
    has(&imported(compact), &["$not"]);
}

#[test]
fn other_files_are_refused() {
    let refused =
        |text: &str| import(text, ImportOptions::default(), &|_| None).unwrap_err().to_string();
    assert!(refused("").contains("it is empty"));
    assert!(refused("{\"a\": 1}").contains("no list of hooks"));
    assert!(refused("[1]").contains("not an object"));
    assert!(refused("[{\"id\": \"a\",}").contains("neither JSON nor YAML"));
    assert!(refused("a: b: c").contains("neither JSON nor YAML"));
    assert!(refused("[{{ range .X }}]").contains("Go template"));
    assert!(refused("[{\"id\": \"{{ credential \\\"x\\\" }}\",").contains("Go template"));
}

#[test]
fn ids_are_ids_and_unique() {
    let made = imported(
        r#"[{ "id": "a/b c", "execute-command": "/x" }, { "id": "a-b-c", "execute-command": "/x" },
        { "id": "é", "execute-command": "/x" }]"#,
    );
    let ids: Vec<&str> = made.carried.iter().map(|(_, id)| id.as_str()).collect();
    assert_eq!(ids, ["a-b-c", "a-b-c-2", "-"]);
    assert!(made.notes[0].1.contains("is called `a-b-c`"));
}

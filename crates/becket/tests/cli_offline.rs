//! The offline commands, by running the real binary.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use serde_json::Value as Json;

/// A command in an empty environment and an empty folder.
fn becket(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_becket"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("TEST_SECRET", "s3cret")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn run(args: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = becket(folder.path(), args);
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn vectors_folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogue/vectors")
}

/// Every vector of the catalogue, as `becket verify` sees it.
#[test]
fn verify_agrees_with_every_vector() {
    let mut count = 0;
    for file in std::fs::read_dir(vectors_folder()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let slug = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let vectors: Vec<Json> =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        // Keys that a provider publishes are fetched by the gateway, not by this command.
        for vector in vectors.iter().filter(|vector| vector["fetched"].is_null()) {
            check_vector(&slug, vector);
            count += 1;
        }
    }
    assert!(count > 200, "{count} vectors");
}

fn check_vector(slug: &str, vector: &Json) {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
    let body = base64::engine::general_purpose::STANDARD.decode(text("body_base64")).unwrap();
    let body_file = folder.path().join("body");
    std::fs::write(&body_file, body).unwrap();
    let mut args = vec!["verify".to_owned(), "--json".to_owned()];
    let mut add = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
    if let Some(entry) = vector["entry"].as_str() {
        let entry =
            entry.replace("[[", "[[provider.").replace("\n[parameters", "\n[provider.parameters");
        std::fs::write(folder.path().join("becket.toml"), format!("[[provider]]\n{entry}"))
            .unwrap();
        add("--provider", "own");
    } else {
        add("--provider", slug);
    }
    for (key, flag) in [("secrets", "--secret"), ("public_keys", "--public-key")] {
        for value in vector[key].as_array().into_iter().flatten() {
            add(flag, value.as_str().unwrap());
        }
    }
    for (name, value) in vector["credentials"].as_object().into_iter().flatten() {
        add("--credential", &format!("{name}={}", value.as_str().unwrap()));
    }
    for (name, value) in vector["headers"].as_object().into_iter().flatten() {
        add("--header", &format!("{name}: {}", value.as_str().unwrap()));
    }
    add("--method", &text("method"));
    // The registered URL counts, with the query that came.
    let url = text("url");
    let query = url.find('?').map_or("", |at| &url[at..]);
    let url = vector["public_url"].as_str().map_or(url.clone(), |base| format!("{base}{query}"));
    add("--url", &url);
    add("--at", &vector["verify_at"].to_string());
    add("--body-file", body_file.to_str().unwrap());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = becket(folder.path(), &args);
    let refusal = vector["refusal"].as_str();
    let expected = match (vector["expect"].as_str().unwrap(), refusal) {
        ("genuine", _) => 0,
        // Leaving out what the provider needs is wrong usage here.
        (_, Some("missing_credential")) => 2,
        _ => 1,
    };
    let shown = format!(
        "{slug}, {}: {args:?}\n{}{}",
        vector["name"],
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(expected), "{shown}");
    if expected == 1 {
        let report: Json = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["genuine"], false, "{shown}");
        if let Some(refusal) = refusal {
            assert_eq!(report["code"], refusal, "{shown}");
        }
        assert!(!report["sentence"].as_str().unwrap().is_empty(), "{shown}");
    }
}

#[test]
fn verify_explains_in_words() {
    let header = "X-Hub-Signature-256: sha256=5910e62016ef5034272c926c27071992a465c2335cecf41851bda071577f4f6d";
    let args = ["verify", "--provider", "github", "--header", header, "--body", "{\"a\":1}"];
    let with = |more: &[&'static str]| {
        let args: Vec<&str> = args.iter().copied().chain(more.iter().copied()).collect();
        run(&args)
    };
    let (code, out, err) = with(&["--secret-env", "TEST_SECRET"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("GENUINE\n"), "{out}");
    assert!(!out.contains("s3cret") && !out.contains('\u{1b}'), "{out}");

    let (code, out, _) = with(&["--secret", "-other"]);
    assert_eq!(code, 1);
    for part in [
        "REFUSED: signature_mismatch\n",
        "provider      github, scheme `hmac`\n",
        "signed text   {body}  (7 bytes)\n              {\"a\":1}\n",
        "received      sha256=5910e62016ef5034272c926c27071992a465c2335cecf41851bda071577f4f6d\n",
        "expected      sha256=",
        "likely cause  wrong_secret\n",
        "\nhint: ",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    assert!(!out.contains("-other"), "{out}");
}

#[test]
fn verify_says_what_is_wrong_with_its_arguments() {
    let table: [(&[&str], &str); 9] = [
        (&["verify", "--provider", "github", "--secret", "x"], "required arguments"),
        (
            &["verify", "--provider", "githb", "--secret", "x", "--body", ""],
            "error: there is no provider `githb`\nhint: did you mean `github`?\n",
        ),
        (
            &["verify", "--provider", "github", "--body", ""],
            "error: `github` needs --secret (The webhook's Secret)\n\
             hint: `becket providers show github` says where it is found\n",
        ),
        (
            &["verify", "--provider", "twilio", "--secret", "x", "--body", ""],
            "error: `twilio` signs the URL, and none is given\n\
             hint: add --url with the address that is registered at the provider\n",
        ),
        (
            &["verify", "--provider", "github", "--secret-env", "NOPE", "--body", ""],
            "error: the environment variable `NOPE` is not set or is empty\n",
        ),
        (
            &[
                "verify",
                "--provider",
                "github",
                "--secret",
                "x",
                "--header",
                "nocolon",
                "--body",
                "",
            ],
            "error: the header `nocolon` has no colon\nhint: write --header 'Name: value'\n",
        ),
        (
            &["verify", "--provider", "github", "--secret", "x", "--body-file", "gone"],
            "error: the body file gone cannot be read: No such file or directory (os error 2)\n",
        ),
        (
            &["verify", "--provider", "discord", "--public-key", "-not a key", "--body", ""],
            "error: credentials for `discord`: ",
        ),
        (
            &["verify", "--provider", "github", "--secret", "x", "--at", "noon", "--body", ""],
            "noon",
        ),
    ];
    for (args, expected) in table {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}\n{err}");
        assert!(err.contains(expected), "{args:?}\n{err}");
    }
}

#[test]
fn what_sign_makes_verify_accepts() {
    let cases: [(&str, &[&str], &str); 7] = [
        ("github", &["--secret", "s3cret"], "{\"zen\":1}"),
        ("stripe", &["--secret", "whsec_test"], "{}"),
        ("slack", &["--secret", "s3cret"], "token=x&text=y"),
        ("shopify", &["--secret", "s3cret"], "{\"id\":1}"),
        ("standardwebhooks", &["--secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "{}"),
        ("svix", &["--secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "{}"),
        ("basic", &["--secret", "user:pass"], "x"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (provider, secret, body) in cases {
        for at in [&[][..], &["--at", "1700000000"][..]] {
            let common: Vec<&str> = ["--provider", provider, "--body", body]
                .iter()
                .chain(secret)
                .chain(at)
                .copied()
                .collect();
            let sign: Vec<&str> = ["sign"].iter().chain(&common).copied().collect();
            let output = becket(folder.path(), &sign);
            assert!(output.status.success(), "{provider}: {output:?}");
            let lines = String::from_utf8(output.stdout).unwrap();
            let mut verify: Vec<&str> = ["verify"].iter().chain(&common).copied().collect();
            for line in lines.lines() {
                verify.extend(["--header", line]);
            }
            let output = becket(folder.path(), &verify);
            assert_eq!(output.status.code(), Some(0), "{provider}: {output:?}");
        }
    }
}

#[test]
fn sign_prints_headers_json_or_a_command() {
    let base = [
        "sign",
        "--provider",
        "github",
        "--secret",
        "s3cret",
        "--event-type",
        "push",
        "--delivery-id",
        "d-1",
        "--body",
        "{\"it's\":1}",
    ];
    let (code, out, _) = run(&base);
    assert_eq!(code, 0);
    assert!(out.contains("x-github-event: push\nx-github-delivery: d-1\n"), "{out}");
    let (_, out, _) = run(&[&base[..], &["--json", "--url", "https://h.example/in/a"]].concat());
    let report: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(report["url"], "https://h.example/in/a");
    assert_eq!(report["headers"]["x-github-event"], "push");
    assert_eq!(report["body"], "{\"it's\":1}");
    let (_, out, _) = run(&[&base[..], &["--curl"]].concat());
    assert!(out.starts_with("curl -sS -X POST http://127.0.0.1:8080/in/github -H "), "{out}");
    assert!(out.ends_with(" --data-raw '{\"it'\\''s\":1}'\n"), "{out}");
}

#[test]
fn providers_are_listed_and_shown() {
    let (code, out, err) = run(&["providers", "list", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let list: Vec<Json> = serde_json::from_str(&out).unwrap();
    let github = list.iter().find(|entry| entry["slug"] == "github").unwrap();
    assert_eq!(
        *github,
        serde_json::json!({
            "slug": "github", "name": "GitHub", "status": "proven", "proof": "sdk"
        })
    );
    assert!(list.iter().all(|entry| {
        let status = entry["status"].as_str();
        entry["name"].is_string() && matches!(status, Some("proven" | "declared"))
    }));
    let (code, out, _) = run(&["providers", "list"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("SLUG"), "{out}");
    assert_eq!(out.lines().count(), list.len() + 1);
    let (code, out, _) = run(&["providers", "show", "github"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("GitHub (github)\n") && out.contains("--secret"), "{out}");
    let (code, out, _) = run(&["providers", "show", "github", "--json"]);
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<Json>(&out).unwrap()["slug"], "github");
    assert_eq!(run(&["providers", "show", "nobody"]).0, 2);
}

#[test]
fn providers_are_tested_and_documented() {
    let (code, out, err) = run(&["providers", "test"]);
    assert_eq!(code, 0, "{out}{err}");
    let last = out.lines().last().unwrap();
    assert!(last.contains(" proven, ") && last.ends_with(" 0 wrong."), "{last}");
    let (code, out, _) = run(&["providers", "test", "stripe", "--json"]);
    let outcomes: Json = serde_json::from_str(&out).unwrap();
    assert_eq!((code, outcomes[0]["slug"].as_str()), (0, Some("stripe")));
    assert!(outcomes[0]["refused"].as_u64() > Some(3), "{out}");
    assert_eq!(run(&["providers", "test", "nobody"]).0, 2);

    let folder = tempfile::tempdir().unwrap();
    let output = becket(folder.path(), &["providers", "reference", "--out", "."]);
    assert!(output.status.success());
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut pages = vec![std::path::PathBuf::from("providers.md")];
    for file in std::fs::read_dir(folder.path().join("providers")).unwrap() {
        pages.push(Path::new("providers").join(file.unwrap().file_name()));
    }
    for page in &pages {
        let made = std::fs::read_to_string(folder.path().join(page)).unwrap();
        let committed = std::fs::read_to_string(docs.join(page)).unwrap_or_default();
        let name = page.display();
        assert!(made == committed, "docs/{name}: `becket providers reference --out docs`");
    }
    let committed = std::fs::read_dir(docs.join("providers")).unwrap().count();
    assert_eq!(committed, pages.len() - 1, "docs/providers has a page that no provider is on");
}

#[test]
fn config_is_checked_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("becket.toml");
    let text = "[[source]]\nid = \"a\"\nprovider = \"github\"\nsecrets = [\"hush\"]\n\
                [[source.endpoint]]\nid = \"e\"\nurl = \"http://localhost:1/\"\n";
    std::fs::write(&file, text).unwrap();
    let output = becket(folder.path(), &["config", "check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"becket.toml: ok (0 errors, 0 warnings)\n");

    let output = becket(folder.path(), &["config", "show", "--json"]);
    let settings: Vec<Json> = serde_json::from_slice(&output.stdout).unwrap();
    let setting = |key: &str| settings.iter().find(|setting| setting["key"] == key).unwrap();
    assert_eq!(setting("source[0].secrets")["value"], serde_json::json!(["<redacted>"]));
    assert_eq!(setting("source[0].secrets")["origin"], "file, line 4");
    assert_eq!(setting("server.listen")["origin"], "default");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("hush"));

    std::fs::write(&file, format!("{text}retrys = 1\n[server]\nthreads = 0\n")).unwrap();
    let output = becket(folder.path(), &["config", "check", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{report}");
    assert_eq!((&errors[0]["line"], &errors[0]["column"]), (&Json::from(8), &Json::from(1)));
    assert_eq!(errors[0]["hint"], "did you mean `retry`?");
    let output = becket(folder.path(), &["config", "show"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: the configuration has 2 errors\nhint: `becket config check` shows them\n"
    );
    assert_eq!(run(&["config", "check", "--config", "gone.toml"]).0, 1);
}

#[test]
fn help_teaches_and_wrong_usage_is_two() {
    for command in ["serve", "verify", "sign", "providers", "config", "completions"] {
        let (code, out, _) = run(&[command, "--help"]);
        assert_eq!(code, 0, "{command}");
        assert!(out.contains("Examples:\n"), "{command}\n{out}");
    }
    assert_eq!(run(&[]).0, 2);
    assert_eq!(run(&["nonsense"]).0, 2);
    let (code, out, _) = run(&["completions", "bash"]);
    assert_eq!(code, 0);
    assert!(out.contains("becket"), "{out}");
}

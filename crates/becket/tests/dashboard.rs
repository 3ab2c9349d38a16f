//! The dashboard and the portal as the real binary serves them.

mod support;

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use support::gateway::Place;
use support::http::{Answer, Client};
use support::wait_until;

const LIMIT: Duration = Duration::from_secs(15);
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const SCRIPT: &str = "/assets/app-1a2b3c4d.js";

/// A folder as a build leaves it, small enough to be compared.
fn built(place: &Place) -> std::path::PathBuf {
    let dist = place.folder.join("dist");
    let page = |title: &str| {
        format!("<!doctype html><meta name=\"becket-nonce\" content=\"__BECKET_NONCE__\">{title}")
    };
    for (name, text) in [
        ("index.html", page("dashboard")),
        ("portal/index.html", page("portal")),
        ("favicon.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_owned()),
        ("assets/app-1a2b3c4d.js", "console.log(1)".to_owned()),
        ("assets/app-1a2b3c4d.js.br", "brotli".to_owned()),
        ("assets/app-1a2b3c4d.js.gz", "gzip".to_owned()),
    ] {
        let file = dist.join(name);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    }
    dist
}

fn configure(place: &Place, rest: &str) {
    place.configure("", &place.data(), "", rest);
}

fn dir(folder: &Path) -> String {
    format!("[dashboard]\ndir = {:?}\n", folder.display().to_string())
}

fn get(place: &Place, path: &str, headers: &[(&str, &str)]) -> Answer {
    Client::closing(place.address).send("GET", path, headers, b"").expect("an answer")
}

fn page(place: &Place, path: &str) -> Answer {
    get(place, path, &[("accept", BROWSER)])
}

fn nonce(answer: &Answer) -> String {
    let policy = answer.header("content-security-policy").expect("a policy");
    let (_, rest) = policy.split_once("'nonce-").expect("a nonce");
    rest.split('\'').next().expect("its end").to_owned()
}

#[test]
fn pages_are_guarded_and_the_api_is_as_it_was() {
    let place = Place::new();
    configure(&place, &dir(&built(&place)));
    let gateway = place.start();
    let mut nonces = std::collections::BTreeSet::new();
    for path in ["/", "/events", "/events/msg_1", "/sources/new", "/audit", "/settings", "/portal/"]
    {
        let answer = page(&place, path);
        assert_eq!(answer.status, 200, "{path}");
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path} {name}");
        }
        assert!(answer.header("permissions-policy").is_some_and(|it| it.contains("camera=()")));
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let nonce = nonce(&answer);
        assert!(nonce.len() >= 24, "{nonce}");
        let text = answer.text();
        assert!(text.contains(&format!("content=\"{nonce}\"")), "{text}");
        assert!(!text.contains("__BECKET_NONCE__"), "{text}");
        assert!(nonces.insert(nonce), "{path}: a nonce came twice");
    }
    // Programs get what they always got.
    for (path, headers, status, kind) in [
        ("/events", &[][..], 404, "application/problem+json"),
        ("/nowhere", &[("accept", BROWSER)], 404, "application/problem+json"),
        ("/portal/nowhere", &[("accept", BROWSER)], 404, "application/problem+json"),
        ("/api/v1/nowhere", &[("accept", BROWSER)], 404, "application/problem+json"),
        ("/api/v1/becket/self", &[("accept", BROWSER)], 401, "application/problem+json"),
        ("/healthz", &[("accept", BROWSER)], 200, "text/plain; charset=utf-8"),
    ] {
        let answer = get(&place, path, headers);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
    }
    let metrics = get(&place, "/metrics", &[("accept", BROWSER)]);
    assert!(metrics.header("content-type").is_some_and(|kind| kind.contains("openmetrics")));
    let posted = Client::closing(place.address)
        .send("POST", "/events", &[("accept", BROWSER)], b"")
        .expect("an answer");
    assert_eq!(posted.status, 404);
    let received = Client::closing(place.address)
        .send("POST", "/in/nobody", &[("accept", BROWSER)], b"{}")
        .expect("an answer");
    assert_eq!(received.status, 404);
    let moved = page(&place, "/portal");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/portal/")));
    assert!(gateway.stop().success());
}

#[test]
fn assets_come_small_and_are_asked_for_once() {
    let place = Place::new();
    configure(&place, &dir(&built(&place)));
    let gateway = place.start();
    for (coding, body, told) in [
        ("", "console.log(1)", None),
        ("gzip", "gzip", Some("gzip")),
        ("gzip, deflate, br", "brotli", Some("br")),
    ] {
        let answer = get(&place, SCRIPT, &[("accept-encoding", coding)]);
        assert_eq!((answer.status, answer.text().as_str()), (200, body));
        assert_eq!(answer.header("content-encoding"), told);
        assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let etag = answer.header("etag").expect("an etag");
        let known = [("accept-encoding", coding), ("if-none-match", etag)];
        let again = get(&place, SCRIPT, &known);
        assert_eq!((again.status, again.body.len()), (304, 0));
        assert_eq!(again.header("etag"), Some(etag));
    }
    // A HEAD has the headers and no body: the next answer on the connection begins right behind.
    let mut stream = TcpStream::connect(place.address).expect("a connection");
    let head = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\n\r\n")
    };
    let both = head("HEAD", "/") + &head("HEAD", SCRIPT) + &head("GET", "/favicon.svg");
    stream.write_all(both.as_bytes()).expect("sent");
    let mut reader = std::io::BufReader::new(stream);
    for kind in ["text/html; charset=utf-8", "text/javascript; charset=utf-8"] {
        let line = support::http::read_line(&mut reader).expect("a status");
        assert!(line.contains("200"), "{line}");
        let headers = support::http::read_headers(&mut reader).expect("headers");
        assert!(headers.contains(&("content-type".to_owned(), kind.to_owned())), "{headers:?}");
        assert!(headers.iter().any(|(name, value)| name == "content-length" && value != "0"));
    }
    let icon = support::http::read_answer(&mut reader).expect("an answer");
    assert_eq!((icon.status, icon.header("content-type")), (200, Some("image/svg+xml")));
    drop(reader);
    assert!(gateway.stop().success());
}

#[test]
fn nothing_outside_the_folder_is_served() {
    let place = Place::new();
    let dist = built(&place);
    std::fs::write(place.folder.join("secret.js"), "outside").expect("a file");
    std::os::unix::fs::symlink(place.folder.join("secret.js"), dist.join("assets/leak.js"))
        .expect("a link");
    std::os::unix::fs::symlink("..", dist.join("assets/up")).expect("a link");
    configure(&place, &dir(&dist));
    let gateway = place.start();
    for path in [
        "/assets/leak.js",
        "/assets/up/up/secret.js",
        "/assets/../../secret.js",
        "/assets/..%2f..%2fsecret.js",
        "/assets/%2e%2e/%2e%2e/secret.js",
        "/assets/....//secret.js",
        "/assets/..\\..\\secret.js",
        "/assets//../../secret.js",
        "/../secret.js",
        "/portal/../../secret.js",
        "/assets/",
        "/assets",
        "/assets/app-1a2b3c4d.js.gz",
        "/favicon.svg%00.js",
    ] {
        // Sent as it stands, which no well-behaved client would.
        let answer = get(&place, path, &[("accept", "*/*")]);
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.text().contains("outside"), "{path}");
    }
    assert!(gateway.stop().success());
}

#[test]
fn a_new_build_shows_and_the_switch_switches() {
    let place = Place::new();
    let dist = built(&place);
    let mut command = {
        configure(&place, "");
        place.command()
    };
    command.env("BECKET_DASHBOARD_DIR", &dist);
    let gateway = support::gateway::Gateway::spawn(&place, command);
    gateway.wait_ready(LIMIT);
    assert!(page(&place, "/").text().ends_with("dashboard"));
    std::fs::write(dist.join("index.html"), "a new build").expect("a file");
    assert_eq!(page(&place, "/").text(), "a new build");
    std::fs::remove_file(dist.join("index.html")).expect("removed");
    assert!(page(&place, "/").text().contains("make dashboard"));

    // Switched off, it leaves the API, and the paths are nobody's.
    configure(&place, "[dashboard]\nenabled = false\n");
    gateway.signal("HUP");
    assert!(wait_until(LIMIT, || page(&place, "/").status == 404), "{}", place.log_tail());
    for path in ["/events", "/portal/", "/portal/config.json", SCRIPT, "/favicon.svg"] {
        let answer = page(&place, path);
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    gateway.api("GET", "/api/v1/becket/source");
    assert!(gateway.stop().success());
}

#[test]
fn the_portal_looks_and_is_framed_as_configured() {
    let place = Place::new();
    let dist = built(&place);
    std::fs::write(place.folder.join("logo.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>")
        .expect("a file");
    configure(&place, &dir(&dist));
    let gateway = place.start();
    let plain = json!({
        "name": "Webhooks", "logo": null, "color": "#1864ab", "colorScheme": "auto",
        "supportUrl": null,
    });
    assert_eq!(get(&place, "/portal/config.json", &[]).json(), plain);
    assert_eq!(get(&place, "/portal/logo", &[]).status, 404);

    let portal = "[portal]\nname = \"Acme <webhooks>\"\nlogo = \"logo.svg\"\ncolor = \"#AA3355\"\n\
                  color_scheme = \"dark\"\nsupport_url = \"https://acme.example/help\"\n\
                  frame_origins = [\"https://app.acme.example\", \"http://localhost:3000\"]\n";
    configure(&place, &(dir(&dist) + portal));
    gateway.signal("HUP");
    let expected = json!({
        "name": "Acme <webhooks>", "logo": "/portal/logo", "color": "#aa3355",
        "colorScheme": "dark", "supportUrl": "https://acme.example/help",
    });
    assert!(
        wait_until(LIMIT, || get(&place, "/portal/config.json", &[]).json() == expected),
        "{}",
        place.log_tail()
    );
    let config = get(&place, "/portal/config.json", &[]);
    assert_eq!(config.header("content-type"), Some("application/json"));
    assert_eq!(config.header("x-content-type-options"), Some("nosniff"));
    let framed = page(&place, "/portal/");
    let policy = framed.header("content-security-policy").expect("a policy");
    assert!(
        policy.ends_with("frame-ancestors https://app.acme.example http://localhost:3000"),
        "{policy}"
    );
    assert_eq!(framed.header("x-frame-options"), None);
    let dashboard = page(&place, "/");
    let policy = dashboard.header("content-security-policy").expect("a policy");
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    let logo = get(&place, "/portal/logo", &[]);
    assert_eq!(logo.header("content-type"), Some("image/svg+xml"));
    assert_eq!(
        logo.header("content-security-policy"),
        Some("default-src 'none'; style-src 'unsafe-inline'; sandbox")
    );
    assert_eq!(logo.header("x-content-type-options"), Some("nosniff"));

    // Another picture in the same file is noticed; one that is none changes nothing. A file is watched
    // from the end of the reload on that named it first.
    std::thread::sleep(Duration::from_secs(1));
    std::fs::write(place.folder.join("logo.svg"), b"\x89PNG\r\n\x1a\n....").expect("a file");
    let kind = || get(&place, "/portal/logo", &[]).header("content-type").map(str::to_owned);
    assert!(wait_until(LIMIT, || kind().as_deref() == Some("image/png")), "{}", place.log_tail());
    std::fs::write(place.folder.join("logo.svg"), "<html><script>1</script>").expect("a file");
    assert!(wait_until(LIMIT, || place.log().contains("was not applied")), "{}", place.log_tail());
    assert!(place.log().contains("neither SVG nor PNG"), "{}", place.log_tail());
    assert_eq!(kind().as_deref(), Some("image/png"));
    assert!(gateway.stop().success());
}

#[test]
fn what_cannot_be_served_is_said_at_start() {
    let place = Place::new();
    for (rest, words) in [
        ("[dashboard]\ndir = \"absent\"\n", "dashboard.dir"),
        ("[portal]\nlogo = \"absent.png\"\n", "absent.png"),
        ("[portal]\ncolor = \"red\"\n", "is not a colour"),
        ("[portal]\nframe_origins = [\"https://*.example.com\"]\n", "stands for many origins"),
        ("[portal]\nframe_origins = [\"https://a.example/x\"]\n", "more than an origin"),
        ("[portal]\nname = \"\"\n", "has 1 to 100 characters"),
    ] {
        configure(&place, rest);
        let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_becket"));
        check.args(["config", "check", "--config"]).arg(place.config());
        let output = check.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{rest}: {said}");
        assert!(said.contains(words), "{rest}: {said}");
        let output = place.command().output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && said.contains(words), "{rest}: {said}");
    }
}

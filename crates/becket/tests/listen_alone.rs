//! `becket listen` where there is more to it: earlier events, no gateway at all, a login, a proxy.

mod support;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use support::gateway::ADMIN_TOKEN;
use support::http::Client;
use support::listener::{LONG, Listener, numbered, place, send};
use support::sink::Sink;
use support::wait_until;

/// The numbers that the handler got.
fn received(sink: &Sink) -> BTreeSet<u64> {
    let number = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).expect("it is JSON");
        body["n"].as_u64().expect("it has a number")
    };
    sink.deliveries().iter().map(|delivery| number(&delivery.body)).collect()
}

#[test]
fn earlier_events_are_sent_when_asked_for() {
    let place = place();
    let _gateway = place.start();
    let mut client = Client::keeping(place.address);
    for at in 0..5 {
        send(&mut client, "open", &numbered(at));
    }
    let sink = Sink::start(|_| 200);
    let to = sink.url("/");
    let listener =
        Listener::start(&place, &["--forward-to", &to, "--since", "1h", "--source", "open"]);
    assert_eq!(listener.wait_deliveries(5).len(), 5);
    assert_eq!(received(&sink).into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let third = listener.of_kind("delivery")[2]["eventId"].as_str().unwrap_or_default().to_owned();
    assert_eq!(listener.stop(), 0);
    let once =
        ["--forward-to", to.as_str(), "--after", third.as_str(), "--source", "open", "--once"];
    let mut listener = Listener::start(&place, &once);
    assert_eq!(listener.wait_end(), 0);
    assert_eq!(listener.of_kind("delivery").len(), 1);
}

#[test]
fn without_a_gateway_one_is_started() {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    let sink = Sink::start(|_| 200);
    let port = support::free_port();
    let start = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_becket"));
        command
            .args(["listen", "--json", "--forward-to", &sink.url("/w")])
            .args(arguments)
            .current_dir(home.path());
        Listener::spawn(command, home.path())
    };
    let listener = start(&["--port", &port.to_string()]);
    listener.wait_connected();
    let url = listener.of_kind("receives")[0]["url"].as_str().unwrap_or_default().to_owned();
    assert_eq!(url, format!("http://127.0.0.1:{port}/in/dev"));
    let address = ([127, 0, 0, 1], port).into();
    send(&mut Client::closing(address), "dev", &numbered(1));
    assert_eq!(listener.wait_deliveries(1)[0]["eventType"], "order.paid");
    // Killed without warning, it leaves no gateway behind.
    listener.kill();
    let gone = || std::net::TcpStream::connect(address).is_err();
    assert!(wait_until(LONG, gone), "the gateway runs on");
    let ignored = std::fs::read_to_string(home.path().join(".becket-dev/.gitignore"));
    assert_eq!(ignored.expect("it is there"), "*\n");
    // With a provider of its own, and thrown away at the end.
    let listener = start(&["--source", "github", "--secret", "s3cret", "--ephemeral"]);
    listener.wait_connected();
    let url = listener.of_kind("receives")[0]["url"].as_str().unwrap_or_default().to_owned();
    assert!(url.ends_with("/in/github"), "{url}");
    let address = url.trim_start_matches("http://").trim_end_matches("/in/github");
    let body = numbered(2);
    let signature = support::sign::github("s3cret", &body);
    let headers = [
        ("x-hub-signature-256", signature.as_str()),
        ("x-github-event", "push"),
        ("x-github-delivery", "d-1"),
        ("content-type", "application/json"),
    ];
    let mut client = Client::closing(address.parse().expect("it is an address"));
    let answer = client.send("POST", "/in/github", &headers, &body).expect("it answers");
    assert!(answer.is_success(), "{}", answer.text());
    assert_eq!(listener.wait_deliveries(1)[0]["eventType"], "push");
    let delivery = sink.deliveries().pop().expect("it came");
    assert_eq!(delivery.header("x-hub-signature-256"), signature);
    assert_eq!(listener.stop(), 0);
}

#[test]
fn a_login_says_where_the_gateway_is() {
    let place = place();
    let _gateway = place.start();
    let url = format!("http://{}", place.address);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_becket"));
        command
            .args(arguments)
            .env_remove("BECKET_ADMIN_TOKEN")
            .env("XDG_CONFIG_HOME", place.folder.join("xdg"))
            .current_dir(std::env::temp_dir());
        command.output().expect("the binary can be started")
    };
    let wrong = run(&["login", "--url", &url, "--token", "wrong"]);
    assert_eq!(wrong.status.code(), Some(3));
    assert!(!place.folder.join("xdg/becket/login.json").exists());
    let done = run(&["login", "--url", &url, "--token", ADMIN_TOKEN]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let listed = run(&["sources", "list", "--json"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("\"open\""));
    let listed = run(&["listen", "--list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("no listeners"));
    assert!(run(&["login", "--forget"]).status.success());
    let refused = run(&["listen", "--list"]);
    assert!(!refused.status.success());
}

#[test]
fn a_connection_through_a_proxy() {
    use std::io::{Read as _, Write as _};
    let place = place();
    let _gateway = place.start();
    let sink = Sink::start(|_| 200);
    // A proxy that passes whole URLs on, and notes that it did.
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let proxy_url = format!("http://us:pw@{}", proxy.local_addr().expect("it is bound"));
    let (to_gateway, asked) = (place.address, Arc::new(AtomicBool::new(false)));
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in proxy.incoming().flatten() {
            let noted = Arc::clone(&noted);
            std::thread::spawn(move || {
                let mut head = [0_u8; 16 * 1024];
                let mut stream = stream;
                let Ok(length) = stream.peek(&mut head) else { return };
                let text = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
                if text.contains("http://becket.test/")
                    && text.contains("proxy-authorization: basic dxm6chc=")
                {
                    noted.store(true, Ordering::Relaxed);
                }
                let Ok(mut onward) = std::net::TcpStream::connect(to_gateway) else { return };
                let (Ok(mut back), Ok(mut from)) = (onward.try_clone(), stream.try_clone()) else {
                    return;
                };
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut back, &mut from);
                });
                let mut buffer = [0_u8; 16 * 1024];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    // Whole URLs become paths, as a proxy sends them on.
                    let text = String::from_utf8_lossy(&buffer[..length])
                        .replace("http://becket.test/", "/");
                    if onward.write_all(text.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_becket"));
    command
        .args(["listen", "--json", "--url", "http://becket.test", "--token", ADMIN_TOKEN])
        .args(["--forward-to", &sink.url("/"), "--name", "proxied"])
        .env("HTTP_PROXY", proxy_url)
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .current_dir(&place.folder);
    let listener = Listener::spawn(command, &place.folder);
    listener.wait_connected();
    send(&mut Client::closing(place.address), "open", &numbered(1));
    listener.wait_deliveries(1);
    assert!(asked.load(Ordering::Relaxed), "the proxy was not asked for the whole URL");
}

//! The screen of `becket listen` in a real terminal (tmux): what it shows, what its keys do, and that it
//! leaves the terminal as it found it.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use support::gateway::{ADMIN_TOKEN, Place};
use support::http::Client;
use support::listener::{LONG, place, send};
use support::sink::Sink;
use support::{require_command, wait_until};

/// A tmux server of its own with one window.
struct Terminal {
    socket: String,
    width: u16,
    height: u16,
}

impl Terminal {
    /// Opens a window of this size with a plain shell in it.
    fn open(folder: &Path, width: u16, height: u16) -> Self {
        require_command("tmux");
        let socket = folder.join("tmux.socket").display().to_string();
        let terminal = Self { socket, width, height };
        let (width, height) = (width.to_string(), height.to_string());
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &width,
            "-y",
            &height,
            "env",
            "-i",
            "PATH=/usr/bin:/bin",
            "TERM=screen-256color",
            "LANG=C.UTF-8",
            "PS1=ready> ",
            "sh",
        ]);
        terminal.wait("ready>");
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-u", "-S", &self.socket])
            .args(arguments)
            .env_remove("TMUX")
            .env("LANG", "C.UTF-8")
            .output()
            .expect("tmux can be run");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "tmux {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn keys(&self, keys: &[&str]) {
        let mut arguments = vec!["send-keys"];
        arguments.extend(keys);
        self.tmux(&arguments);
    }

    /// Presses escape, and waits until the screen shows what it does: a key right behind it would be
    /// one with Alt.
    fn escape(&self, done: impl Fn(&str) -> bool) {
        self.keys(&["Escape"]);
        self.wait_for("escape", done);
    }

    fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the screen has a text; the screen.
    fn wait(&self, text: &str) -> String {
        self.wait_for(text, |screen| screen.contains(text))
    }

    fn wait_for(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let mut screen = String::new();
        let held = wait_until(LONG, || {
            screen = self.screen();
            holds(&screen)
        });
        assert!(held, "never `{what}` on\n{screen}");
        // Where a person looks at what was asserted.
        if let Some(folder) = std::env::var_os("BECKET_TEST_SCREENS") {
            let name: String = what.chars().filter(char::is_ascii_alphanumeric).take(30).collect();
            let colours = self.tmux(&["capture-pane", "-p", "-e"]);
            let _ = std::fs::create_dir_all(&folder);
            let (width, height) = (self.width, self.height);
            let file = Path::new(&folder).join(format!("{width}x{height}-{name}.txt"));
            let _ = std::fs::write(file, colours);
        }
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}

fn listen(place: &Place, to: &str, more: &str) -> String {
    format!(
        "XDG_CONFIG_HOME={} {} listen --url http://{} --token {ADMIN_TOKEN} --forward-to {to} --name ann@laptop {more}",
        place.folder.join("xdg").display(),
        env!("CARGO_BIN_EXE_becket"),
        place.address,
    )
}

fn event(event_type: &str, n: usize) -> Vec<u8> {
    json!({ "type": event_type, "n": n, "customer": { "name": "Ann", "tags": ["a", "b"] } })
        .to_string()
        .into_bytes()
}

#[test]
fn events_are_listed_shown_filtered_searched_and_replayed() {
    let place = place();
    let _gateway = place.start();
    let sink =
        Sink::start(
            |delivery| if delivery.body.windows(6).any(|at| at == b"broken") { 500 } else { 200 },
        );
    let terminal = Terminal::open(&place.folder, 80, 24);
    terminal.type_text(&listen(&place, &sink.url("/webhooks"), ""));
    terminal.keys(&["Enter"]);
    let empty = terminal.wait("● connected");
    assert!(empty.contains("Waiting for events."), "{empty}");
    let mut client = Client::keeping(place.address);
    for (at, event_type) in ["order.paid", "order.broken", "invoice.paid"].into_iter().enumerate() {
        send(&mut client, "open", &event(event_type, at));
        terminal.wait(event_type);
    }
    let listed = terminal.wait("2 ok  1 failed");
    let row = |screen: &str, text: &str| {
        screen.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned()
    };
    assert!(row(&listed, "order.broken").contains("500"), "{listed}");
    assert!(row(&listed, "invoice.paid").contains("200"), "{listed}");
    assert!(listed.lines().next().unwrap_or_default().contains("ann@laptop"), "{listed}");
    // Details of the one above the newest.
    terminal.keys(&["Up"]);
    terminal.keys(&["Enter"]);
    let detail = terminal.wait("500 in");
    assert!(detail.contains("POST http://"), "{detail}");
    terminal.wait("\"type\": \"order.broken\"");
    terminal.keys(&["End"]);
    terminal.wait("Response headers");
    // Replayed, it comes again as a repeat, and the selection stays.
    terminal.keys(&["r"]);
    terminal.wait("repeat order.broken");
    terminal.wait("2 ok  2 failed");
    terminal.escape(|screen| !screen.contains("Response headers"));
    // A filter, which is taken away again.
    terminal.keys(&["f"]);
    terminal.type_text("type:invoice");
    terminal.keys(&["Enter"]);
    let filtered = terminal.wait("filter: type:invoice (1)");
    assert!(!filtered.contains("order.paid"), "{filtered}");
    terminal.escape(|screen| screen.contains("order.paid"));
    // A search goes into bodies.
    terminal.keys(&["/"]);
    terminal.type_text("\"n\":0");
    terminal.keys(&["Enter"]);
    terminal.keys(&["Enter"]);
    terminal.wait("order.paid  200 in");
    terminal.escape(|screen| !screen.contains("order.paid  200 in"));
    // The line to copy is shown as well.
    terminal.keys(&["c"]);
    let copied = terminal.wait("copied to the clipboard");
    assert!(copied.contains("curl -sS -i -X POST"), "{copied}");
    terminal.escape(|screen| !screen.contains("copied to the clipboard"));
    terminal.keys(&["?"]);
    terminal.wait("q  ctrl-c");
    terminal.escape(|screen| !screen.contains("q  ctrl-c"));
    // Paused, events wait; and come late.
    terminal.keys(&["p"]);
    terminal.wait("paused: events wait");
    send(&mut client, "open", &event("order.waits", 9));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!terminal.screen().contains("order.waits"));
    terminal.keys(&["p"]);
    terminal.wait("late order.waits");
    // Another size is taken over at once.
    terminal.tmux(&["resize-window", "-x", "150", "-y", "40"]);
    terminal.wait_for("wide", |screen| screen.contains("late by"));
    terminal.keys(&["Enter"]);
    terminal.wait("Request headers");
    terminal.escape(|screen| !screen.contains("Request headers"));
    terminal.keys(&["End"]);
    terminal.tmux(&["resize-window", "-x", "40", "-y", "10"]);
    terminal.wait_for("small", |screen| {
        screen.trim_end().lines().count() <= 10 && screen.contains("order.waits")
    });
    terminal.tmux(&["resize-window", "-x", "80", "-y", "24"]);
    terminal.keys(&["q"]);
    let after = terminal.wait("are kept for 24 h");
    assert!(after.contains("becket listen --remove ann@laptop"), "{after}");
    // The terminal echoes again and shows what was there before.
    terminal.type_text("echo as be''fore");
    terminal.keys(&["Enter"]);
    let after = terminal.wait("as before");
    assert!(after.contains("echo as be''fore"), "{after}");
}

#[test]
fn hostile_events_and_signals_do_no_harm() {
    let place = place();
    let _gateway = place.start();
    let sink = Sink::start(|_| 200);
    let terminal = Terminal::open(&place.folder, 100, 30);
    terminal.type_text(&format!("NO_COLOR=1 {}", listen(&place, &sink.url("/"), "--ephemeral")));
    terminal.keys(&["Enter"]);
    terminal.wait("● connected");
    let hostile = json!({
        "type": "evil\u{1b}[2J\u{1b}]0;owned\u{7}",
        "text": "\u{1b}[31mred\u{202e}txt.exe\r\n\u{9b}5n",
    });
    send(&mut Client::closing(place.address), "open", hostile.to_string().as_bytes());
    terminal.wait("evil␛[2J␛]0;owned␇");
    terminal.keys(&["Enter"]);
    terminal.keys(&["End"]);
    let screen = terminal.wait("txt.exe");
    assert!(
        !screen.contains('\u{202e}') && screen.contains("\\u001b") | screen.contains("<U+202E>"),
        "{screen}"
    );
    assert_ne!(terminal.tmux(&["display-message", "-p", "#{pane_title}"]).trim(), "owned");
    let colours = terminal.tmux(&["capture-pane", "-p", "-e"]);
    assert!(colour_codes(&colours).is_empty(), "no colour: {colours:?}");
    // Asked to end from outside, it gives the terminal back.
    let pane = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let children =
        Command::new("pgrep").args(["-P", pane.trim()]).output().expect("pgrep can be run");
    let child = String::from_utf8_lossy(&children.stdout).trim().to_owned();
    let sent = Command::new("kill").args(["-TERM", &child]).status().expect("kill can be run");
    assert!(sent.success());
    terminal.wait_for("prompt", |screen| screen.trim_end().ends_with("ready>"));
    terminal.type_text("stty -a | grep -o ' icanon'; echo back");
    terminal.keys(&["Enter"]);
    let after =
        terminal.wait_for("icanon", |screen| screen.lines().any(|line| line.trim() == "back"));
    assert!(after.lines().any(|line| line.trim() == "icanon"), "{after}");
}

/// The codes among a screen's attributes that choose a colour; 39 and 49 take one away.
fn colour_codes(screen: &str) -> Vec<u32> {
    let attributes = screen.split("\u{1b}[").skip(1).filter_map(|part| part.split_once('m'));
    attributes
        .flat_map(|(codes, _)| codes.split(';'))
        .filter_map(|code| code.parse().ok())
        .filter(|code| matches!(code, 30..=38 | 40..=48 | 90..=107))
        .collect()
}

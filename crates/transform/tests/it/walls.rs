//! What the process may do, seen from outside.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A sandbox process without a pool.
struct Bare(Child);

impl Bare {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_becket-sandbox"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let bare = Self(command.spawn().expect("it starts"));
        // It is ready once it waits for its input with all its limits.
        let until = Instant::now() + Duration::from_secs(20);
        while bare.status().get("Seccomp").map(String::as_str) != Some("2") {
            assert!(Instant::now() < until, "it puts up its walls");
            std::thread::sleep(Duration::from_millis(5));
        }
        bare
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap_or_default()
    }

    fn status(&self) -> HashMap<String, String> {
        let text = self.proc("status");
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn the_process_has_limits_before_it_reads_anything() {
    let bare = Bare::start();
    let status = bare.status();
    assert_eq!(status["NoNewPrivs"], "1");
    assert_eq!(status["Seccomp"], "2", "a filter of system calls");
    assert_eq!(status["Threads"], "1");
    let limits = bare.proc("limits");
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).expect(name);
        let words: Vec<&str> = line[name.len()..].split_whitespace().collect();
        (words[0].to_owned(), words[1].to_owned())
    };
    let both = |value: &str| (value.to_owned(), value.to_owned());
    assert_eq!(limit("Max cpu time"), both("60"));
    assert_eq!(limit("Max open files"), both("3"));
    assert_eq!(limit("Max file size"), both("0"));
    assert_eq!(limit("Max core file size"), both("0"));
    assert_eq!(limit("Max processes"), both("0"));
    let memory: u64 = limit("Max address space").1.parse().expect("a number");
    assert!(memory < 1024 * 1024 * 1024, "{memory}");
}

#[test]
fn the_process_ends_with_its_input_and_on_nonsense() {
    let mut bare = Bare::start();
    drop(bare.0.stdin.take());
    assert!(bare.0.wait().expect("it ends").success());
    for nonsense in [[0xff_u8; 8].as_slice(), b"\x02\0\0\0\0\0\0\0{}", b"\x01\0\0\0\0\0\0\0x"] {
        let mut bare = Bare::start();
        let mut input = bare.0.stdin.take().expect("a pipe");
        input.write_all(nonsense).expect("it is read");
        assert!(!bare.0.wait().expect("it ends").success(), "{nonsense:?}");
        let mut said = Vec::new();
        bare.0.stdout.take().expect("a pipe").read_to_end(&mut said).expect("read");
        assert!(said.is_empty());
    }
}

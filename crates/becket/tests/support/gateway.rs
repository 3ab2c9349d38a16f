//! The real binary as a child process.

use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http::{Answer, Client};
use super::{free_port, wait_until};

/// The admin token that every gateway of these tests is given.
pub const ADMIN_TOKEN: &str = "tests-only-admin-token-0123456789abcdef";

/// Where a gateway keeps its things, and where it listens; outlives restarts.
pub struct Place {
    /// Configuration and log; the data too, unless the configuration says otherwise.
    pub folder: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    // Removes the folder at the end.
    _guard: tempfile::TempDir,
}

impl Place {
    /// A fresh folder and a free port.
    pub fn new() -> Self {
        let guard = tempfile::tempdir().expect("a temporary folder can be made");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self { folder: guard.path().to_path_buf(), address, _guard: guard }
    }

    /// Writes the configuration: the address, further lines of `[server]`, the store's folder,
    /// further lines of `[store]`, then everything else.
    pub fn configure(&self, server: &str, data: &Path, store: &str, rest: &str) {
        let text = format!(
            "[server]\nlisten = \"{}\"\n{server}\n[store]\nurl = \"sqlite:{}\"\n{store}\n{rest}",
            self.address,
            data.display(),
        );
        std::fs::write(self.config(), text).expect("the folder can be written");
    }

    /// The data folder that [`Place::configure`] is usually given.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("becket.toml")
    }

    /// Everything that gateways in this place have printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("gateway.log")).unwrap_or_default()
    }

    /// The command that serves, ready to be changed and given to [`Gateway::spawn`].
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_becket"));
        command.arg("serve").arg("--config").arg(self.config());
        self.environment(&mut command);
        command
    }

    /// A command that runs the same under another program: its arguments come first.
    pub fn command_under(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).arg(env!("CARGO_BIN_EXE_becket"));
        command.arg("serve").arg("--config").arg(self.config());
        self.environment(&mut command);
        command
    }

    /// Serves on a socket that this process holds, the way systemd hands it over: as file
    /// descriptor 3, announced by `LISTEN_FDS` and `LISTEN_PID`.
    pub fn command_activated(&self, listener: &TcpListener) -> Command {
        let mut command = Command::new("sh");
        let script = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_becket"), "serve", "--config"]);
        command.arg(self.config());
        self.environment(&mut command);
        let copy = listener.try_clone().expect("a descriptor can be copied");
        command.stdin(Stdio::from(OwnedFd::from(copy)));
        command
    }

    fn environment(&self, command: &mut Command) {
        command
            .env_remove("RUST_LOG")
            .env("BECKET_ADMIN_TOKEN", ADMIN_TOKEN)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
    }

    /// Starts the gateway and waits until it is ready.
    pub fn start(&self) -> Gateway<'_> {
        let gateway = Gateway::spawn(self, self.command());
        gateway.wait_ready(Duration::from_secs(20));
        gateway
    }

    /// The end of the log, for messages.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// A running gateway; it is killed when dropped.
pub struct Gateway<'p> {
    place: &'p Place,
    child: Child,
    spawned: Instant,
}

impl<'p> Gateway<'p> {
    /// Runs a command of this place, with its output appended to the log.
    pub fn spawn(place: &'p Place, mut command: Command) -> Self {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(place.folder.join("gateway.log"))
            .expect("the folder can be written");
        let copy: File = log.try_clone().expect("a descriptor can be copied");
        let child = command.stdout(log).stderr(copy).spawn().expect("the gateway can be started");
        Self { place, child, spawned: Instant::now() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `/readyz` answers 200; answers how long that took since the start.
    pub fn wait_ready(&self, limit: Duration) -> Duration {
        let ready =
            wait_until(limit, || self.get("/readyz").is_ok_and(|answer| answer.status == 200));
        assert!(ready, "not ready within {limit:?}; its log ends:\n{}", self.place.log_tail());
        self.spawned.elapsed()
    }

    /// Asks without a token.
    pub fn get(&self, path: &str) -> std::io::Result<Answer> {
        Client::closing(self.place.address).send("GET", path, &[], b"")
    }

    /// Calls the API with the admin token; the answer must be a success.
    pub fn api(&self, method: &str, path: &str) -> Value {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let answer = Client::closing(self.place.address)
            .send(method, path, &[("authorization", &bearer)], b"")
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert!(answer.is_success(), "{method} {path}: {} {}", answer.status, answer.text());
        answer.json()
    }

    /// Every item of a paged list of the API, oldest page last.
    pub fn api_list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut iterator = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let next =
                if iterator.is_empty() { String::new() } else { format!("&iterator={iterator}") };
            let page = self.api("GET", &format!("{path}{separator}limit=250{next}"));
            items.extend(page["data"].as_array().expect("a list has data").iter().cloned());
            if page["done"].as_bool().unwrap_or(true) {
                return items;
            }
            page["iterator"].as_str().expect("a page names the next").clone_into(&mut iterator);
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it without warning, as a power cut to the process would.
    pub fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("a killed child can be waited for");
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill can be run");
        assert!(status.success(), "kill -{name} failed");
    }

    /// Waits for its end, at most `limit`.
    pub fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        let mut ended = None;
        wait_until(limit, || {
            ended = self.child.try_wait().expect("a child can be waited for");
            ended.is_some()
        });
        ended.unwrap_or_else(|| {
            panic!("still running after {limit:?}; its log ends:\n{}", self.place.log_tail())
        })
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_end(Duration::from_secs(40))
    }
}

impl Drop for Gateway<'_> {
    fn drop(&mut self) {
        // It may have ended already, which is what most tests want.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the gateway's log ends:\n{}", self.place.log_tail());
        }
    }
}

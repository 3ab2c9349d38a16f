//! A gateway with a folder of its own, started as a child; and the bare server as another.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::{BenchError, Result, doing};
use crate::github::{self, SECRET};
use crate::request::Request;
use crate::{api, process};

/// The token for management.
pub const TOKEN: &str = "a token for management, used by the benchmark only";
/// The name of the only source, and of its endpoint if it has one.
pub const SOURCE: &str = "github";
const ENDPOINT: &str = "sink";
/// The name of the second source.
pub const RARE: &str = "rare";
/// How many attempts at the endpoint may be under way.
pub const CONCURRENCY: u32 = 64;

const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_micros(500);

/// What a gateway is told.
#[derive(Clone, Copy)]
pub struct Setup {
    /// The level of its log.
    pub log_level: &'static str,
    /// Where its only endpoint is; none if absent.
    pub endpoint: Option<SocketAddr>,
    /// Where the endpoint of a second source is, whose deliveries are not retried; no such source if
    /// absent.
    pub rare: Option<SocketAddr>,
}

impl Setup {
    /// No endpoint, and the default log.
    pub const PLAIN: Self = Self { log_level: "info", endpoint: None, rare: None };
}

/// A folder with a configuration and the data of one gateway. It goes when dropped.
pub struct Place {
    /// Where the gateway listens.
    pub address: SocketAddr,
    program: PathBuf,
    folder: TempDir,
}

impl Place {
    /// Makes the folder below `parent`, which decides on which disk it lies.
    pub fn new(programs: &Path, parent: &Path, setup: Setup) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(parent)
            .map_err(doing("making a folder for data"))?;
        let address = free_address()?;
        let config = folder.path().join("becket.toml");
        std::fs::write(&config, configuration(address, setup))
            .map_err(doing("writing the configuration"))?;
        let program = program(programs)?;
        Ok(Self { address, program, folder })
    }

    /// Starts the gateway and waits until it is ready.
    pub fn start(&self) -> Result<Running> {
        let mut running = self.spawn()?;
        running.wait_until("ready", || {
            api::get(self.address, "/readyz").is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(running)
    }

    /// Starts the gateway; answers with it, and how long it took from starting the program to the
    /// first event that was acknowledged.
    pub fn start_and_time(&self, request: &mut Request) -> Result<(Running, Duration)> {
        let begin = Instant::now();
        let mut running = self.spawn()?;
        running.wait_until("the first acknowledged event", || {
            api::event(self.address, request).unwrap_or(false)
        })?;
        Ok((running, begin.elapsed()))
    }

    /// Holds the endpoint's deliveries back.
    pub fn pause_endpoint(&self) -> Result<()> {
        let path = format!("/api/v1/becket/endpoint/{ENDPOINT}/pause?source={SOURCE}");
        api::post(self.address, &path, TOKEN)
    }

    /// The bytes of all files of the store.
    pub fn bytes(&self) -> u64 {
        fn below(folder: &Path) -> u64 {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let sizes = entries.map(|entry| match entry.metadata() {
                Ok(facts) if facts.is_dir() => below(&entry.path()),
                Ok(facts) => facts.len(),
                Err(_) => 0,
            });
            sizes.sum()
        }
        below(&self.folder.path().join("data"))
    }

    fn spawn(&self) -> Result<Running> {
        let file = |name: &str| {
            let path = self.folder.path().join(name);
            let file = File::options().create(true).append(true).open(&path);
            file.map_err(doing(format!("opening {name}")))
        };
        let mut command = Command::new(&self.program);
        command
            .args(["serve", "--config"])
            .arg(self.folder.path().join("becket.toml"))
            .current_dir(self.folder.path())
            .env("BECKET_ADMIN_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .stdout(file("out.txt")?)
            .stderr(file("log.txt")?);
        let log = self.folder.path().join("log.txt");
        Running::spawn("the gateway", &mut command, Some(log))
    }
}

/// The gateway's program, which has to be built.
pub fn program(programs: &Path) -> Result<PathBuf> {
    let path = programs.join("becket");
    if path.exists() { Ok(path) } else { Err(BenchError::NotBuilt { path }) }
}

/// An address on this machine that nobody listens on.
pub fn free_address() -> Result<SocketAddr> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    TcpListener::bind(any)
        .and_then(|listener| listener.local_addr())
        .map_err(doing("looking for a free port"))
}

fn configuration(address: SocketAddr, setup: Setup) -> String {
    let level = setup.log_level;
    // The cap is out of the way: retention would remove what is to be measured.
    let mut text = format!(
        "[server]\nlisten = \"{address}\"\n\n[store]\nurl = \"sqlite:data\"\ncap = \"200GiB\"\n\n\
         [log]\nlevel = \"{level}\"\n\n\
         [egress]\nallow_networks = [\"127.0.0.0/8\"]\n\n[[source]]\nid = \"{SOURCE}\"\nprovider = \"github\"\n\
         secrets = [\"{SECRET}\"]\n"
    );
    if let Some(endpoint) = setup.endpoint {
        text.push_str(&format!(
            "\n[[source.endpoint]]\nid = \"{ENDPOINT}\"\nurl = \"http://{endpoint}/hooks\"\n\
             concurrency = {CONCURRENCY}\n"
        ));
    }
    if let Some(endpoint) = setup.rare {
        text.push_str(&format!(
            "\n[[source]]\nid = \"{RARE}\"\nprovider = \"github\"\nsecrets = [\"{SECRET}\"]\n\n\
             [[source.endpoint]]\nid = \"app\"\nurl = \"http://{endpoint}/hooks\"\nretry = \"none\"\n"
        ));
    }
    text
}

/// A child that is measured. It is killed when dropped.
pub struct Running {
    what: &'static str,
    child: Child,
    log: Option<PathBuf>,
}

impl Running {
    /// Starts it; its log, if it has one, is shown when it fails.
    pub fn spawn(what: &'static str, command: &mut Command, log: Option<PathBuf>) -> Result<Self> {
        let child = command.spawn().map_err(doing(format!("starting {what}")))?;
        Ok(Self { what, child, log })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its processor time so far.
    pub fn cpu(&self) -> Result<Duration> {
        process::cpu(self.pid())
    }

    /// Waits until something is so; an error if it ends before, or takes too long.
    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
        let begin = Instant::now();
        while !ready() {
            let ended = self.child.try_wait().map_err(doing("looking after a child"))?;
            if ended.is_some() || begin.elapsed() > START_PATIENCE {
                let how = ended.map_or("it is still running".to_owned(), |end| end.to_string());
                let detail = format!("no {what}; {how}; its log ends:\n{}", self.end_of_log());
                return Err(BenchError::Process { what: self.what, detail });
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn end_of_log(&self) -> String {
        let text = self.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok());
        let text = text.unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) -> Result<()> {
        self.signal(rustix::process::Signal::TERM)?;
        let begin = Instant::now();
        loop {
            match self.child.try_wait().map_err(doing("looking after a child"))? {
                Some(end) if end.success() => return Ok(()),
                Some(end) => {
                    let detail = format!("it ended badly: {end}; {}", self.end_of_log());
                    return Err(BenchError::Process { what: self.what, detail });
                }
                None if begin.elapsed() > STOP_PATIENCE => {
                    let detail = "it did not stop in time".to_owned();
                    return Err(BenchError::Process { what: self.what, detail });
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Ends it without warning, and waits until it is gone.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().map_err(doing(format!("killing {}", self.what)))?;
        self.child.wait().map(drop).map_err(doing(format!("waiting for {}", self.what)))
    }

    fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal)
            .map_err(|error| doing(format!("stopping {}", self.what))(error.into()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// The bare server as a process of its own.
pub struct Bare {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub running: Running,
}

impl Bare {
    /// Starts it and waits until it answers.
    pub fn start() -> Result<Self> {
        let address = free_address()?;
        let program = std::env::current_exe().map_err(doing("looking for this program"))?;
        let mut command = Command::new(program);
        command.args(["limit", "--listen", &address.to_string()]).stdin(Stdio::null());
        let mut running = Running::spawn("the bare server", &mut command, None)?;
        let mut request = github::request(address, 0);
        running.wait_until("answer", || api::event(address, &mut request).unwrap_or(false))?;
        Ok(Self { address, running })
    }
}

//! Measures what `becket listen` adds to a delivery: the same event goes to a receiver directly and to
//! another through a listener, and the difference of the moments at which they have it is taken.
//!
//! `cargo run --release -p becket --example listen_latency [EVENTS]` runs the real `becket` that was
//! built beside it, on loopback, and prints one JSON object; times are in microseconds.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const TOKEN: &str = "measuring-only-token-0123456789abcdef";
const EVENTS_DEFAULT: usize = 2_000;
/// Events before the first that counts.
const WARM_UP: usize = 100;
const PATIENCE: Duration = Duration::from_secs(30);

/// When events arrived, in the order of their arrival, by id.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<Vec<(String, Instant)>>>);

impl Arrivals {
    fn note(&self, id: String, at: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((id, at));
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn after_warm_up(&self) -> HashMap<String, Instant> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().skip(WARM_UP).cloned().collect()
    }
}

/// Ends a process with this one.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<()> {
    let events = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => EVENTS_DEFAULT,
    };
    let folder = tempfile::tempdir()?;
    let becket = beside("becket")?;
    let (direct, direct_at) = receiver()?;
    let (listened, listened_at) = receiver()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let config = folder.path().join("becket.toml");
    let data = folder.path().join("data");
    std::fs::write(
        &config,
        format!(
            "[server]\nlisten = \"{address}\"\n[store]\nurl = \"sqlite:{}\"\n[[source]]\nid = \"m\"\n\
             provider = \"none\"\ndedupe = {{ enabled = false }}\n[[source.endpoint]]\nid = \"direct\"\n\
             url = \"http://{direct_at}/\"\n",
            data.display()
        ),
    )?;
    let serve = ["serve", "--config", &config.display().to_string()];
    let _gateway = start(&becket, &serve, Stdio::null(), folder.path())?;
    wait(|| TcpStream::connect(address).is_ok(), "the gateway")?;
    let (url, to) = (format!("http://{address}"), format!("http://{listened_at}/"));
    let listen = ["listen", "--json", "--url", &url, "--token", TOKEN, "--forward-to", &to];
    let mut listener = start(&becket, &listen, Stdio::piped(), folder.path())?;
    let out = listener.0.stdout.take().ok_or("the listener has no standard output")?;
    let mut lines = BufReader::new(out).lines();
    loop {
        let line = lines.next().ok_or("the listener ended")??;
        if serde_json::from_str::<Value>(&line)?["kind"] == "connected" {
            break;
        }
    }
    std::thread::spawn(move || lines.for_each(drop));
    // The endpoints of the listener are put in force just after that.
    std::thread::sleep(Duration::from_millis(500));

    let mut sender = BufReader::new(TcpStream::connect(address)?);
    sender.get_ref().set_nodelay(true)?;
    for at in 0..events + WARM_UP {
        send(&mut sender, at)?;
        // One after the other: what is measured is latency, not throughput.
        wait(|| direct.count() > at && listened.count() > at, "an event at both receivers")?;
    }
    let (direct, listened) = (direct.after_warm_up(), listened.after_warm_up());
    let mut added: Vec<u64> = listened
        .iter()
        .filter_map(|(id, at)| Some(at.saturating_duration_since(*direct.get(id)?)))
        .map(|added| u64::try_from(added.as_micros()).unwrap_or(u64::MAX))
        .collect();
    added.sort_unstable();
    let last = added.len().checked_sub(1).ok_or("nothing was measured")?;
    let at = |share: f64| added[(last as f64 * share) as usize];
    let shown = json!({ "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0) });
    println!("{}", json!({ "events": added.len(), "added_us": shown }));
    Ok(())
}

/// A program that was built beside this one.
fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).ok_or("this program is in no folder")?;
    let found = folder.join(name);
    if found.exists() {
        return Ok(found);
    }
    Err(format!("{} is not there: build it first with the same profile", found.display()).into())
}

fn start(program: &Path, arguments: &[&str], out: Stdio, folder: &Path) -> Result<Running> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(out).stderr(log);
    command.env("BECKET_ADMIN_TOKEN", TOKEN).env("XDG_CONFIG_HOME", folder);
    Ok(Running(command.spawn()?))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn wait(holds: impl Fn() -> bool, what: &str) -> Result<()> {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() > PATIENCE {
            return Err(format!("{what}: not within {PATIENCE:?}").into());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// Receives on loopback and notes when what arrived.
fn receiver() -> Result<(Arrivals, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let arrivals = Arrivals::default();
    let noted = arrivals.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let noted = noted.clone();
            std::thread::spawn(move || {
                // A connection that breaks at the end is no failure.
                let _ = receive(stream, &noted);
            });
        }
    });
    Ok((arrivals, address))
}

fn receive(stream: TcpStream, noted: &Arrivals) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let head = read_head(&mut reader)?;
        let arrived = Instant::now();
        let length = field(&head, "content-length").parse().unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        noted.note(field(&head, "webhook-id").to_owned(), arrived);
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
    }
}

/// The lines of a head.
fn read_head(reader: &mut BufReader<TcpStream>) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line.to_owned());
    }
}

/// The value of a header; empty if it is not there.
fn field<'h>(head: &'h [String], name: &str) -> &'h str {
    let mut pairs = head.iter().filter_map(|line| line.split_once(':'));
    pairs.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
}

fn send(sender: &mut BufReader<TcpStream>, at: usize) -> Result<()> {
    let body = json!({ "type": "order.paid", "n": at, "text": "x".repeat(900) }).to_string();
    let head = format!(
        "POST /in/m HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // In one piece, so that the second half does not wait for anything.
    sender.get_mut().write_all((head + &body).as_bytes())?;
    let head = read_head(sender)?;
    if !head.first().is_some_and(|line| line.contains(" 20")) {
        return Err(format!("the gateway answered {head:?}").into());
    }
    let mut answer = vec![0; field(&head, "content-length").parse().unwrap_or(0)];
    sender.read_exact(&mut answer)?;
    Ok(())
}

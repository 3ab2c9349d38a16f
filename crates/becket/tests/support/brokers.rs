//! Private brokers in temporary folders: NATS with JetStream, RabbitMQ, Redis. It stands alone, so that
//! tests of other crates can use it too.
//!
//! Each is asked with means of its own (NATS' text protocol, RabbitMQ's HTTP interface, `redis-cli`), not
//! with the libraries that the gateway publishes with. A broker is killed the hard way, and a test
//! that dies takes its brokers along: they end when their standard input does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[path = "ports.rs"]
#[allow(clippy::duplicate_mod, reason = "the drivers of the gateway have it, too")]
mod ports;
use ports::free_port;

/// Runs a program in a session of its own until the standard input ends, then kills all of it.
const UNTIL_INPUT_ENDS: &str = "PATH=$PATH:/usr/sbin; setsid \"$@\" </dev/null & pid=$!; cat >/dev/null; kill -s KILL -- -$pid; wait $pid";

/// A program that runs in a folder, with what it needs to be started again.
struct Program {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    running: Option<Child>,
}

impl Program {
    fn new(folder: tempfile::TempDir, arguments: &[&str], environment: &[(&str, String)]) -> Self {
        Self {
            folder,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            running: None,
        }
    }

    fn start(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("the folder can be written");
        let child = Command::new("sh")
            .args(["-c", UNTIL_INPUT_ENDS, "sh"])
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a descriptor can be copied"))
            .stderr(log)
            .spawn()
            .expect("sh can be run");
        self.running = Some(child);
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            drop(child.stdin.take());
            child.wait().expect("a child can be waited for");
        }
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn wait(&self, what: &str, limit: Duration, mut ready: impl FnMut() -> bool) {
        let started = Instant::now();
        while !ready() {
            if started.elapsed() > limit {
                let log = std::fs::read_to_string(self.log_file()).unwrap_or_default();
                panic!("{what} did not start within {limit:?}:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A NATS server with JetStream.
pub struct Nats {
    /// Where it listens.
    pub port: u16,
    program: Program,
}

impl Nats {
    /// Starts one; `settings` are further lines of its configuration.
    pub fn start(settings: &str) -> Self {
        let (port, folder) = (free_port(), folder());
        let config = folder.path().join("nats.conf");
        let text = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: \"{}\" }}\n{settings}\n",
            folder.path().join("data").display()
        );
        std::fs::write(&config, text).expect("the folder can be written");
        let config = config.display().to_string();
        let mut server =
            Self { port, program: Program::new(folder, &["nats-server", "-c", &config], &[]) };
        server.resume();
        server
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again on the same data.
    pub fn resume(&mut self) {
        self.program.start();
        self.program.wait("nats-server", Duration::from_secs(20), || answers(self.port));
    }

    /// Makes a stream that keeps these subjects.
    pub fn add_stream(&self, login: Value, name: &str, subjects: &[&str]) {
        let stream = json!({ "name": name, "subjects": subjects, "storage": "file",
            "retention": "limits", "duplicate_window": 120_000_000_000_u64 });
        let answer = self.request(login, &format!("$JS.API.STREAM.CREATE.{name}"), &stream);
        assert!(answer.get("error").is_none(), "{answer}");
    }

    /// Every message of a stream: its headers (as text) and its body.
    pub fn messages(&self, login: Value, stream: &str) -> Vec<(String, Vec<u8>)> {
        let info =
            self.request(login.clone(), &format!("$JS.API.STREAM.INFO.{stream}"), &json!({}));
        let last = info["state"]["last_seq"].as_u64().unwrap_or_default();
        (1..=last)
            .map(|sequence| {
                let subject = format!("$JS.API.STREAM.MSG.GET.{stream}");
                let answer = self.request(login.clone(), &subject, &json!({ "seq": sequence }));
                let part = |name: &str| {
                    let text = answer["message"][name].as_str().unwrap_or_default();
                    from_base64(text)
                };
                (String::from_utf8_lossy(&part("hdrs")).into_owned(), part("data"))
            })
            .collect()
    }

    /// Asks and waits for the answer.
    fn request(&self, login: Value, subject: &str, payload: &Value) -> Value {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket has time-outs");
        let mut reader = BufReader::new(stream);
        let mut connect = json!({ "verbose": false, "pedantic": false, "lang": "test",
            "version": "0", "headers": true });
        if let (Some(connect), Value::Object(login)) = (connect.as_object_mut(), login) {
            connect.extend(login);
        }
        let payload = payload.to_string();
        let text = format!(
            "CONNECT {connect}\r\nSUB answer 1\r\nPUB {subject} answer {}\r\n{payload}\r\n",
            payload.len()
        );
        reader.get_mut().write_all(text.as_bytes()).expect("it reads");
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("it answers");
            assert!(!line.is_empty() && !line.starts_with("-ERR"), "{subject}: {line}");
            if line.starts_with("MSG ") {
                let length = line.trim().rsplit(' ').next().and_then(|text| text.parse().ok());
                let mut body = vec![0; length.expect("a length")];
                reader.read_exact(&mut body).expect("a body");
                return serde_json::from_slice(&body).expect("JSON");
            }
            if line.starts_with("PING") {
                reader.get_mut().write_all(b"PONG\r\n").expect("it reads");
            }
        }
    }
}

/// The bytes of a base64 text.
pub fn from_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes().filter_map(value) {
        bits = bits << 6 | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    bytes
}

/// A Redis server that writes an append-only file.
pub struct Redis {
    /// Where it listens.
    pub port: u16,
    program: Program,
}

impl Redis {
    /// Starts one; `arguments` are further ones of `redis-server`.
    pub fn start(arguments: &[&str]) -> Self {
        let (port, folder) = (free_port(), folder());
        let dir = folder.path().display().to_string();
        let text = port.to_string();
        let mut all =
            vec!["redis-server", "--bind", "127.0.0.1", "--dir", &dir, "--appendonly", "yes"];
        all.extend(["--save", "", "--port", &text]);
        all.extend(arguments);
        let mut server = Self { port, program: Program::new(folder, &all, &[]) };
        server.resume();
        server
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again on the same data.
    pub fn resume(&mut self) {
        self.program.start();
        self.program.wait("redis-server", Duration::from_secs(20), || answers(self.port));
    }

    /// Runs `redis-cli`; answers what it prints.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["--no-auth-warning", "-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .expect("redis-cli can be run; `make setup` installs it");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// A RabbitMQ server with its HTTP interface.
pub struct Rabbit {
    /// Where AMQP is spoken.
    pub port: u16,
    http: u16,
    program: Program,
}

impl Rabbit {
    /// Starts one, with the user `guest` and the password `guest`.
    pub fn start() -> Self {
        let (port, http, names, peers) = (free_port(), free_port(), free_port(), free_port());
        let folder = folder();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let text = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nmanagement.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {http}\n"
        );
        std::fs::write(at("rabbitmq.conf"), text).expect("the folder can be written");
        std::fs::write(at("plugins"), "[rabbitmq_management].").expect("the folder can be written");
        let environment = [
            ("HOME", at("")),
            ("RABBITMQ_NODENAME", format!("becket{port}@localhost")),
            ("RABBITMQ_DIST_PORT", peers.to_string()),
            ("RABBITMQ_CONF_ENV_FILE", at("none")),
            ("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins")),
            ("RABBITMQ_MNESIA_BASE", at("data")),
            ("RABBITMQ_LOG_BASE", at("log")),
            ("RABBITMQ_LOGS", "-".to_owned()),
            ("RABBITMQ_PID_FILE", at("pid")),
            ("ERL_EPMD_PORT", names.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ];
        // The service of names daemonises itself; started beforehand, it is a part of the session.
        let script = "epmd & exec /usr/lib/rabbitmq/bin/rabbitmq-server";
        let program = Program::new(folder, &["sh", "-c", script], &environment);
        let mut server = Self { port, http, program };
        server.resume();
        server
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again on the same data.
    pub fn resume(&mut self) {
        self.program.start();
        self.program.wait("rabbitmq-server", Duration::from_secs(90), || {
            answers(self.port)
                && answers(self.http)
                && self.http("GET", "/api/vhosts/%2F", None).0 == 200
        });
    }

    /// Declares a durable queue.
    pub fn add_queue(&self, name: &str) {
        let (status, answer) =
            self.http("PUT", &format!("/api/queues/%2F/{name}"), Some(json!({ "durable": true })));
        assert!((200..300).contains(&status), "{status} {answer}");
    }

    /// Every message of a queue, as its HTTP interface shows it; they stay in the queue.
    pub fn messages(&self, queue: &str) -> Vec<Value> {
        let wanted =
            json!({ "count": 100_000, "ackmode": "ack_requeue_true", "encoding": "base64" });
        let (status, answer) =
            self.http("POST", &format!("/api/queues/%2F/{queue}/get"), Some(wanted));
        assert_eq!(status, 200, "{answer}");
        answer.as_array().cloned().unwrap_or_default()
    }

    /// Calls its HTTP interface.
    pub fn http(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let call = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.http))?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            // guest:guest
            let head = format!(
                "{method} {path} HTTP/1.0\r\nauthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes())?;
            let mut text = Vec::new();
            stream.read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        // While it starts, connections break: that is an answer too.
        let text = call().unwrap_or_default();
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

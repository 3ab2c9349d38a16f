//! Short questions to a gateway, over a connection of their own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::error::{BenchError, Result, doing};
use crate::messages::Server;
use crate::request::Request;

const TIMEOUT: Duration = Duration::from_secs(60);

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Everything behind the head.
    pub body: String,
}

fn exchange(to: SocketAddr, request: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    Ok(Answer { status, body: body.to_owned() })
}

/// Sends JSON with a token; answers with the status and the JSON that came back.
pub fn exchange_json(
    server: &Server,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<(u16, Value)> {
    let body = body.to_string();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
         authorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        server.address,
        server.token,
        body.len()
    );
    let asked = exchange(server.address, request.as_bytes());
    let answer = asked.map_err(doing(format!("asking for {path}")))?;
    Ok((answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body))))
}

/// Asks with `GET`.
pub fn get(to: SocketAddr, path: &str) -> std::io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\r\n");
    exchange(to, request.as_bytes())
}

/// Asks management to do something that takes no more words than its path.
pub fn post(to: SocketAddr, path: &str, token: &str) -> Result<()> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: 2\r\n\r\n{{}}"
    );
    let answer = exchange(to, request.as_bytes()).map_err(doing(format!("asking for {path}")))?;
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    let detail = format!("{path} answered {}: {}", answer.status, answer.body);
    Err(BenchError::Process { what: "management", detail })
}

/// Sends one event and says whether it was acknowledged; an error if nothing listens yet.
pub fn event(to: SocketAddr, request: &mut Request) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    stream.write_all(request.next())?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start.ends_with(b" 200"))
}

/// The value of a metric without labels.
pub fn metric(to: SocketAddr, name: &str) -> Result<f64> {
    let answer = get(to, "/metrics").map_err(doing("reading metrics"))?;
    let line = answer.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).ok_or_else(|| BenchError::Process {
        what: "metrics",
        detail: format!("there is no {name}"),
    })
}

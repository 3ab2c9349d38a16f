//! The little of HTTP/1.1 that the load generator and the sink need, so that they cost little.
//!
//! Deliberately absent: chunked bodies and anything else the gateway does not send here; they are
//! errors, which are counted and shown.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

const FIRST_BYTES: usize = 4 * 1_024;
const HEAD_BYTES_MAX: usize = 64 * 1_024;

/// A message, within the buffer it was read into.
pub struct Head<'b> {
    /// The first line.
    pub first: &'b [u8],
    rest: &'b [u8],
    /// The body, once it has been read.
    pub body: &'b [u8],
}

impl Head<'_> {
    /// The value of a header, whose name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.rest.split(|byte| *byte == b'\n').find_map(|line| {
            let value = line.get(name.len()..)?.strip_prefix(b":")?;
            line[..name.len()].eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
        })
    }

    fn body_length(&self) -> io::Result<usize> {
        if self.header("transfer-encoding").is_some() {
            return Err(io::Error::other("a chunked body"));
        }
        let Some(value) = self.header("content-length") else { return Ok(0) };
        let text = std::str::from_utf8(value).unwrap_or_default();
        text.parse().map_err(|_| io::Error::other("a content-length that is no number"))
    }

    /// The status in the first line of an answer.
    pub fn status(&self) -> u16 {
        let digits = self.first.get(9..12).unwrap_or_default();
        std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Whether the other side will close the connection.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"))
    }
}

/// Messages that come over a connection, one after the other.
pub struct Incoming {
    buffer: Vec<u8>,
    filled: usize,
}

impl Incoming {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self { buffer: vec![0; FIRST_BYTES], filled: 0 }
    }

    /// Reads a message to its end and shows it to `see`; `None` if the connection ended
    /// before another message began.
    pub async fn message<T>(
        &mut self,
        stream: &mut TcpStream,
        see: impl FnOnce(Head<'_>) -> T,
    ) -> io::Result<Option<T>> {
        let head_length = loop {
            if let Some(length) = end_of_head(&self.buffer[..self.filled]) {
                break length;
            }
            if !self.more(stream).await? {
                return match self.filled {
                    0 => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        };
        let length = head_length + self.head(head_length).body_length()?;
        while self.filled < length {
            if !self.more(stream).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let whole = Head { body: &self.buffer[head_length..length], ..self.head(head_length) };
        let seen = see(whole);
        self.buffer.copy_within(length..self.filled, 0);
        self.filled -= length;
        Ok(Some(seen))
    }

    fn head(&self, length: usize) -> Head<'_> {
        let bytes = &self.buffer[..length];
        let end = bytes.iter().position(|byte| *byte == b'\r').unwrap_or(length);
        Head { first: &bytes[..end], rest: bytes.get(end + 2..).unwrap_or_default(), body: &[] }
    }

    async fn more(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        if self.filled == self.buffer.len() {
            if self.filled >= HEAD_BYTES_MAX {
                return Err(io::Error::other("a message that is too long"));
            }
            self.buffer.resize(self.filled * 2, 0);
        }
        let length = stream.read(&mut self.buffer[self.filled..]).await?;
        self.filled += length;
        Ok(length > 0)
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn messages_are_told_apart_however_they_are_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let sending = async move {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\
                HTTP/1.1 503 No\r\nconnection: close\r\n\r\n";
            for part in bytes.chunks(7) {
                stream.write_all(part).await.expect("sent");
                tokio::task::yield_now().await;
            }
        };
        let reading = async move {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut incoming = Incoming::new();
            let mut seen = Vec::new();
            while let Some(one) = incoming
                .message(&mut stream, |head| (head.status(), head.closes()))
                .await
                .expect("well formed")
            {
                seen.push(one);
            }
            seen
        };
        let ((), seen) = tokio::join!(sending, reading);
        assert_eq!(seen, [(200, false), (503, true)]);
    }
}

//! A small HTTP/1.1 client for the management API, over TCP or TLS.
//!
//! Invariants: one connection for each request; connecting and waiting for the answer are bounded;
//! the token goes only to the address that was given, and redirects are not followed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::failure::{Failure, Result};
use crate::cli::Connection;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A backup of a large store, and a long poll, take their time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A gateway that can be asked.
pub(in crate::cli) struct Client {
    url: String,
    base: Uri,
    token: String,
    tls: Option<TlsConnector>,
}

impl Client {
    /// Prepares to ask a gateway; connects to nothing yet.
    pub fn new(connection: &Connection) -> Result<Self> {
        let wrong = |what: &str| {
            Failure::from(
                crate::cli::CliError::usage(format!(
                    "`{}` is not a usable URL: {what}",
                    connection.url
                ))
                .hint("write it like http://127.0.0.1:8080 or https://hooks.example.com"),
            )
        };
        let base: Uri = connection
            .url
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
        if base.host().is_none_or(str::is_empty) {
            return Err(wrong("it has no host"));
        }
        let tls = match base.scheme_str() {
            Some("http") => None,
            Some("https") => Some(connector().map_err(|error| wrong(&error.to_string()))?),
            _ => return Err(wrong("it begins with neither http:// nor https://")),
        };
        Ok(Self { url: connection.url.clone(), base, token: connection.token.clone(), tls })
    }

    /// The address that is asked.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reads something.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.json(Method::GET, path, None).await
    }

    /// Changes something.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.json(Method::POST, path, Some(body)).await
    }

    /// Takes something away.
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.json(Method::DELETE, path, None).await
    }

    /// Opens an answer that is read as it comes.
    pub async fn open(&self, path: &str, accept: &str) -> Result<Incoming> {
        let response = self.send(Method::GET, path, accept, Bytes::new()).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(self.refusal(response).await)
    }

    async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let response = self.send(method, path, "application/json", body).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let bytes = self.read(response.into_body()).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| Failure::nonsense(&self.url, error))
    }

    async fn refusal(&self, response: Response<Incoming>) -> Failure {
        let status = response.status().as_u16();
        let bytes = match self.read(response.into_body()).await {
            Ok(bytes) => bytes,
            Err(failure) => return failure,
        };
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(problem) if problem.get("code").is_some_and(Value::is_string) => {
                let failure = Failure::refused(status, &problem);
                let code = problem["code"].as_str().unwrap_or_default();
                if code == "unauthorized" {
                    return failure.hint(format!(
                        "the token is sent to {}: give --url and --token of the same gateway",
                        self.url
                    ));
                }
                failure
            }
            _ => Failure::nonsense(&self.url, format!("status {status}")),
        }
    }

    async fn read(&self, body: Incoming) -> Result<Bytes> {
        let limited = Limited::new(body, ANSWER_BYTES_MAX);
        let collected = tokio::time::timeout(ANSWER_TIMEOUT, limited.collect()).await;
        match collected {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) => {
                Err(Failure::unreachable(format!("the answer of {} broke off: {error}", self.url)))
            }
            Err(_) => Err(Failure::unreachable(format!("{} does not finish its answer", self.url))),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>> {
        let prefix = self.base.path().trim_end_matches('/');
        let authority = self.base.authority().map_or("", http::uri::Authority::as_str);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{prefix}{path}"))
            .header(header::HOST, authority.rsplit('@').next().unwrap_or_default())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::ACCEPT, accept);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|error| {
            Failure::from(crate::cli::CliError::usage(format!(
                "the token or an argument cannot be sent: {error}"
            )))
        })?;
        let exchange = async {
            let stream = self.dial().await?;
            let answer = match &self.tls {
                None => exchange(TokioIo::new(stream), request).await,
                Some(tls) => {
                    let name = ServerName::try_from(self.host().to_owned())
                        .map_err(|error| self.cannot(&error))?;
                    let stream = tls.connect(name, stream).await.map_err(|error| {
                        self.cannot(&error).hint(
                            "a private certificate authority is trusted through SSL_CERT_FILE",
                        )
                    })?;
                    exchange(TokioIo::new(stream), request).await
                }
            };
            answer.map_err(|error| self.cannot(&error))
        };
        tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(Failure::unreachable(format!("{} does not answer", self.url))))
    }

    fn host(&self) -> &str {
        let host = self.base.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    async fn dial(&self) -> Result<TcpStream> {
        let port = self.base.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let connecting = TcpStream::connect((self.host(), port));
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self
                .cannot(&error)
                .hint("is the gateway running? `becket serve` starts it")
                .hint("--url or BECKET_URL says where it is")),
            Err(_) => Err(Failure::unreachable(format!(
                "{} cannot be reached within {} seconds",
                self.url,
                CONNECT_TIMEOUT.as_secs()
            ))),
        }
    }

    fn cannot(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::unreachable(format!("{} cannot be reached: {error}", self.url))
    }
}

/// Sends one request; the connection lives on in the background until its answer is read.
async fn exchange<I>(
    io: I,
    request: Request<Full<Bytes>>,
) -> std::result::Result<Response<Incoming>, hyper::Error>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    // How the connection ends is told by the answer, which breaks off with it.
    tokio::spawn(connection);
    sender.send_request(request).await
}

pub(in crate::cli) fn connector() -> std::result::Result<TlsConnector, rustls::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A path with its query, every value escaped.
#[derive(Debug, Clone)]
pub(in crate::cli) struct PathBuilder {
    text: String,
    joint: char,
}

impl PathBuilder {
    /// Begins with a path that needs no escaping.
    pub fn new(path: &str) -> Self {
        Self { text: path.to_owned(), joint: '?' }
    }

    /// Appends a part of the path.
    #[must_use]
    pub fn part(mut self, part: &str) -> Self {
        self.text.push('/');
        self.text.push_str(&escaped(part));
        self
    }

    /// Appends a query parameter, if it is given.
    #[must_use]
    pub fn query(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.text.push(self.joint);
            self.text.push_str(name);
            self.text.push('=');
            self.text.push_str(&escaped(value));
            self.joint = '&';
        }
        self
    }

    /// The whole.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn escaped(text: &str) -> String {
    use std::fmt::Write as _;

    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped() {
        let path = PathBuilder::new("/a").part("x/y").query("q", Some("ä b&c")).query("n", None);
        assert_eq!(path.query("z", Some("1")).text(), "/a/x%2Fy?q=%C3%A4%20b%26c&z=1");
    }

    #[test]
    fn urls_are_checked_before_anything_is_sent() {
        for url in ["ftp://x", "127.0.0.1:8080", "http://", "/path", "http:// x"] {
            let connection = Connection { url: url.to_owned(), token: "t".to_owned() };
            assert!(Client::new(&connection).is_err(), "{url}");
        }
        let connection = Connection { url: "http://[::1]:80/x".to_owned(), token: "t".to_owned() };
        assert_eq!(Client::new(&connection).ok().unwrap().host(), "::1");
    }

    /// Answers each connection with the next of the given responses, byte for byte.
    async fn gateway(answers: Vec<&'static str>) -> Client {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4_096];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).to_ascii_lowercase();
                assert!(request.contains("authorization: bearer t\r\n"), "{request}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Client::new(&Connection { url, token: "t".to_owned() }).ok().unwrap()
    }

    #[tokio::test]
    async fn answers_and_refusals_are_read() {
        let client = gateway(vec![
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 33\r\n\r\n{\"code\":\"not_found\",\"detail\":\"x\"}",
            "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 5\r\n\r\noops!",
            "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{{{",
        ])
        .await;
        assert_eq!(client.get("/").await.ok().unwrap()["a"], 1);
        assert_eq!(client.post("/", &Value::Null).await.ok().unwrap(), Value::Null);
        for expected in
            ["error: x", "does not answer like a gateway", "broke off", "does not answer"]
        {
            let failure = client.get("/").await.err().unwrap();
            assert!(failure.to_string().contains(expected), "{failure} has no `{expected}`");
        }
        let gone = client.get("/").await.err().unwrap();
        assert!(gone.to_string().contains("cannot be reached"), "{gone}");
    }
}

//! The connection to a gateway: calls over connections that are kept, and the stream.
//!
//! Invariants: everything has a time limit; the token goes to the gateway's address and nowhere else,
//! through a proxy only inside of TLS or in a request to that address; redirects are not followed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use becket_develop::listen::proxy::{Proxy, proxy_for};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::cli::online::failure::{Failure, Result};
use crate::cli::{CliError, Connection};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
const PROXY_HEAD_MAX: usize = 8 * 1024;
/// How many unused connections are kept.
const KEPT_MAX: usize = 8;

/// What TLS and plain connections have in common.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

type Sender = SendRequest<Full<Bytes>>;

/// A gateway, and how it is reached.
pub(super) struct Link {
    url: String,
    base: Uri,
    token: String,
    tls: Option<TlsConnector>,
    proxy: Option<Proxy>,
    kept: Mutex<Vec<Sender>>,
}

impl Link {
    /// Checks address and proxy; connects to nothing yet.
    pub fn new(connection: &Connection, env: &BTreeMap<String, String>) -> Result<Self> {
        let wrong = |what: String| {
            let message = format!("`{}` is not a usable URL: {what}", connection.url);
            Failure::from(CliError::usage(message).hint("write it like https://hooks.example.com"))
        };
        let base: Uri = connection
            .url
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
        if base.host().is_none_or(str::is_empty) {
            return Err(wrong("it has no host".to_owned()));
        }
        let tls = match base.scheme_str() {
            Some("http") => None,
            Some("https") => {
                Some(super::super::online::client::connector().map_err(|e| wrong(e.to_string()))?)
            }
            _ => return Err(wrong("it begins with neither http:// nor https://".to_owned())),
        };
        let proxy = proxy_for(&base, env)
            .map_err(|error| Failure::from(CliError::usage(error.to_string())))?;
        Ok(Self {
            url: connection.url.clone(),
            base,
            token: connection.token.clone(),
            tls,
            proxy,
            kept: Mutex::default(),
        })
    }

    /// The gateway's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks for something in JSON; an empty answer is null.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let bytes = self.bytes(method, path, body).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| Failure::nonsense(&self.url, error))
    }

    /// Gives what is already written as JSON.
    pub async fn post(&self, path: &str, body: Bytes) -> Result<Value> {
        let bytes = self.bytes(Method::POST, path, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::nonsense(&self.url, error))
    }

    /// The bytes of an answer.
    pub async fn bytes(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let exchange = async {
            let (sender, response) = self.exchange(method, path, "application/json", body).await?;
            let status = response.status();
            let limited = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
            let collected = limited.collect().await.map_err(|error| {
                Failure::unreachable(format!("the answer of {} broke off: {error}", self.url))
            })?;
            self.keep(sender);
            Ok((status, collected.to_bytes()))
        };
        let (status, bytes) =
            tokio::time::timeout(ANSWER_TIMEOUT, exchange).await.unwrap_or_else(|_| {
                Err(Failure::unreachable(format!("{} does not answer", self.url)))
            })?;
        if status.is_success() { Ok(bytes) } else { Err(self.refusal(status, &bytes)) }
    }

    /// Opens the stream of a listener.
    pub async fn stream(&self, path: &str) -> Result<Incoming> {
        let opening = self.exchange(Method::GET, path, "text/event-stream", Bytes::new());
        let (sender, response) =
            tokio::time::timeout(ANSWER_TIMEOUT, opening).await.unwrap_or_else(|_| {
                Err(Failure::unreachable(format!("{} does not answer", self.url)))
            })?;
        if response.status().is_success() {
            // The connection is the stream's own from here on and ends with it.
            drop(sender);
            return Ok(response.into_body());
        }
        let status = response.status();
        let bytes = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Err(self.refusal(status, &bytes.map(|all| all.to_bytes()).unwrap_or_default()))
    }

    fn refusal(&self, status: StatusCode, bytes: &Bytes) -> Failure {
        match serde_json::from_slice::<Value>(bytes) {
            Ok(problem) if problem.get("code").is_some_and(Value::is_string) => {
                let failure = Failure::refused(status.as_u16(), &problem);
                match problem["code"].as_str() {
                    Some("unauthorized") => failure.hint(format!(
                        "the token is sent to {}: `becket login --url URL` stores another",
                        self.url
                    )),
                    Some("route_not_found") => {
                        failure.hint("the gateway is older than this command: update it")
                    }
                    _ => failure,
                }
            }
            _ => Failure::nonsense(&self.url, format!("status {}", status.as_u16())),
        }
    }

    fn keep(&self, sender: Sender) {
        let mut kept = self.kept.lock();
        if kept.len() < KEPT_MAX && !sender.is_closed() {
            kept.push(sender);
        }
    }

    /// Sends one request, over a kept connection if one is usable. Answers can be given twice without
    /// harm, so a kept connection that turns out to be closed is no failure.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Bytes,
    ) -> Result<(Sender, Response<Incoming>)> {
        loop {
            let Some(mut sender) = self.kept.lock().pop() else { break };
            if sender.ready().await.is_err() {
                continue;
            }
            let request = self.request(&method, path, accept, body.clone())?;
            if let Ok(response) = sender.send_request(request).await {
                return Ok((sender, response));
            }
        }
        let wire = self.dial().await?;
        let (mut sender, connection) =
            handshake(TokioIo::new(wire)).await.map_err(|error| self.cannot(&error))?;
        // How the connection ends is told by the answer, which breaks off with it.
        tokio::spawn(connection);
        let request = self.request(&method, path, accept, body)?;
        let response = sender.send_request(request).await.map_err(|error| self.cannot(&error))?;
        Ok((sender, response))
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        accept: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>> {
        let prefix = self.base.path().trim_end_matches('/');
        let host = self.host_header();
        // A proxy that does not tunnel is told the whole URL.
        let through = self.proxy.as_ref().filter(|_| self.tls.is_none());
        let target = match through {
            Some(_) => format!("http://{host}{prefix}{path}"),
            None => format!("{prefix}{path}"),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, host)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::ACCEPT, accept);
        if let Some(credentials) = through.and_then(|proxy| proxy.credentials.as_ref()) {
            request = request.header(header::PROXY_AUTHORIZATION, basic(credentials));
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(body)).map_err(|error| {
            Failure::from(CliError::usage(format!("the token cannot be sent: {error}")))
        })
    }

    fn host_header(&self) -> &str {
        let authority = self.base.authority().map_or("", http::uri::Authority::as_str);
        authority.rsplit('@').next().unwrap_or_default()
    }

    fn host(&self) -> &str {
        self.base.host().unwrap_or_default().trim_matches(['[', ']'])
    }

    fn port(&self) -> u16 {
        self.base.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 })
    }

    async fn dial(&self) -> Result<Box<dyn Wire>> {
        let dialling = async {
            let (host, port) = match &self.proxy {
                Some(proxy) => (proxy.host.as_str(), proxy.port),
                None => (self.host(), self.port()),
            };
            let stream = TcpStream::connect((host, port)).await.map_err(|error| {
                let failure = self.cannot(&error);
                match &self.proxy {
                    Some(_) => failure.hint("the proxy of HTTPS_PROXY or HTTP_PROXY was asked"),
                    None => failure
                        .hint("is the gateway running? `becket serve` starts it")
                        .hint("--url, BECKET_URL or `becket login` says where it is"),
                }
            })?;
            // What is small and urgent must not wait for more.
            stream.set_nodelay(true).map_err(|error| self.cannot(&error))?;
            let Some(tls) = &self.tls else { return Ok(Box::new(stream) as Box<dyn Wire>) };
            let stream = match &self.proxy {
                Some(proxy) => self.tunnel(stream, proxy).await?,
                None => stream,
            };
            let name = ServerName::try_from(self.host().to_owned())
                .map_err(|error| self.cannot(&error))?;
            let stream = tls.connect(name, stream).await.map_err(|error| {
                self.cannot(&error)
                    .hint("a private certificate authority is trusted through SSL_CERT_FILE")
            })?;
            Ok(Box::new(stream) as Box<dyn Wire>)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, dialling).await.unwrap_or_else(|_| {
            let seconds = CONNECT_TIMEOUT.as_secs();
            let message = format!("{} cannot be reached within {seconds} seconds", self.url);
            Err(Failure::unreachable(message))
        })
    }

    /// Asks a proxy to connect onwards.
    async fn tunnel(&self, mut stream: TcpStream, proxy: &Proxy) -> Result<TcpStream> {
        let (host, port) = (self.host(), self.port());
        let authority =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut asked = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n");
        if let Some(credentials) = &proxy.credentials {
            asked.push_str(&format!("proxy-authorization: {}\r\n", basic(credentials)));
        }
        asked.push_str("\r\n");
        stream.write_all(asked.as_bytes()).await.map_err(|error| self.cannot(&error))?;
        // Byte by byte, so that nothing of what follows is taken.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > PROXY_HEAD_MAX {
                return Err(Failure::unreachable("the proxy's answer is too long"));
            }
            head.push(stream.read_u8().await.map_err(|error| self.cannot(&error))?);
        }
        let first = String::from_utf8_lossy(&head);
        let first = first.lines().next().unwrap_or_default();
        if first.split(' ').nth(1) != Some("200") {
            let said: String = first.chars().filter(|character| !character.is_control()).collect();
            let message = format!("the proxy does not connect to {authority}: {said}");
            return Err(Failure::unreachable(message));
        }
        Ok(stream)
    }

    fn cannot(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::unreachable(format!("{} cannot be reached: {error}", self.url))
    }
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", BASE64.encode(credentials))
}

/// A gateway that several tasks ask.
pub(super) type SharedLink = Arc<Link>;

//! E-mail over SMTP.
//!
//! Invariants: a header never has a line end from outside; the message's id is made from the event's,
//! so that a repeat after a lost answer is recognised; a password is never sent unencrypted, except
//! to this machine itself. Every message says that a program wrote it (`Auto-Submitted`, RFC 3834),
//! so that nobody's absence note answers.
//!
//! Absent: HTML, attachments, keeping connections open. Messages are few.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use becket_egress::{AttemptError, AttemptOutcome, EgressConfig};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Code;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::cut::{cut, one_line};
use crate::error::NotifyError;
use crate::message::Message;

const SUBJECT_MAX: usize = 200;
const TEXT_MAX: usize = 100_000;
const ANSWER_MAX: usize = 300;

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// Begins in plain text and is encrypted before anything is said; usually port 587.
    StartTls,
    /// Encrypted from the first byte; usually port 465.
    Tls,
    /// Not at all; for a server on this machine; usually port 25.
    None,
}

/// A mail server, and who writes to whom.
#[derive(Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// The server's host name or address.
    pub host: String,
    /// Its port; the usual one if absent.
    pub port: Option<u16>,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// User name and password, if the server wants them.
    pub login: Option<(String, String)>,
    /// Who writes: `gateway@example.com` or `Gateway <gateway@example.com>`.
    pub from: String,
    /// Who gets it.
    pub to: Vec<String>,
    /// The name this machine calls itself by; its address in brackets if absent.
    pub hello: Option<String>,
}

impl fmt::Debug for MailSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailSettings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

/// Sends messages by mail.
pub(crate) struct Mailer {
    settings: MailSettings,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// What makes a message's id.
pub(crate) struct MailId<'i> {
    /// The id of the event, or of the first of many.
    pub(crate) event: &'i str,
    /// How many events it tells of.
    pub(crate) total: u64,
}

impl Mailer {
    pub(crate) fn new(settings: MailSettings) -> Result<Self, NotifyError> {
        let address = |text: &String| {
            text.parse::<Mailbox>().map_err(|_| NotifyError::Address { address: text.clone() })
        };
        let from = address(&settings.from)?;
        let to = settings.to.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(NotifyError::NoRecipient);
        }
        let host = settings.host.as_str();
        let is_name = !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_'));
        if !is_name {
            return Err(NotifyError::Server { server: settings.host });
        }
        let is_open = settings.security == MailSecurity::None && !is_this_machine(host);
        if is_open && settings.login.is_some() {
            return Err(NotifyError::PlainPassword { server: settings.host });
        }
        Ok(Self { settings, from, to })
    }

    /// Sends a message within a time. Whatever happens is in the outcome.
    pub(crate) async fn send(
        &self,
        message: &Message,
        id: &MailId<'_>,
        at_ms: i64,
        timeout: Duration,
        egress: &EgressConfig,
    ) -> AttemptOutcome {
        let mail = match self.mail(message, id, at_ms) {
            Ok(mail) => mail,
            Err(problem) => {
                let note = format!("the mail could not be written: {problem}");
                return AttemptOutcome::given_up(AttemptError::MailRefused, note);
            }
        };
        let transport = match self.transport(timeout, egress) {
            Ok(transport) => transport,
            Err(problem) => {
                let note = format!("the connection could not be set up: {problem}");
                return AttemptOutcome::not_done(AttemptError::MailFailed, note);
            }
        };
        match tokio::time::timeout(timeout, transport.send(mail)).await {
            Ok(Ok(answer)) => {
                let said: Vec<&str> = answer.message().collect();
                let said = cut(&one_line(&said.join(" ")), ANSWER_MAX);
                AttemptOutcome::done(format!(
                    "accepted by the mail server: {} {said}",
                    answer.code()
                ))
            }
            Ok(Err(error)) => outcome_of(&error),
            Err(_) => {
                let note = "the mail server did not finish in time".to_owned();
                AttemptOutcome::not_done(AttemptError::MailFailed, note)
            }
        }
    }

    fn mail(
        &self,
        message: &Message,
        id: &MailId<'_>,
        at_ms: i64,
    ) -> Result<lettre::Message, lettre::error::Error> {
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(at_ms).unwrap_or_default());
        let id_text = self.message_id(id);
        let mut builder = MessageBuilder::new()
            .from(self.from.clone())
            .date(date)
            .message_id(Some(id_text))
            .subject(cut(&one_line(&message.title), SUBJECT_MAX))
            .header(ContentType::TEXT_PLAIN)
            .raw_header(fixed("Auto-Submitted", "auto-generated".to_owned()))
            .raw_header(fixed("X-Becket-Event", one_line(id.event)));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let mut text = cut(&message.text, TEXT_MAX);
        if let Some(link) = &message.link {
            // As every mail program knows it.
            text.push_str(if text.is_empty() { "" } else { "\n\n" });
            text.push_str(link);
        }
        text.push('\n');
        builder.body(text)
    }

    /// The same message has the same id, whenever it is sent.
    fn message_id(&self, id: &MailId<'_>) -> String {
        let event: String = id
            .event
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
            .collect();
        let many = if id.total > 1 { format!(".{}", id.total) } else { String::new() };
        format!("<{event}{many}@{}>", self.from.email.domain())
    }

    fn transport(
        &self,
        timeout: Duration,
        egress: &EgressConfig,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
        let settings = &self.settings;
        let tls = match settings.security {
            MailSecurity::None => Tls::None,
            MailSecurity::StartTls => Tls::Required(self.tls(egress)?),
            MailSecurity::Tls => Tls::Wrapper(self.tls(egress)?),
        };
        let usual = match settings.security {
            MailSecurity::None => 25,
            MailSecurity::StartTls => 587,
            MailSecurity::Tls => 465,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port.unwrap_or(usual))
            .tls(tls)
            .timeout(Some(timeout));
        if let Some((user, password)) = &settings.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
        }
        if let Some(hello) = &settings.hello {
            builder = builder.hello_name(ClientId::Domain(hello.clone()));
        }
        Ok(builder.build())
    }

    /// Trusts what deliveries trust: the bundled authorities, the system's, and the operator's.
    fn tls(&self, egress: &EgressConfig) -> Result<TlsParameters, lettre::transport::smtp::Error> {
        let mut builder = TlsParameters::builder(self.settings.host.clone())
            .certificate_store(CertificateStore::WebpkiRoots);
        let system = rustls_native_certs::load_native_certs().certs;
        for root in system.iter().chain(&egress.extra_root_certs) {
            // One of the system's that cannot be read is no reason not to use the others.
            if let Ok(certificate) = Certificate::from_der(root.to_vec()) {
                builder = builder.add_root_certificate(certificate);
            }
        }
        builder.build()
    }
}

fn fixed(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A refusal for good ends the delivery, unless it is about who we are: that is for the operator to
/// put right, and the delivery waits for it.
fn outcome_of(error: &lettre::transport::smtp::Error) -> AttemptOutcome {
    let said = cut(&one_line(&said(error)), ANSWER_MAX);
    let note = format!("the mail server said: {said}");
    match error.status() {
        Some(code) if error.is_permanent() && !is_about_login(code) => {
            AttemptOutcome::given_up(AttemptError::MailRefused, note)
        }
        Some(_) if error.is_permanent() => {
            AttemptOutcome::not_done(AttemptError::MailRefused, note)
        }
        Some(_) => AttemptOutcome::not_done(AttemptError::MailFailed, note),
        None => {
            let kind = if error.is_tls() { "TLS failed" } else { "the connection failed" };
            AttemptOutcome::not_done(AttemptError::MailFailed, format!("{kind}: {said}"))
        }
    }
}

/// 530, 534, 535 and 538 are about logging in (RFC 4954), 550 and the like about this message.
fn is_about_login(code: Code) -> bool {
    matches!(code.to_string().as_str(), "530" | "534" | "535" | "538")
}

/// The error with what caused it.
fn said(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;

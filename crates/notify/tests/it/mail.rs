//! Mail through exim, which Debian has: it runs with a configuration and a spool of its own, takes
//! messages on free ports, and keeps them in its queue, where they are looked at.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use becket_egress::action::Action as _;
use becket_egress::{Acted, AttemptError, EgressConfig};
use becket_notify::{MailSecurity, MailSettings, Notifier, Settings, To};
use rustls_pki_types::CertificateDer;
use serde_json::json;

use crate::support::{delivery, settings};

#[path = "../../../becket/tests/support/ports.rs"]
mod ports;
use ports::free_port;

const PASSWORD: &str = "correct horse";

/// A mail server; it ends with the test.
struct Exim {
    folder: tempfile::TempDir,
    child: Option<Child>,
    port: u16,
    tls_port: u16,
    certificate: CertificateDer<'static>,
}

impl Exim {
    fn prepared() -> Self {
        let folder =
            tempfile::Builder::new().prefix("exim").tempdir().expect("a folder can be made");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let made = made.expect("a certificate can be made");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("the folder can be written");
            path.display().to_string()
        };
        let certificate = write("cert.pem", &made.cert.pem());
        let key = write("key.pem", &made.signing_key.serialize_pem());
        let (port, tls_port) = (free_port(), free_port());
        let at = folder.path().display();
        let config = format!(
            "primary_hostname = mail.test\n\
             spool_directory = {at}/spool\nlog_file_path = {at}/log-%s\npid_file_path = {at}/pid\n\
             local_interfaces = <; 127.0.0.1.{port} ; 127.0.0.1.{tls_port}\n\
             tls_on_connect_ports = {tls_port}\ntls_advertise_hosts = *\n\
             tls_certificate = {certificate}\ntls_privatekey = {key}\n\
             queue_only = true\nauth_advertise_hosts = *\nacl_smtp_rcpt = check\n\
             begin acl\ncheck:\n\
             defer local_parts = busy\nmessage = come back later\n\
             deny local_parts = gone\nmessage = no such user here\n\
             deny local_parts = members\n!authenticated = *\nmessage = log in first\n\
             accept\n\
             begin authenticators\nplain:\ndriver = plaintext\npublic_name = PLAIN\n\
             server_condition = ${{if and {{{{eq{{$auth2}}{{becket}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}\n"
        );
        write("exim.conf", &config);
        for name in ["", "spool"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(&path).expect("the folder can be written");
            open_to_all(&path);
        }
        // The server reads its key under its own user.
        open_to_all(&folder.path().join("key.pem"));
        let certificate = made.cert.der().clone();
        Self { folder, child: None, port, tls_port, certificate }
    }

    fn start(&mut self) {
        let config = self.folder.path().join("exim.conf");
        let child = Command::new("exim4")
            .args(["-C", &config.display().to_string(), "-bdf"])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("exim4 can be started; `make setup` installs it");
        self.child = Some(child);
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(15),
                "exim does not listen: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name));
        ["log-main", "log-panic", "log-reject"].map(|name| read(name).unwrap_or_default()).concat()
    }

    /// Heads and bodies of the messages in its queue, oldest first.
    fn messages(&self) -> Vec<(String, String)> {
        let mut heads = Vec::new();
        find(&self.folder.path().join("spool"), &mut heads);
        heads.sort();
        let read = |path: &Path| std::fs::read_to_string(path).expect("the queue can be read");
        heads
            .iter()
            .map(|head| {
                let body = head.to_string_lossy().replace("-H", "-D");
                let body = read(Path::new(&body));
                (
                    read(head),
                    body.split_once('\n').map(|(_, body)| body.to_owned()).unwrap_or_default(),
                )
            })
            .collect()
    }

    fn mail(&self, to: &str) -> MailSettings {
        MailSettings {
            host: "localhost".to_owned(),
            port: Some(self.port),
            security: MailSecurity::None,
            login: None,
            from: "Becket <becket@gateway.test>".to_owned(),
            to: vec![to.to_owned()],
            hello: None,
        }
    }

    fn notifier(&self, mail: MailSettings) -> Notifier {
        self.notifier_of(Settings { digest: Duration::ZERO, ..settings(To::Mail(mail)) })
    }

    fn notifier_of(&self, settings: Settings) -> Notifier {
        let certificate = self.certificate.clone();
        let egress = move || EgressConfig {
            extra_root_certs: vec![certificate.clone()],
            ..EgressConfig::default()
        };
        Notifier::new(settings, Arc::new(egress)).expect("the settings can work")
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(path, mode).expect("the mode can be set");
}

fn find(folder: &Path, heads: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, heads);
        } else if path.to_string_lossy().ends_with("-H") {
            heads.push(path);
        }
    }
}

#[tokio::test]
async fn mail_is_sent_and_nobody_writes_headers() {
    let mut exim = Exim::prepared();
    exim.start();
    let mut settings = Settings {
        title: Some("{{body.subject}}".to_owned()),
        text: Some("Grüße\n{{body.text}}\n.\nQUIT".to_owned()),
        digest: Duration::ZERO,
        ..settings(To::Mail(exim.mail("Ops <ops@example.test>")))
    };
    settings.public_url = None;
    let notifier = exim.notifier_of(settings);
    let body = json!({
        "subject": "Ünïcode\r\nBcc: victim@example.test\r\n\r\ninjected",
        "text": "line one\r\n.\r\nline two <b>",
    });
    let outcome = notifier.act(delivery("msg_0ERaRXKBAkkF0DV4HoRbMU47JLj", "a", &body)).await;
    assert_eq!(outcome.acted, Some(Acted::Done), "{}", outcome.note);
    assert!(outcome.note.contains("250"), "{}", outcome.note);
    let messages = exim.messages();
    assert_eq!(messages.len(), 1, "{}", exim.log());
    let (head, body) = &messages[0];
    assert!(head.contains("Message-ID: <msg_0ERaRXKBAkkF0DV4HoRbMU47JLj@gateway.test>"), "{head}");
    assert!(head.contains("Auto-Submitted: auto-generated") && head.contains("To: "), "{head}");
    assert!(!head.lines().any(|line| line.contains("Bcc:") && !line.contains("Subject")), "{head}");
    assert!(!head.contains("<victim@example.test>"), "{head}");
    assert!(head.contains("Date: Thu, 01 Jan 2026 00:00:00 +0000"), "{head}");
    assert!(
        body.contains("line one") && body.contains("QUIT") && body.contains("msg_0ERaRXK"),
        "{body}"
    );
}

#[tokio::test]
async fn starttls_tls_and_logging_in() {
    let mut exim = Exim::prepared();
    exim.start();
    let login = |password: &str| Some(("becket".to_owned(), password.to_owned()));
    for (security, port) in
        [(MailSecurity::StartTls, exim.port), (MailSecurity::Tls, exim.tls_port)]
    {
        let mail = exim.mail("members@example.test");
        let mail = MailSettings { security, port: Some(port), login: login(PASSWORD), ..mail };
        let outcome = exim.notifier(mail.clone()).act(delivery("msg_1", "a", &json!({}))).await;
        assert_eq!(outcome.acted, Some(Acted::Done), "{}: {}", outcome.note, exim.log());
        // A wrong password is for the operator to put right: the delivery waits for that.
        let wrong = MailSettings { login: login("wrong"), ..mail.clone() };
        let outcome = exim.notifier(wrong).act(delivery("msg_1", "a", &json!({}))).await;
        assert_eq!((outcome.acted, outcome.error), (None, Some(AttemptError::MailRefused)));
        assert!(!outcome.note.contains("wrong"), "{}", outcome.note);
        // A certificate that nobody vouches for.
        let settings = Settings { digest: Duration::ZERO, ..settings(To::Mail(mail)) };
        let stranger =
            Notifier::new(settings, Arc::new(EgressConfig::default)).expect("it can work");
        let outcome = stranger.act(delivery("msg_1", "a", &json!({}))).await;
        assert_eq!((outcome.acted, outcome.error), (None, Some(AttemptError::MailFailed)));
        assert!(
            outcome.note.contains("TLS") || outcome.note.contains("ertificate"),
            "{}",
            outcome.note
        );
    }
    assert_eq!(exim.messages().len(), 2, "{}", exim.log());
}

#[tokio::test]
async fn refusals_for_now_and_for_good() {
    let mut exim = Exim::prepared();
    exim.start();
    let outcome =
        exim.notifier(exim.mail("busy@example.test")).act(delivery("msg_1", "a", &json!({}))).await;
    assert_eq!((outcome.acted, outcome.error), (None, Some(AttemptError::MailFailed)));
    assert!(outcome.note.contains("come back later"), "{}", outcome.note);
    let outcome =
        exim.notifier(exim.mail("gone@example.test")).act(delivery("msg_1", "a", &json!({}))).await;
    assert_eq!(
        (outcome.acted, outcome.error),
        (Some(Acted::GiveUp), Some(AttemptError::MailRefused))
    );
    assert!(outcome.note.contains("no such user here"), "{}", outcome.note);
    assert_eq!(exim.messages().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_down_and_then_up() {
    let mut exim = Exim::prepared();
    let notifier = exim.notifier_of(Settings {
        digest: Duration::from_secs(1),
        ..settings(To::Mail(exim.mail("ops@example.test")))
    });
    let mut request = delivery("msg_1", "a", &json!({}));
    let outcome = notifier.act(request.clone()).await;
    assert_eq!((outcome.acted, outcome.error), (None, Some(AttemptError::MailFailed)));
    exim.start();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    request.attempt = 2;
    let outcome = notifier.act(request).await;
    assert_eq!(outcome.acted, Some(Acted::Done), "{}", outcome.note);
    assert_eq!(exim.messages().len(), 1);
}

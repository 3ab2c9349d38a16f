//! `[source.endpoint.notify]`: a message to people.

use std::sync::Arc;
use std::time::Duration;

use becket_egress::action::Action;
use becket_notify::{MailSecurity, MailSettings, Notifier, NotifyError, Settings, To};

use serde_json::{Value as Json, json};

use super::ActContext;
use crate::config::secret::Secret;
use crate::config::table::table;
use crate::config::value::Scalar;

table! {
    /// A message to people: exactly one of `slack`, `discord`, `teams`, `webhook` and `email`.
    pub struct Notify {
        /// The address of a Slack incoming webhook.
        slack: Option<Secret>,
        /// The address of a Discord webhook.
        discord: Option<Secret>,
        /// The address of a Microsoft Teams workflow that posts what its webhook brings.
        teams: Option<Secret>,
        /// The address of any webhook that takes `{"text": "..."}`, such as Mattermost's.
        webhook: Option<Secret>,
        /// Mail to these people.
        email: Option<Email>,
        /// The line that the message is about, which may have `{{...}}` in it; type and source if
        /// absent.
        title: Option<String>,
        /// The rest, likewise; what is known of the sender's events if absent.
        text: Option<String>,
        /// For how long after a message further events are collected into the next one, at most 1
        /// hour; `0s` tells each event in a message of its own.
        digest: Duration = "1m",
        /// How many of the collected events get a line in the message; the others are counted.
        lines: u16 = "5",
    }
}

table! {
    /// Mail over SMTP.
    pub struct Email {
        /// The host name of the mail server.
        server: String,
        /// Its port; 587, 465 or 25 if absent, as `security` has it.
        port: Option<u16>,
        /// `starttls`, `tls` from the first byte, or `none` for a server on this machine.
        security: Security = "starttls",
        /// The user name, if the server wants one.
        username: Option<String>,
        /// The password.
        password: Option<Secret>,
        /// Who writes, such as `Becket <becket@example.com>`.
        from: String,
        /// Who gets it.
        to: Vec<String>,
        /// The name that this machine calls itself by, if the server is strict about it.
        hello: Option<String>,
    }
}

/// How a mail connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Security(pub MailSecurity);

const SECURITY: [(&str, MailSecurity); 3] = [
    ("starttls", MailSecurity::StartTls),
    ("tls", MailSecurity::Tls),
    ("none", MailSecurity::None),
];

impl Scalar for Security {
    const WORDS: &'static str = "word";

    fn parse(text: &str) -> Result<Self, String> {
        let found = SECURITY.iter().find(|(word, _)| *word == text);
        found.map(|(_, security)| Self(*security)).ok_or_else(|| {
            format!(
                "`{text}` is not possible here; use {}",
                SECURITY.map(|(word, _)| word).join(", ")
            )
        })
    }

    fn text(&self) -> String {
        let found = SECURITY.iter().find(|(_, security)| *security == self.0);
        found.map_or("", |(word, _)| word).to_owned()
    }

    fn json_schema() -> Json {
        json!({ "enum": SECURITY.map(|(word, _)| word) })
    }
}

const DIGEST_MAX: Duration = Duration::from_secs(3_600);
const DIGEST_MIN: Duration = Duration::from_secs(1);

impl Notify {
    /// The action that this describes.
    ///
    /// # Errors
    /// A sentence about what cannot work.
    pub fn action(&self, context: &ActContext) -> Result<Arc<dyn Action>, String> {
        if self.digest > DIGEST_MAX || (!self.digest.is_zero() && self.digest < DIGEST_MIN) {
            return Err("`digest` is from 1s to 1h, or 0s for a message each".to_owned());
        }
        let settings = Settings {
            to: self.to()?,
            title: self.title.clone(),
            text: self.text.clone(),
            digest: self.digest,
            lines: usize::from(self.lines),
            public_url: context.public_url.clone(),
        };
        let egress = Arc::clone(&context.egress);
        let notifier = Notifier::new(settings, egress).map_err(|error| error.to_string())?;
        Ok(Arc::new(notifier))
    }

    fn to(&self) -> Result<To, String> {
        let expose = |secret: &Secret| secret.expose().to_owned();
        let email = self.email.as_ref().map(|email| email.settings().map(To::Mail));
        let email = email.transpose().map_err(|error| error.to_string())?;
        let mut given = [
            self.slack.as_ref().map(|url| To::Slack(expose(url))),
            self.discord.as_ref().map(|url| To::Discord(expose(url))),
            self.teams.as_ref().map(|url| To::Teams(expose(url))),
            self.webhook.as_ref().map(|url| To::Text(expose(url))),
            email,
        ]
        .into_iter()
        .flatten();
        match (given.next(), given.next()) {
            (Some(to), None) => Ok(to),
            (None, _) => {
                Err("nobody is named; add one of slack, discord, teams, webhook and email"
                    .to_owned())
            }
            (Some(_), Some(_)) => Err(
                "only one of slack, discord, teams, webhook and email; make an endpoint for each"
                    .to_owned(),
            ),
        }
    }
}

impl Email {
    fn settings(&self) -> Result<MailSettings, NotifyError> {
        let login = match (&self.username, &self.password) {
            (Some(username), Some(password)) => {
                Some((username.clone(), password.expose().to_owned()))
            }
            (None, None) => None,
            _ => return Err(NotifyError::HalfAuth),
        };
        Ok(MailSettings {
            host: self.server.clone(),
            port: self.port,
            security: self.security.0,
            login,
            from: self.from.clone(),
            to: self.to.clone(),
            hello: self.hello.clone(),
        })
    }
}

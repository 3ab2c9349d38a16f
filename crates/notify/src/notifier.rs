//! One delivery on its way into a message.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use becket_egress::action::{Action, ActionRequest, Fields, Template};
use becket_egress::policy::{AddressPolicy, Target};
use becket_egress::{
    AttemptError, AttemptOutcome, Egress, EgressConfig, OutboundRequest, RetryAfter,
};
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::{Instant, timeout_at};

use crate::channel::Channel;
use crate::cut::{cut, one_line};
use crate::digest::{Digest, Event, Sending, Step, pause_of, told_with};
use crate::error::NotifyError;
use crate::mail::{MailId, MailSettings, Mailer};
use crate::message::{Message, Told};
use crate::texts;

/// How much of its time an attempt leaves for putting its result together.
const MARGIN: Duration = Duration::from_millis(100);
/// How long one line of a digest may be.
const LINE_MAX: usize = 200;
const TITLE_MAX: usize = 250;
/// The user's own key among the connections of an egress that has no other.
const POOL_KEY: u64 = 0;

/// Where messages go. The addresses of webhooks are secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum To {
    /// A Slack incoming webhook.
    Slack(String),
    /// A Discord webhook.
    Discord(String),
    /// A Microsoft Teams workflow that posts what its webhook brings.
    Teams(String),
    /// Whoever takes `{"text": "..."}`.
    Text(String),
    /// People with mail addresses.
    Mail(MailSettings),
}

impl fmt::Debug for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slack(_) => f.write_str("Slack"),
            Self::Discord(_) => f.write_str("Discord"),
            Self::Teams(_) => f.write_str("Teams"),
            Self::Text(_) => f.write_str("Text"),
            Self::Mail(settings) => settings.fmt(f),
        }
    }
}

/// What a notification is made from.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where messages go.
    pub to: To,
    /// A template for the one line that a message is about; type and source if absent.
    pub title: Option<String>,
    /// A template for the rest; what is known of the sender's events if absent.
    pub text: Option<String>,
    /// How long events are collected after a message; zero tells each event apart.
    pub digest: Duration,
    /// How many events of a digest get a line.
    pub lines: usize,
    /// Where the gateway is reached, if that is known.
    pub public_url: Option<String>,
}

/// Tells people about events; see the crate for how a storm becomes one message.
pub struct Notifier {
    channel: Option<(Channel, Arc<Target>)>,
    mailer: Option<Mailer>,
    title: Option<Template>,
    text: Option<Template>,
    public_url: Option<String>,
    digest: Digest,
    policy: Arc<AddressPolicy>,
    make_egress: Arc<dyn Fn() -> EgressConfig + Send + Sync>,
    /// Made with the first message, in the runtime that delivers.
    egress: OnceLock<Option<Egress>>,
}

impl Notifier {
    /// Checks the settings. Opens nothing.
    ///
    /// # Errors
    /// [`NotifyError`] if they cannot work.
    pub fn new(
        settings: Settings,
        egress: Arc<dyn Fn() -> EgressConfig + Send + Sync>,
    ) -> Result<Self, NotifyError> {
        let policy = Arc::new(AddressPolicy::operator());
        let template = |key: &'static str, text: &Option<String>| {
            let parsed = text.as_deref().map(Template::parse).transpose();
            parsed.map_err(|error| NotifyError::Template { key, error })
        };
        let (title, text) =
            (template("title", &settings.title)?, template("text", &settings.text)?);
        let hook = |channel: Channel, url: &str| {
            let target = policy.check_url(url.trim());
            let refused = |refused| NotifyError::Url { service: channel.name(), refused };
            Ok::<_, NotifyError>(Some((channel, Arc::new(target.map_err(refused)?))))
        };
        let (channel, mailer) = match settings.to {
            To::Slack(url) => (hook(Channel::Slack, &url)?, None),
            To::Discord(url) => (hook(Channel::Discord, &url)?, None),
            To::Teams(url) => (hook(Channel::Teams, &url)?, None),
            To::Text(url) => (hook(Channel::Text, &url)?, None),
            To::Mail(mail) => (None, Some(Mailer::new(mail)?)),
        };
        let gap = channel.as_ref().map_or(Duration::ZERO, |(channel, _)| channel.gap());
        Ok(Self {
            channel,
            mailer,
            title,
            text,
            public_url: settings.public_url,
            digest: Digest::new(settings.digest, gap, settings.lines),
            policy,
            make_egress: egress,
            egress: OnceLock::new(),
        })
    }

    /// What is said of one event.
    fn told(&self, request: &ActionRequest) -> Told {
        let fields = Fields::of(request);
        let plain = |value: &str, text: &mut String| text.push_str(value);
        let title = self.title.as_ref().or_else(|| texts::title(request)).map(|title| {
            let escaped = match self.channel.as_ref().map(|(channel, _)| *channel) {
                Some(channel) if !channel.title_is_plain() => {
                    texts::render(title, &fields, |value, text| channel.escape(value, text))
                }
                _ => texts::render(title, &fields, plain),
            };
            cut(&one_line(&escaped), TITLE_MAX)
        });
        let text = self.text.as_ref().or_else(|| texts::text(request));
        let text = text.map(|text| texts::render(text, &fields, |v, text| self.escape(v, text)));
        let (title, text) = (title.unwrap_or_default(), text.unwrap_or_default());
        let first = text.lines().find(|line| !line.trim().is_empty());
        let line = first.unwrap_or(if self.title.is_some() { &title } else { "" });
        let line = cut(&one_line(line), LINE_MAX);
        Told { message: Message { title, text, link: Some(self.link(request)) }, line }
    }

    /// How the event can be looked at: there is no page of it to link to.
    fn link(&self, request: &ActionRequest) -> String {
        let id = &request.event_id;
        let at = self.public_url.as_deref().map(|url| url.trim_end_matches('/'));
        let words = match at {
            Some(url) => format!("becket events show {id} --url {url}"),
            None => format!("becket events show {id}"),
        };
        let mut text = String::new();
        self.escape(&words, &mut text);
        text
    }

    fn escape(&self, value: &str, text: &mut String) {
        match &self.channel {
            Some((channel, _)) => channel.escape(value, text),
            None => text.push_str(value),
        }
    }

    fn step(&self, request: &ActionRequest, is_new: bool) -> Step<'_> {
        let told = || self.told(request);
        let event = Event {
            id: &request.event_id,
            is_new,
            event_type: request.event_type.as_deref().unwrap_or_default(),
            received_at_ms: request.received_at_ms,
            told: &told,
        };
        self.digest.step(Instant::now(), &event)
    }

    /// Makes and sends the message of a digest.
    async fn send_digest(
        &self,
        sending: Sending<'_>,
        request: &ActionRequest,
        deadline: Instant,
    ) -> AttemptOutcome {
        let begun = Instant::now();
        let summary = &sending.summary;
        let id = MailId { event: &summary.first_id, total: summary.total };
        let outcome = match &summary.first {
            Some(first) if summary.total == 1 && !summary.plain => {
                self.send(&first.message, &id, request, deadline).await
            }
            _ => {
                let message = texts::of_many(summary, &request.source, |value, text| {
                    self.escape(value, text)
                });
                self.send(&message, &id, request, deadline).await
            }
        };
        let now = Instant::now();
        let total = summary.total;
        sending.ended(now, now_ms(request, now - begun), &outcome);
        with_note(outcome, total)
    }

    /// Sends each event in a message of its own, as quickly as the service allows.
    async fn send_alone(&self, request: &ActionRequest, deadline: Instant) -> AttemptOutcome {
        let begun = Instant::now();
        match self.digest.turn(begun, deadline.saturating_duration_since(begun)) {
            Ok(wait) => tokio::time::sleep(wait).await,
            Err(wait) => {
                return later(
                    wait,
                    "it waits for its turn: the service takes only so many messages",
                );
            }
        }
        let told = self.told(request);
        let id = MailId { event: &request.event_id, total: 1 };
        let outcome = self.send(&told.message, &id, request, deadline).await;
        let now = Instant::now();
        if let Some(hint) = outcome.retry_after {
            self.digest.hold(now, pause_of(hint, now_ms(request, now - begun)));
        }
        outcome
    }

    async fn send(
        &self,
        message: &Message,
        id: &MailId<'_>,
        request: &ActionRequest,
        deadline: Instant,
    ) -> AttemptOutcome {
        let timeout = deadline.saturating_duration_since(Instant::now());
        if let Some(mailer) = &self.mailer {
            let egress = (self.make_egress)();
            return mailer.send(message, id, request.started_at_ms, timeout, &egress).await;
        }
        let (Some((channel, target)), Some(egress)) = (&self.channel, self.egress()) else {
            return AttemptOutcome::failed(AttemptError::RequestInvalid);
        };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let outbound = OutboundRequest {
            pool_key: POOL_KEY,
            method: Method::POST,
            target: Arc::clone(target),
            policy: Arc::clone(&self.policy),
            headers,
            body: channel.body(message).into(),
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            connect_timeout_ms: None,
        };
        egress.send(outbound).await
    }

    fn egress(&self) -> Option<&Egress> {
        let made = self.egress.get_or_init(|| match Egress::new((self.make_egress)()) {
            Ok(egress) => Some(egress),
            Err(error) => {
                tracing::error!(code = error.code(), %error, "messages cannot be sent");
                None
            }
        });
        made.as_ref()
    }
}

#[async_trait]
impl Action for Notifier {
    async fn act(&self, request: ActionRequest) -> AttemptOutcome {
        let timeout = Duration::from_millis(request.timeout_ms);
        let deadline = Instant::now() + timeout.saturating_sub(MARGIN);
        if !self.digest.collects() {
            return self.send_alone(&request, deadline).await;
        }
        let mut is_new = request.attempt <= 1;
        loop {
            let step = self.step(&request, is_new);
            match step {
                Step::Settled(outcome) => return outcome,
                Step::Later(wait) => return later(wait, "it goes out with the next message"),
                Step::Send(sending) => return self.send_digest(sending, &request, deadline).await,
                Step::Wait(mut ended) => {
                    // The sender is gone once its message has ended.
                    if timeout_at(deadline, ended.changed()).await.is_err() {
                        let wait = Duration::from_secs(1);
                        return later(wait, "the message that it is part of is under way");
                    }
                    is_new = false;
                }
            }
        }
    }
}

/// The attempt ends without a result, and the delivery comes back after a time.
fn later(wait: Duration, why: &str) -> AttemptOutcome {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    AttemptOutcome {
        acted: Some(becket_egress::Acted::NotReady),
        note: why.to_owned(),
        retry_after: Some(RetryAfter::Seconds(seconds.max(1))),
        ..AttemptOutcome::default()
    }
}

fn with_note(mut outcome: AttemptOutcome, total: u64) -> AttemptOutcome {
    if total > 1 && outcome.is_success() {
        let told = told_with(total);
        outcome.note =
            if outcome.note.is_empty() { told } else { format!("{told}; {}", outcome.note) };
    }
    outcome
}

fn now_ms(request: &ActionRequest, since: Duration) -> i64 {
    request.started_at_ms.saturating_add(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

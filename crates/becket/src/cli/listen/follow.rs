//! Following a listener: connecting, reading the stream, forwarding, giving answers back, and
//! connecting again.
//!
//! Invariants: a connection on which nothing comes for [`SILENCE_MAX`] is given up; what comes late is
//! forwarded one after the other in the order it came; an answer that the gateway does not get means
//! that the delivery comes again, and is then shown as a repeat.

use std::sync::Arc;
use std::time::Duration;

use becket_develop::listen::state;
use becket_develop::listen::wire::{Answer, Ending, Message, Parcel, StreamReader};
use becket_egress::{AttemptError, AttemptOutcome};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::catch_up::CatchUp;
use super::forward::{Forwarder, reply};
use super::link::SharedLink;
use crate::cli::online::client::PathBuilder;
use crate::cli::online::failure::{Failure, Result};

/// How long the gateway may be silent; it says something every five seconds.
const SILENCE_MAX: Duration = Duration::from_secs(16);
/// How often this side says something.
const SIGN_EVERY: Duration = Duration::from_secs(4);
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const ANSWER_TRIES: u32 = 4;
/// How much may wait to be shown; forwarding waits for showing beyond that.
pub(super) const HAPPENINGS_MAX: usize = 1_024;

/// What is to be shown.
pub(super) enum Happening {
    /// How it stands with the gateway.
    Link(state::Link),
    /// Connected: how many deliveries wait.
    Waiting(u64),
    /// A delivery came.
    Came { key: u64, parcel: Box<Parcel>, body: Bytes, target: String },
    /// It was answered, or not.
    Answered { key: u64, reply: Box<state::Reply> },
    /// Something worth saying.
    Notice(String),
    /// It is over.
    Over(Over),
}

/// Why following is over.
pub(super) enum Over {
    /// The gateway refused, or cannot be reached at the first try.
    Failed(Failure),
    /// Another listener took the name over.
    Replaced,
    /// The listener was removed.
    Removed,
}

/// What is followed, and how.
pub(super) struct Following {
    pub link: SharedLink,
    pub forwarder: Forwarder,
    /// The body that makes the listener.
    pub listener: Value,
    pub name: String,
    pub catch_up: Option<CatchUp>,
    pub skip_late: bool,
    pub skip_repeats: bool,
    /// Counts deliveries, to tell their answers apart.
    pub last_key: u64,
    pub happenings: mpsc::Sender<Happening>,
    /// Whether events are to be held back.
    pub paused: watch::Receiver<bool>,
}

/// Why a connection ended.
enum Ended {
    Paused,
    Lost(String),
    Over(Over),
}

impl Following {
    fn path(&self) -> PathBuilder {
        PathBuilder::new("/api/v1/becket/listener").part(&self.name)
    }

    async fn tell(&self, happening: Happening) {
        // Nobody who shows it means that the process is about to end.
        let _ = self.happenings.send(happening).await;
    }

    /// Follows until it is over.
    pub async fn run(mut self) {
        let mut backoff = BACKOFF_FIRST;
        let mut connected_once = false;
        loop {
            self.tell(Happening::Link(state::Link::Connecting)).await;
            let ended = match self.connect().await {
                Ok((stream, waiting)) => {
                    connected_once = true;
                    backoff = BACKOFF_FIRST;
                    self.tell(Happening::Waiting(waiting)).await;
                    self.read(stream).await
                }
                Err(failure) if !connected_once || failure.is_refusal() => {
                    Ended::Over(Over::Failed(failure))
                }
                Err(failure) => Ended::Lost(failure.message()),
            };
            match ended {
                Ended::Over(over) => return self.tell(Happening::Over(over)).await,
                Ended::Paused => {
                    self.tell(Happening::Link(state::Link::Paused)).await;
                    if self.paused.wait_for(|paused| !paused).await.is_err() {
                        return;
                    }
                }
                Ended::Lost(why) => {
                    self.tell(Happening::Link(state::Link::Lost(why))).await;
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(Incoming, u64)> {
        let listener =
            self.link.call(Method::POST, "/api/v1/becket/listener", Some(&self.listener)).await?;
        let stream = self.link.stream(self.path().part("stream").text()).await?;
        if let Some(catch_up) = self.catch_up.take() {
            let (link, happenings) = (Arc::clone(&self.link), self.happenings.clone());
            tokio::spawn(async move {
                let said = catch_up.run(&link, &listener).await;
                let _ = happenings.send(Happening::Notice(said)).await;
            });
            return Ok((stream, 0));
        }
        Ok((stream, listener["waiting"].as_u64().unwrap_or(0)))
    }

    async fn read(&mut self, mut stream: Incoming) -> Ended {
        let mut reader = StreamReader::default();
        let mut signs: Option<Signs> = None;
        let mut late: Option<Late> = None;
        let mut session = 0;
        let mut paused = self.paused.clone();
        loop {
            let frame = tokio::select! {
                frame = tokio::time::timeout(SILENCE_MAX, stream.frame()) => frame,
                _ = paused.wait_for(|paused| *paused) => return Ended::Paused,
            };
            let data = match frame {
                Err(_) => return Ended::Lost("nothing was heard of the gateway".to_owned()),
                Ok(None) => return Ended::Lost("the connection was closed".to_owned()),
                Ok(Some(Err(error))) => {
                    return Ended::Lost(format!("the connection broke: {error}"));
                }
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            };
            let messages = match reader.push(&data) {
                Ok(messages) => messages,
                Err(error) => return Ended::Lost(error.to_string()),
            };
            for message in messages {
                match message {
                    Message::Hello(hello) => {
                        session = hello.session;
                        signs = Some(self.say_signs(session));
                        late = Some(Late::start());
                        self.tell(Happening::Link(state::Link::Connected)).await;
                    }
                    Message::Delivery(parcel) => self.take(*parcel, session, late.as_ref()).await,
                    Message::End(Ending::Replaced) => return Ended::Over(Over::Replaced),
                    Message::End(Ending::Removed) => return Ended::Over(Over::Removed),
                    Message::End(Ending::Closing) => {
                        return Ended::Lost("the gateway is stopping".to_owned());
                    }
                    Message::End(Ending::Silent) => {
                        return Ended::Lost("the gateway heard nothing of this side".to_owned());
                    }
                }
            }
            // Held as long as the stream is read.
            let _ = &signs;
        }
    }

    /// Tells the gateway every few seconds that this side is there.
    fn say_signs(&self, session: u64) -> Signs {
        let (link, path) = (Arc::clone(&self.link), self.path().part("answer").text().to_owned());
        Signs(tokio::spawn(async move {
            let body = json!({ "session": session });
            loop {
                tokio::time::sleep(SIGN_EVERY).await;
                // One that does not arrive is made up for by the next, or noticed by the stream.
                let _ = link.call(Method::POST, &path, Some(&body)).await;
            }
        }))
    }

    /// Forwards a delivery: at once, or behind the others that are late.
    async fn take(&mut self, parcel: Parcel, session: u64, late: Option<&Late>) {
        self.last_key += 1;
        let delivery = Delivery {
            key: self.last_key,
            link: Arc::clone(&self.link),
            forwarder: self.forwarder.clone(),
            answer_path: self.path().part("answer").text().to_owned(),
            body_path: self
                .path()
                .part("delivery")
                .part(&parcel.token)
                .part("body")
                .text()
                .to_owned(),
            session,
            skip: match (&parcel, self.skip_late, self.skip_repeats) {
                (parcel, true, _) if parcel.late => Some("skipped because of --skip-late"),
                (parcel, _, true) if parcel.attempt > 1 => {
                    Some("skipped because of --skip-repeats")
                }
                _ => None,
            },
            happenings: self.happenings.clone(),
            parcel,
        };
        match late {
            Some(late) if delivery.parcel.late => late.push(delivery),
            _ => {
                tokio::spawn(delivery.run());
            }
        }
    }
}

/// The task that says signs of life; it ends with the stream.
struct Signs(JoinHandle<()>);

impl Drop for Signs {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The line of what is late; what is under way ends by itself.
struct Late(mpsc::UnboundedSender<Delivery>);

impl Late {
    fn start() -> Self {
        // Bounded by what the gateway has under way for one listener.
        let (sender, mut waiting) = mpsc::unbounded_channel::<Delivery>();
        tokio::spawn(async move {
            while let Some(delivery) = waiting.recv().await {
                delivery.run().await;
            }
        });
        Self(sender)
    }

    fn push(&self, delivery: Delivery) {
        // The task ends only when this end is dropped.
        let _ = self.0.send(delivery);
    }
}

/// One delivery on its way to the handler and back.
struct Delivery {
    key: u64,
    link: SharedLink,
    forwarder: Forwarder,
    answer_path: String,
    body_path: String,
    session: u64,
    skip: Option<&'static str>,
    happenings: mpsc::Sender<Happening>,
    parcel: Parcel,
}

impl Delivery {
    async fn run(self) {
        let body = match self.body().await {
            Ok(body) => body,
            // It is over, or the gateway is out of reach: then it comes again.
            Err(why) => {
                let _ = self.happenings.send(Happening::Notice(why)).await;
                return;
            }
        };
        let parcel = &self.parcel;
        let key = self.key;
        let (target, shown) = match self.forwarder.target(parcel) {
            Ok(target) => (Some(target.clone()), target.to_string()),
            Err(why) => (None, why),
        };
        let came = Happening::Came {
            key,
            parcel: Box::new(Parcel { body: None, ..parcel.clone() }),
            body: body.clone(),
            target: shown.clone(),
        };
        let _ = self.happenings.send(came).await;
        let (outcome, note) = match (target, self.skip) {
            (_, Some(why)) => (skipped(), why.to_owned()),
            (Some(target), None) => {
                let outcome = self.forwarder.forward(parcel, target, body).await;
                (outcome, format!("forwarded to {shown}"))
            }
            (None, None) => (AttemptOutcome::failed(AttemptError::UrlRefused), shown.clone()),
        };
        let mut reply = reply(&outcome, &shown);
        if self.skip.is_some() {
            reply.words = note.clone();
        }
        let answer = Answer::new(&parcel.token, &outcome, &note);
        let told = self.answer(&answer).await;
        let answered = Happening::Answered { key, reply: Box::new(reply) };
        let _ = self.happenings.send(answered).await;
        if let Err(why) = told {
            let _ = self.happenings.send(Happening::Notice(why)).await;
        }
    }

    async fn body(&self) -> std::result::Result<Bytes, String> {
        match self.parcel.inline_body() {
            Ok(Some(body)) => return Ok(body),
            Ok(None) => {}
            Err(error) => return Err(error.to_string()),
        }
        let fetched = self.link.bytes(Method::GET, &self.body_path, Bytes::new()).await;
        let body = fetched.map_err(|failure| {
            format!(
                "the body of {} could not be fetched: {}",
                self.parcel.event_id,
                failure.message()
            )
        })?;
        if body.len() != self.parcel.body_bytes {
            return Err(format!("the body of {} came in part", self.parcel.event_id));
        }
        Ok(body)
    }

    /// Gives the answer back, with a few tries.
    async fn answer(&self, answer: &Answer) -> std::result::Result<(), String> {
        let body = json!({ "session": self.session, "answers": [answer] }).to_string();
        let body = Bytes::from(body);
        let mut wait = BACKOFF_FIRST;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.link.post(&self.answer_path, body.clone()).await {
                Ok(taken) if taken["tooLate"].as_array().is_none_or(Vec::is_empty) => return Ok(()),
                Ok(_) => {
                    return Err(format!(
                        "the answer to {} came too late: it comes again, as a repeat",
                        self.parcel.event_id
                    ));
                }
                Err(failure) if tries >= ANSWER_TRIES || failure.is_refusal() => {
                    return Err(format!(
                        "the answer to {} could not be given back: {}",
                        self.parcel.event_id,
                        failure.message()
                    ));
                }
                Err(_) => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
            }
        }
    }
}

/// What is answered for a delivery that the user wants no more: it is over, and its note says why.
fn skipped() -> AttemptOutcome {
    AttemptOutcome { status: Some(204), ..AttemptOutcome::default() }
}

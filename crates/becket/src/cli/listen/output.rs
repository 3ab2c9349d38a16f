//! What is shown while events come: lines, JSON, or a screen; and when it ends.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use becket_develop::listen::lines::{self, Painter};
use becket_develop::listen::state::{App, Link as LinkState, Wish};
use becket_develop::listen::{text, view};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::follow::{Happening, Over};
use super::link::SharedLink;
use super::screen::{Screen, palette};
use super::{manage, now_ms};
use crate::cli::online::failure::{Failure, Result};
use crate::cli::{CliError, Paint};

/// How often a screen is drawn at most.
const FRAME: Duration = Duration::from_millis(33);
/// How often it is drawn although nothing happened: notices go away.
const IDLE_FRAME: Duration = Duration::from_millis(500);

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Plain,
    /// For programs.
    Json,
}

/// Everything that showing needs.
pub(super) struct Showing {
    pub app: App,
    pub told: mpsc::Receiver<Happening>,
    pub pausing: watch::Sender<bool>,
    pub link: SharedLink,
    pub once: bool,
    pub zone: jiff::tz::TimeZone,
}

/// The numbers of deliveries by their keys, until they are answered.
type Numbers = HashMap<u64, u64>;

struct Colours(Paint);

impl Painter for Colours {
    fn good(&self, text: &str) -> String {
        self.0.green(text)
    }
    fn bad(&self, text: &str) -> String {
        self.0.red(text)
    }
    fn dim(&self, text: &str) -> String {
        self.0.dim(text)
    }
}

/// Resolves when the process is asked to end.
async fn asked_to_end() -> Result<()> {
    let open = |kind| {
        signal(kind).map_err(|error| Failure::from(CliError::new(format!("signals: {error}"))))
    };
    let mut interrupt = open(SignalKind::interrupt())?;
    let mut terminate = open(SignalKind::terminate())?;
    let mut hang_up = open(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

/// What the end of following means for the command.
fn ended(over: Over, name: &str) -> Failure {
    match over {
        Over::Failed(failure) => failure,
        Over::Replaced => {
            CliError::new(format!("another `becket listen` took over the name `{name}`"))
                .hint("give each its own: --name NAME")
                .into()
        }
        Over::Removed => CliError::new(format!("the listener `{name}` was removed")).into(),
    }
}

impl Showing {
    /// Shows lines until it is over.
    pub async fn lines(mut self, form: Form) -> Result<ExitCode> {
        let mut numbers = Numbers::new();
        let paint = Colours(Paint::for_stdout());
        self.announce(form)?;
        let end = asked_to_end();
        tokio::pin!(end);
        loop {
            let happening = tokio::select! {
                happening = self.told.recv() => happening,
                asked = &mut end => {
                    asked?;
                    return Ok(ExitCode::SUCCESS);
                }
            };
            let Some(happening) = happening else { return Ok(ExitCode::SUCCESS) };
            if let Happening::Over(over) = happening {
                return Err(ended(over, &self.app.about.name));
            }
            match self.line(happening, form, &mut numbers, &paint) {
                None => {}
                Some(line) if emit(&line)? => {}
                // Nobody reads any more.
                Some(_) => return Ok(ExitCode::SUCCESS),
            }
            if let (true, Some(code)) = (self.once, self.outcome()) {
                return Ok(code);
            }
        }
    }

    /// With `--once`: the exit code after the first answer.
    fn outcome(&self) -> Option<ExitCode> {
        let counts = self.app.counts;
        match (counts.succeeded, counts.failed) {
            (0, 0) => None,
            (_, 0) => Some(ExitCode::SUCCESS),
            _ => Some(ExitCode::FAILURE),
        }
    }

    fn announce(&self, form: Form) -> Result<()> {
        let about = &self.app.about;
        if form == Form::Json {
            for url in &about.receives_at {
                emit(&json!({ "kind": "receives", "url": url }).to_string())?;
            }
            return Ok(());
        }
        for url in &about.receives_at {
            eprintln!("Receives at {url}");
            eprintln!(
                "  try it: curl -sS {url} -H 'content-type: application/json' -d '{{\"type\":\"order.paid\"}}'"
            );
        }
        eprintln!("Listening as `{}` at {}", about.name, text::harmless(&about.gateway, false));
        eprintln!("Forwards to {}", text::harmless(&about.forward_to, false));
        for (pattern, url) in &about.routes {
            eprintln!("  {} to {}", text::harmless(pattern, false), text::harmless(url, false));
        }
        Ok(())
    }

    /// Takes over what happened; the line to print for it, if there is one.
    fn line(
        &mut self,
        happening: Happening,
        form: Form,
        numbers: &mut Numbers,
        paint: &Colours,
    ) -> Option<String> {
        let said = match &happening {
            Happening::Link(link) => Some(link_words(link)),
            Happening::Waiting(0) => None,
            Happening::Waiting(count) => {
                Some(("waiting", format!("{count} events waited and come now")))
            }
            Happening::Notice(text) => Some(("notice", text::harmless(text, false))),
            _ => None,
        };
        let answered = self.take(happening, numbers);
        let answered = answered.and_then(|number| self.app.entry(number));
        match (form, said, answered) {
            (Form::Json, Some((kind, words)), _) => {
                let at = lines::time(now_ms());
                Some(json!({ "kind": kind, "at": at, "message": words }).to_string())
            }
            (Form::Plain, Some((_, words)), _) => {
                // News are not data.
                eprintln!("{words}");
                None
            }
            (Form::Json, None, Some(entry)) => Some(lines::json(entry).to_string()),
            (Form::Plain, None, Some(entry)) => Some(lines::human(entry, &self.zone, paint)),
            (_, None, None) => None,
        }
    }

    /// Takes over what happened; the number of the delivery that was
    /// answered, if one was.
    fn take(&mut self, happening: Happening, numbers: &mut Numbers) -> Option<u64> {
        let now_ms = now_ms();
        match happening {
            Happening::Link(link) => self.app.link = link,
            Happening::Waiting(0) => {}
            Happening::Waiting(count) => {
                self.app.notice(format!("{count} events waited and come now"), now_ms);
            }
            Happening::Came { key, parcel, body, target } => {
                let number = self.app.came(&parcel, &body, &target, now_ms).number;
                numbers.insert(key, number);
            }
            Happening::Answered { key, reply } => {
                let number = numbers.remove(&key)?;
                self.app.answered(number, *reply);
                return Some(number);
            }
            Happening::Notice(text) => self.app.notice(text, now_ms),
            Happening::Over(_) => {}
        }
        None
    }

    /// Shows a screen until it is over.
    pub async fn screen(mut self, env: &BTreeMap<String, String>) -> Result<ExitCode> {
        let (notices, mut noticed) = mpsc::channel::<String>(16);
        let (mut screen, mut keys) = Screen::open()?;
        let palette = palette(env);
        let mut numbers = Numbers::new();
        let end = asked_to_end();
        tokio::pin!(end);
        let mut frame = tokio::time::interval(FRAME);
        frame.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut idle = tokio::time::interval(IDLE_FRAME);
        idle.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut dirty = true;
        loop {
            tokio::select! {
                happening = self.told.recv() => match happening {
                    None => return Ok(ExitCode::SUCCESS),
                    Some(Happening::Over(over)) => return Err(ended(over, &self.app.about.name)),
                    Some(happening) => {
                        self.take(happening, &mut numbers);
                        dirty = true;
                        if let (true, Some(code)) = (self.once, self.outcome()) {
                            return Ok(code);
                        }
                    }
                },
                key = keys.recv() => {
                    let Some(key) = key else { return Ok(ExitCode::SUCCESS) };
                    dirty = true;
                    let wish = key.and_then(|key| self.app.key(key, now_ms()));
                    if self.grant(wish, &mut screen, &notices) {
                        return Ok(ExitCode::SUCCESS);
                    }
                },
                Some(notice) = noticed.recv() => {
                    self.app.notice(notice, now_ms());
                    dirty = true;
                }
                asked = &mut end => {
                    asked?;
                    return Ok(ExitCode::SUCCESS);
                }
                _ = frame.tick(), if dirty => {
                    let scene =
                        view::Scene { palette, zone: self.zone.clone(), now_ms: now_ms() };
                    screen.draw(|frame| view::draw(frame, &mut self.app, &scene))?;
                    dirty = false;
                }
                _ = idle.tick() => dirty = true,
            }
        }
    }

    /// Does what a key asked for; whether it is to end.
    fn grant(
        &mut self,
        wish: Option<Wish>,
        screen: &mut Screen,
        notices: &mpsc::Sender<String>,
    ) -> bool {
        match wish {
            None => {}
            Some(Wish::Quit) => return true,
            Some(Wish::Copy(text)) => {
                if let Err(why) = screen.copy(&text) {
                    self.app.notice(why, now_ms());
                }
            }
            Some(Wish::Pause) => {
                self.pausing.send_replace(true);
            }
            Some(Wish::Resume) => {
                self.pausing.send_replace(false);
            }
            Some(Wish::Replay { event_id, endpoint_id }) => {
                let (link, notices) = (self.link.clone(), notices.clone());
                tokio::spawn(async move {
                    let said = manage::replay(&link, &event_id, &endpoint_id).await;
                    // Nobody who shows it means that the process is about to end.
                    let _ = notices.send(said).await;
                });
            }
        }
        false
    }
}

fn link_words(link: &LinkState) -> (&'static str, String) {
    match link {
        LinkState::Connecting => ("connecting", "Connecting".to_owned()),
        LinkState::Connected => ("connected", "Connected: events come as they arrive".to_owned()),
        LinkState::Lost(why) => (
            "disconnected",
            format!("Connection lost, trying again: {}", text::harmless(why, false)),
        ),
        LinkState::Paused => ("paused", "Paused: events wait at the gateway".to_owned()),
    }
}

/// Writes a line; `false` when nobody reads any more.
fn emit(line: &str) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(CliError::new(format!("standard output cannot be written: {error}")).into())
        }
    }
}

//! What a listener knows and what its keys do: pure, so that it is tested without a terminal.
//!
//! Invariants: at most [`ENTRIES_MAX`] deliveries and [`BODIES_MAX_BYTES`] of bodies are kept, the
//! oldest give way; a delivery whose event was seen before, or that is tried again, is marked as a
//! repeat; the selection stays on its delivery while others come and go.

mod finding;

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

pub use self::finding::curl;
use self::finding::{fits, has};
use super::wire::Parcel;

/// The most deliveries that are kept to be looked at.
pub const ENTRIES_MAX: usize = 1_000;
/// The most bytes of bodies that are kept to be looked at.
pub const BODIES_MAX_BYTES: usize = 64 * 1024 * 1024;
/// How many events are remembered to tell repeats.
const SEEN_MAX: usize = 20_000;
/// How long a notice is shown, in milliseconds.
const NOTICE_MS: i64 = 6_000;

/// How a delivery differs from the first time that its event comes in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It does not.
    New,
    /// It arrived before this listener connected, and waited.
    Late,
    /// The event was forwarded before, or may have been.
    Repeat,
}

/// A response, or why there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: Option<u16>,
    /// Why there is no whole response: the stable code.
    pub error: Option<&'static str>,
    /// The same, or what else is to be said, in words.
    pub words: String,
    /// Names and values of its headers.
    pub headers: Vec<(String, String)>,
    /// The first 16 KiB of its body.
    pub body: Bytes,
    /// Whether the body went on.
    pub body_truncated: bool,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

impl Reply {
    /// Whether the handler took the event.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.error.is_none() && self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// A delivery that was forwarded, or is being forwarded.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number, counted from 1 in the order of arrival.
    pub number: u64,
    /// How it differs from a first one in time.
    pub mark: Mark,
    /// When it came here, in milliseconds since 1970.
    pub came_at_ms: i64,
    /// What the gateway said of it; without its body.
    pub parcel: Parcel,
    /// Its body; `None` if it is no longer kept.
    pub body: Option<Bytes>,
    /// Where it was forwarded to.
    pub target: String,
    /// What came back, once it has.
    pub reply: Option<Reply>,
}

/// How it stands with the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It is being connected to.
    Connecting,
    /// Events come.
    Connected,
    /// The connection was lost, and why; it is made again.
    Lost(String),
    /// Held back by the user: events wait at the gateway.
    Paused,
}

/// What is said about the listener itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub name: String,
    /// The gateway's address.
    pub gateway: String,
    /// Where events are forwarded to.
    pub forward_to: String,
    /// Routes by event type.
    pub routes: Vec<(String, String)>,
    /// The sources that it follows.
    pub sources: Vec<String>,
    /// Where to send events, if the gateway was started for this.
    pub receives_at: Vec<String>,
}

/// Keys that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The arrow.
    Up,
    /// The arrow.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first.
    Home,
    /// To the last.
    End,
    /// Return.
    Enter,
    /// Escape.
    Escape,
    /// The tabulator.
    Tab,
    /// Take the last character away.
    Backspace,
    /// Control and C.
    Interrupt,
    /// A character.
    Character(char),
}

/// What a key asks for that the state itself cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To end.
    Quit,
    /// To send an event again to this endpoint.
    Replay {
        /// The event's id.
        event_id: String,
        /// The endpoint's id.
        endpoint_id: String,
    },
    /// To put a text into the clipboard.
    Copy(String),
    /// To hold events back at the gateway.
    Pause,
    /// To let them come again.
    Resume,
}

/// What is typed at the bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Which deliveries are shown.
    Filter,
    /// Which delivery is gone to.
    Search,
}

/// What lies over everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Popup {
    /// The keys.
    Help,
    /// A line to be copied.
    Curl(String),
}

/// Where the arrows work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// In the list.
    List,
    /// In the details.
    Detail,
}

/// Which events were seen, the newest of them.
#[derive(Debug, Default)]
struct Seen {
    order: VecDeque<String>,
    known: HashSet<String>,
}

impl Seen {
    /// Notes an event; whether it was known already.
    fn note(&mut self, event_id: &str) -> bool {
        if !self.known.insert(event_id.to_owned()) {
            return true;
        }
        self.order.push_back(event_id.to_owned());
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        false
    }
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answered with 2xx.
    pub succeeded: u64,
    /// Answered otherwise, or not at all.
    pub failed: u64,
}

/// Everything that a listener knows, and what is looked at.
#[derive(Debug)]
pub struct App {
    /// What is said about the listener itself.
    pub about: About,
    /// How it stands with the gateway.
    pub link: Link,
    /// What came of what was forwarded.
    pub counts: Counts,
    /// What is typed at the bottom, if anything is.
    pub asking: Option<(Asking, String)>,
    /// The filter in force; empty for none.
    pub filter: String,
    /// What was last searched for.
    pub search: String,
    /// What lies over everything else.
    pub popup: Option<Popup>,
    /// Where the arrows work.
    pub focus: Focus,
    /// Whether details are shown.
    pub detail: bool,
    /// How far the details are scrolled, in lines.
    pub scroll: usize,
    /// How many lines the details have and how many are shown, as last drawn.
    pub detail_extent: (usize, usize),
    /// How many rows of the list are shown, as last drawn.
    pub list_rows: usize,
    entries: VecDeque<Entry>,
    bodies_bytes: usize,
    seen: Seen,
    last_number: u64,
    selected: Option<u64>,
    /// Whether the selection stays on the newest.
    following: bool,
    notice: Option<(String, i64)>,
}

impl App {
    /// A listener to which nothing has come yet.
    #[must_use]
    pub fn new(about: About) -> Self {
        Self {
            about,
            link: Link::Connecting,
            counts: Counts::default(),
            asking: None,
            filter: String::new(),
            search: String::new(),
            popup: None,
            focus: Focus::List,
            detail: false,
            scroll: 0,
            detail_extent: (0, 0),
            list_rows: 10,
            entries: VecDeque::new(),
            bodies_bytes: 0,
            seen: Seen::default(),
            last_number: 0,
            selected: None,
            following: true,
            notice: None,
        }
    }

    /// A delivery has come: how it is to be shown, and its number.
    pub fn came(&mut self, parcel: &Parcel, body: &Bytes, target: &str, now_ms: i64) -> &Entry {
        let known = self.seen.note(&parcel.event_id);
        let mark = match (known || parcel.attempt > 1, parcel.late) {
            (true, _) => Mark::Repeat,
            (false, true) => Mark::Late,
            (false, false) => Mark::New,
        };
        self.last_number += 1;
        let parcel = Parcel { body: None, ..parcel.clone() };
        self.bodies_bytes += body.len();
        let entry = Entry {
            number: self.last_number,
            mark,
            came_at_ms: now_ms,
            parcel,
            body: Some(body.clone()),
            target: target.to_owned(),
            reply: None,
        };
        self.entries.push_back(entry);
        self.make_room();
        if self.following || self.selected.is_none() {
            self.follow();
        }
        // It was pushed just now, and the newest is never the one that gives way.
        &self.entries[self.entries.len() - 1]
    }

    fn make_room(&mut self) {
        while self.entries.len() > ENTRIES_MAX {
            if let Some(gone) = self.entries.pop_front() {
                self.bodies_bytes -= gone.body.map_or(0, |body| body.len());
                if self.selected == Some(gone.number) {
                    self.selected = self.entries.front().map(|entry| entry.number);
                }
            }
        }
        let mut over = self.bodies_bytes.saturating_sub(BODIES_MAX_BYTES);
        let last = self.entries.len().saturating_sub(1);
        for entry in self.entries.iter_mut().take(last) {
            if over == 0 {
                break;
            }
            let freed = entry.body.take().map_or(0, |body| body.len());
            self.bodies_bytes -= freed;
            over = over.saturating_sub(freed);
        }
    }

    /// What came back for the delivery of a number.
    pub fn answered(&mut self, number: u64, reply: Reply) {
        if reply.is_success() {
            self.counts.succeeded += 1;
        } else {
            self.counts.failed += 1;
        }
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.number == number) {
            entry.reply = Some(reply);
        }
    }

    /// Says something at the bottom for a few seconds.
    pub fn notice(&mut self, text: impl Into<String>, now_ms: i64) {
        self.notice = Some((text.into(), now_ms));
    }

    /// What is said at the bottom now.
    #[must_use]
    pub fn noticed(&self, now_ms: i64) -> Option<&str> {
        let (text, at_ms) = self.notice.as_ref()?;
        (now_ms - at_ms < NOTICE_MS).then_some(text.as_str())
    }

    /// The deliveries that the filter lets through, oldest first.
    pub fn shown(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        let terms: Vec<String> = self.filter.split_whitespace().map(str::to_lowercase).collect();
        self.entries.iter().filter(move |entry| terms.iter().all(|term| fits(entry, term)))
    }

    /// The delivery of a number, if it is still kept.
    #[must_use]
    pub fn entry(&self, number: u64) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.number == number)
    }

    /// The delivery that is selected, if it is shown.
    #[must_use]
    pub fn selected(&self) -> Option<&Entry> {
        let number = self.selected?;
        self.shown().find(|entry| entry.number == number)
    }

    /// Whether the selection stays on the newest.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.following
    }

    fn follow(&mut self) {
        self.following = true;
        let newest = self.shown().next_back().map(|entry| entry.number);
        self.select(newest);
    }

    fn select(&mut self, number: Option<u64>) {
        if self.selected != number {
            self.selected = number;
            self.scroll = 0;
        }
    }

    /// Moves the selection by so many rows.
    fn step(&mut self, by: isize) {
        let numbers: Vec<u64> = self.shown().map(|entry| entry.number).collect();
        let Some(last) = numbers.len().checked_sub(1) else { return };
        let at = self.selected.and_then(|number| numbers.iter().position(|known| *known == number));
        let to = at.unwrap_or(last).saturating_add_signed(by).min(last);
        self.following = to == last;
        self.select(Some(numbers[to]));
    }

    fn scroll_by(&mut self, by: isize) {
        let (lines, rows) = self.detail_extent;
        self.scroll = self.scroll.saturating_add_signed(by).min(lines.saturating_sub(rows));
    }

    /// A key was pressed.
    pub fn key(&mut self, key: Key, now_ms: i64) -> Option<Wish> {
        if key == Key::Interrupt {
            return Some(Wish::Quit);
        }
        if self.asking.is_some() {
            self.type_in(key, now_ms);
            return None;
        }
        if let Some(popup) = self.popup.take() {
            // Any other key closes it; what it is good for still works.
            return match (popup, key) {
                (Popup::Curl(line), Key::Character('c') | Key::Enter) => Some(Wish::Copy(line)),
                (_, Key::Character('q')) | (_, _) => None,
            };
        }
        let page = isize::try_from(self.list_rows.max(2) - 1).unwrap_or(10);
        match (key, self.focus) {
            (Key::Up | Key::Character('k'), Focus::List) => self.step(-1),
            (Key::Down | Key::Character('j'), Focus::List) => self.step(1),
            (Key::PageUp, Focus::List) => self.step(-page),
            (Key::PageDown, Focus::List) => self.step(page),
            (Key::Home | Key::Character('g'), Focus::List) => self.step(isize::MIN),
            (Key::End | Key::Character('G'), Focus::List) => self.follow(),
            (_, Focus::Detail) if self.scrolled(key) => {}
            (Key::Enter, _) if self.selected().is_some() => {
                self.detail = true;
                self.focus = Focus::Detail;
            }
            (Key::Tab, _) if self.detail => {
                self.focus = if self.focus == Focus::List { Focus::Detail } else { Focus::List };
            }
            (Key::Escape, _) => self.leave(),
            (Key::Character(character), _) => return self.command(character, now_ms),
            _ => {}
        }
        None
    }

    fn scrolled(&mut self, key: Key) -> bool {
        let page = isize::try_from(self.detail_extent.1.max(2) - 1).unwrap_or(10);
        let by = match key {
            Key::Up | Key::Character('k') => -1,
            Key::Down | Key::Character('j') => 1,
            Key::PageUp => -page,
            Key::PageDown | Key::Character(' ') => page,
            Key::Home | Key::Character('g') => isize::MIN,
            Key::End | Key::Character('G') => isize::MAX,
            _ => return false,
        };
        self.scroll_by(by);
        true
    }

    /// Goes back by one: from the details, from a filter.
    fn leave(&mut self) {
        if self.detail {
            self.detail = false;
            self.focus = Focus::List;
        } else if !self.filter.is_empty() {
            self.filter.clear();
        }
    }

    fn command(&mut self, character: char, now_ms: i64) -> Option<Wish> {
        match character {
            'q' => return Some(Wish::Quit),
            '?' | 'h' => self.popup = Some(Popup::Help),
            'f' => self.asking = Some((Asking::Filter, self.filter.clone())),
            '/' => self.asking = Some((Asking::Search, String::new())),
            'n' => self.find(now_ms),
            'p' if self.link == Link::Paused => return Some(Wish::Resume),
            'p' => return Some(Wish::Pause),
            'r' => {
                let parcel = &self.selected()?.parcel;
                return Some(Wish::Replay {
                    event_id: parcel.event_id.clone(),
                    endpoint_id: parcel.endpoint_id.clone(),
                });
            }
            'c' => {
                let Some(line) = self.selected().map(curl) else {
                    self.notice("nothing is selected", now_ms);
                    return None;
                };
                let Some(line) = line else {
                    self.notice(
                        "the body is no longer kept here: see `becket events show`",
                        now_ms,
                    );
                    return None;
                };
                self.popup = Some(Popup::Curl(line.clone()));
                return Some(Wish::Copy(line));
            }
            _ => {}
        }
        None
    }

    fn type_in(&mut self, key: Key, now_ms: i64) {
        let Some((asking, text)) = &mut self.asking else { return };
        match key {
            Key::Character(character) if !character.is_control() => text.push(character),
            Key::Backspace => {
                text.pop();
            }
            Key::Escape => self.asking = None,
            Key::Enter => {
                let (asking, text) = (*asking, text.trim().to_owned());
                self.asking = None;
                match asking {
                    Asking::Filter => {
                        self.filter = text;
                        if self.selected().is_none() {
                            self.follow();
                        }
                    }
                    Asking::Search => {
                        self.search = text;
                        self.find(now_ms);
                    }
                }
            }
            _ => {}
        }
    }

    /// Goes to the next delivery, upwards and then from the bottom, that has what is searched for.
    fn find(&mut self, now_ms: i64) {
        if self.search.is_empty() {
            return;
        }
        let wanted = self.search.to_lowercase();
        let entries: Vec<&Entry> = self.shown().collect();
        let at =
            self.selected.and_then(|number| entries.iter().position(|one| one.number == number));
        let at = at.unwrap_or(entries.len());
        let (before, from) = entries.split_at(at.min(entries.len()));
        let found = before.iter().rev().chain(from.iter().rev()).find(|entry| has(entry, &wanted));
        match found.map(|entry| entry.number) {
            Some(number) => {
                self.following = false;
                self.select(Some(number));
            }
            None => self.notice(format!("nothing has `{}`", self.search), now_ms),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

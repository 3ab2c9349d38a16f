//! The terminal: taken over, read from, drawn on, and given back.
//!
//! Invariant: whatever happens, a panic or a signal included, the terminal is left as it was found.

use std::collections::BTreeMap;
use std::io::{self, Stdout, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use becket_develop::listen::state::Key;
use becket_develop::listen::view::Palette;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use ratatui::{Frame, Terminal};
use tokio::sync::mpsc;

use crate::cli::CliError;
use crate::cli::online::failure::{Failure, Result};

/// How long the reading of keys may go on unnoticed after the end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Terminals take no longer text into the clipboard.
const COPY_BYTES_MAX: usize = 74_000;

/// A terminal that was taken over.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    over: Arc<AtomicBool>,
}

/// The colours that the user wants: none with `NO_COLOR`.
pub(super) fn palette(env: &BTreeMap<String, String>) -> Palette {
    match env.get("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        true => Palette::monochrome(),
        false => Palette::colours(),
    }
}

fn failed(error: &io::Error) -> Failure {
    CliError::new(format!("the terminal cannot be used: {error}"))
        .hint("--plain shows lines instead")
        .into()
}

/// Gives the terminal back.
fn restore() {
    // There is nobody to tell, and nothing else to do.
    let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

impl Screen {
    /// Takes the terminal over; keys come as `Some`, other news such as a new size as `None`.
    pub fn open() -> Result<(Self, mpsc::Receiver<Option<Key>>)> {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            hook(panic);
        }));
        enable_raw_mode().map_err(|error| failed(&error))?;
        let opened = execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        let terminal = match opened {
            Ok(terminal) => terminal,
            Err(error) => {
                restore();
                return Err(failed(&error));
            }
        };
        let over = Arc::new(AtomicBool::new(false));
        let screen = Self { terminal, over: Arc::clone(&over) };
        let (sender, keys) = mpsc::channel(64);
        std::thread::Builder::new()
            .name("keys".to_owned())
            .spawn(move || read_keys(&over, &sender))
            .map_err(|error| failed(&error))?;
        Ok((screen, keys))
    }

    /// Draws once.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        self.terminal.draw(draw).map(drop).map_err(|error| failed(&error))
    }

    /// Hands a text to the terminal's clipboard (OSC 52).
    pub fn copy(&mut self, text: &str) -> Result<(), String> {
        if text.len() > COPY_BYTES_MAX {
            return Err("too long for the clipboard of a terminal".to_owned());
        }
        let mut out = io::stdout().lock();
        write!(out, "\u{1b}]52;c;{}\u{7}", BASE64.encode(text))
            .and_then(|()| out.flush())
            .map_err(|error| error.to_string())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        restore();
    }
}

fn read_keys(over: &AtomicBool, sender: &mpsc::Sender<Option<Key>>) {
    while !over.load(Ordering::Relaxed) {
        match event::poll(LOOK_EVERY) {
            Ok(false) => continue,
            Ok(true) => {}
            // The terminal is gone.
            Err(_) => return,
        }
        let Ok(event) = event::read() else { return };
        let told = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                match key_of(key.code, key.modifiers) {
                    Some(key) => Some(key),
                    None => continue,
                }
            }
            Event::Resize(..) => None,
            _ => continue,
        };
        if sender.blocking_send(told).is_err() {
            return;
        }
    }
}

fn key_of(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
    Some(match code {
        KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char(_) if modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => {
            return None;
        }
        KeyCode::Char(character) => Key::Character(character),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Tab | KeyCode::BackTab => Key::Tab,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}

//! The log: where its lines go and what they look like.
//!
//! Lines are collected in memory and written by a thread of their own, so that a slow terminal or
//! pipe never holds up a webhook. When too many wait they are counted and dropped, which is said.

use std::io::{IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat, LogLevel};

const WAITING_MAX: usize = 8 << 20;
const PAUSE: Duration = Duration::from_millis(20);

/// The lines on their way to standard error.
#[derive(Default)]
pub(super) struct Lines {
    waiting: Mutex<Vec<u8>>,
    filled: Condvar,
    dropped: AtomicU64,
    ending: AtomicBool,
    /// Whether lines are JSON.
    pub(super) json: AtomicBool,
    /// Whether one line per request and attempt is written.
    pub(super) each: AtomicBool,
}

impl Lines {
    /// Adds a line; it has to end with a line feed.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock();
        if waiting.len() + line.len() > WAITING_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = waiting.is_empty();
        waiting.extend_from_slice(line);
        drop(waiting);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Writes all that waits, now.
    pub(super) fn flush(&self) {
        let lines = std::mem::take(&mut *self.waiting.lock());
        let mut out = std::io::stderr().lock();
        // There is nowhere to say that standard error is gone.
        let _ = out.write_all(&lines).and_then(|()| out.flush());
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let _ = writeln!(
                out,
                "becket: {dropped} log lines were dropped: they came faster than they could be written"
            );
        }
    }

    fn work(&self) {
        while !self.ending.load(Ordering::Relaxed) {
            let mut waiting = self.waiting.lock();
            if waiting.is_empty() {
                self.filled.wait_for(&mut waiting, Duration::from_secs(1));
            }
            drop(waiting);
            // A moment, so that many lines become one write.
            std::thread::sleep(PAUSE);
            self.flush();
        }
    }

    /// Writes what is left and ends the thread.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
        self.flush();
    }
}

/// A line that is being made; it is added whole when dropped.
pub(super) struct Line {
    lines: Arc<Lines>,
    text: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.lines.push(&self.text);
    }
}

struct Writer(Arc<Lines>);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { lines: Arc::clone(&self.0), text: Vec::with_capacity(256) }
    }
}

/// Sets the log up, once in a process.
pub(super) fn start(log: &Log) -> Arc<Lines> {
    static LINES: OnceLock<Arc<Lines>> = OnceLock::new();
    let lines = Arc::clone(LINES.get_or_init(Arc::default));
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !terminal,
    };
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    lines.json.store(json, Ordering::Relaxed);
    lines.each.store(level >= LevelFilter::INFO, Ordering::Relaxed);
    let colour = terminal && !json && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(colour)
        .with_writer(Writer(Arc::clone(&lines)));
    let set = if json {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        builder.with_target(false).try_init()
    };
    // Set already, in a test that starts several gateways: the first one's log is used.
    if set.is_ok() {
        let worker = Arc::clone(&lines);
        let thread = std::thread::Builder::new().name("log".to_owned());
        if let Err(error) = thread.spawn(move || worker.work()) {
            lines.push(format!("becket: no thread for the log: {error}\n").as_bytes());
            lines.flush();
        }
    }
    lines
}

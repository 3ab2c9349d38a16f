//! A proxy between a node and PostgreSQL that cuts the connection at the worst moment: when a commit
//! is on its way.
//!
//! It reads the protocol just far enough to see which message ends a transaction: `COMMIT`, or the
//! `Sync` behind a statement outside a transaction block. A cut may come before that message is passed
//! on (nothing happened), right behind it (nobody knows), or when the server has committed and its
//! answer is about to be passed back (it happened, and the node must not believe that it did not).
//!
//! It can also keep back the answer to a commit for a while: it has happened, and the node that asked
//! for it is the last to know.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What a transaction does, as its statements tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// It accepts events.
    Accept,
    /// It records attempts.
    Finish,
    /// It writes something else.
    Other,
}

/// When the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// The commit is not passed on.
    Before,
    /// The commit is passed on, and nothing is waited for.
    Behind,
    /// The commit has taken place; its answer is not passed back.
    Answered,
}

/// A running proxy; it lives as long as the process.
pub struct CutProxy {
    /// Where nodes connect.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    armed: Mutex<Option<(Work, Moment)>>,
    cuts: Mutex<BTreeMap<(Work, Moment), u64>>,
    /// Statements with this text are not passed on, so many times more.
    refused: Mutex<(String, u32)>,
    hold: Mutex<Hold>,
    let_go: Condvar,
}

/// The answer that is kept back.
#[derive(Default)]
enum Hold {
    #[default]
    None,
    /// That of the next transaction with a statement with this text.
    Wanted(String),
    /// Its transaction is under way.
    Found,
    /// It has been committed, and its node waits.
    Held,
}

impl CutProxy {
    /// Starts one in front of a server on a port of loopback.
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(node) = stream else { continue };
                let shared = Arc::clone(&ours);
                std::thread::spawn(move || {
                    // An ended connection is what this proxy is for.
                    let _ = serve(&node, server, &shared);
                });
            }
        });
        Self { port, shared }
    }

    /// The next transaction that does this work is cut at this moment.
    pub fn arm(&self, work: Work, moment: Moment) {
        *self.shared.armed() = Some((work, moment));
    }

    /// The next so many times that a statement with this text is run, its connection is cut instead.
    pub fn refuse(&self, text: &str, times: u32) {
        *self.shared.refused.lock().expect("no connection panicked") = (text.to_owned(), times);
    }

    /// How many times are still to come.
    pub fn refusals_left(&self) -> u32 {
        self.shared.refused.lock().expect("no connection panicked").1
    }

    /// The answer to the next commit of a transaction with this text is kept back until it is let go.
    pub fn hold(&self, text: &str) {
        *self.shared.held() = Hold::Wanted(text.to_owned());
    }

    /// Whether an answer is kept back.
    pub fn is_held(&self) -> bool {
        matches!(*self.shared.held(), Hold::Held)
    }

    /// Passes the answer on that is kept back.
    pub fn let_go(&self) {
        *self.shared.held() = Hold::None;
        self.shared.let_go.notify_all();
    }

    /// Whether a cut is still waiting for its transaction.
    pub fn is_armed(&self) -> bool {
        self.shared.armed().is_some()
    }

    /// How many cuts there were, by what was cut and when.
    pub fn cuts(&self) -> BTreeMap<(Work, Moment), u64> {
        self.shared.cuts.lock().expect("no connection panicked").clone()
    }
}

impl Shared {
    fn armed(&self) -> MutexGuard<'_, Option<(Work, Moment)>> {
        self.armed.lock().expect("no connection panicked")
    }

    fn held(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().expect("no connection panicked")
    }

    /// Whether the answer to the commit of this statement is to be kept back.
    fn holds(&self, statement: Option<&String>) -> bool {
        let mut hold = self.held();
        let Hold::Wanted(text) = &*hold else { return false };
        let meant = statement.is_some_and(|statement| statement.contains(text.as_str()));
        if meant {
            *hold = Hold::Found;
        }
        meant
    }

    /// Keeps an answer back until it is let go.
    fn keep_back(&self) {
        let mut hold = self.held();
        *hold = Hold::Held;
        drop(self.let_go.wait_while(hold, |hold| matches!(hold, Hold::Held)));
    }

    /// Whether a statement is not to be passed on.
    fn refuses(&self, statement: Option<&String>) -> bool {
        let mut refused = self.refused.lock().expect("no connection panicked");
        let meant = refused.1 > 0 && statement.is_some_and(|text| text.contains(&refused.0));
        refused.1 -= u32::from(meant);
        meant
    }

    /// Takes the cut that waits for a transaction with this work.
    fn take(&self, work: Work) -> Option<Moment> {
        let mut armed = self.armed();
        let (wanted, moment) = (*armed)?;
        if wanted != work {
            return None;
        }
        *armed = None;
        *self.cuts.lock().expect("no connection panicked").entry((work, moment)).or_default() += 1;
        Some(moment)
    }
}

/// What both directions of a connection know.
#[derive(Default)]
struct Progress {
    /// Messages passed to the server that it answers with `ReadyForQuery`.
    asked: u64,
    /// Those among them that it has answered.
    answered: u64,
    /// The one whose answer is not passed back.
    cut: Option<u64>,
    /// The one whose answer waits until it is let go.
    held: Option<u64>,
}

fn serve(node: &TcpStream, port: u16, shared: &Arc<Shared>) -> io::Result<()> {
    node.set_nodelay(true)?;
    let startup = read_startup(node)?;
    let server = TcpStream::connect(("127.0.0.1", port))?;
    server.set_nodelay(true)?;
    (&server).write_all(&startup)?;
    let progress = Arc::new(Mutex::new(Progress::default()));
    let (back_node, back_server) = (node.try_clone()?, server.try_clone()?);
    let (back_progress, back_shared) = (Arc::clone(&progress), Arc::clone(shared));
    std::thread::spawn(move || {
        let _ = pass_back(&back_server, &back_node, &back_progress, &back_shared);
        end(&back_server, &back_node);
    });
    let _ = pass_on(node, &server, &progress, shared);
    end(&server, node);
    Ok(())
}

fn end(one: &TcpStream, other: &TcpStream) {
    // Either may be closed already.
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

/// The first message, which has no kind; offers of encryption are declined.
fn read_startup(mut node: &TcpStream) -> io::Result<Vec<u8>> {
    const SSL: u32 = 80_877_103;
    const GSS: u32 = 80_877_104;
    loop {
        let mut message = vec![0; 8];
        node.read_exact(&mut message)?;
        let length = number(&message[..4]) as usize;
        if [SSL, GSS].contains(&number(&message[4..8])) {
            node.write_all(b"N")?;
            continue;
        }
        message.resize(length, 0);
        node.read_exact(&mut message[8..])?;
        return Ok(message);
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, byte| (value << 8) | u32::from(*byte))
}

/// A whole message: its kind, and all of its bytes.
fn read_message(mut from: &TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut message = vec![0; 5];
    from.read_exact(&mut message)?;
    let length = number(&message[1..5]) as usize;
    message.resize(length + 1, 0);
    from.read_exact(&mut message[5..])?;
    Ok((message[0], message))
}

fn pass_on(
    node: &TcpStream,
    mut server: &TcpStream,
    progress: &Mutex<Progress>,
    shared: &Shared,
) -> io::Result<()> {
    let mut transaction = Transaction::default();
    let mut holding = false;
    loop {
        let (kind, message) = read_message(node)?;
        if kind == b'B' {
            let statement = transaction.bound(&message[5..]);
            if shared.refuses(statement) {
                return Ok(());
            }
            holding |= shared.holds(statement);
        }
        let committing = transaction.see(kind, &message[5..]);
        let moment = committing.and_then(|work| shared.take(work));
        if moment == Some(Moment::Before) {
            return Ok(());
        }
        if matches!(kind, b'Q' | b'S' | b'F') {
            // Before it is passed on: its answer may be faster than this thread.
            let mut progress = progress.lock().expect("no connection panicked");
            progress.asked += 1;
            if moment == Some(Moment::Answered) {
                progress.cut = Some(progress.asked);
            }
            if committing.is_some() && std::mem::take(&mut holding) {
                progress.held = Some(progress.asked);
            }
        }
        server.write_all(&message)?;
        if moment == Some(Moment::Behind) {
            return Ok(());
        }
    }
}

fn pass_back(
    server: &TcpStream,
    mut node: &TcpStream,
    progress: &Mutex<Progress>,
    shared: &Shared,
) -> io::Result<()> {
    let mut authenticated = false;
    loop {
        let (kind, message) = read_message(server)?;
        let ready = kind == b'Z';
        let held = {
            let mut progress = progress.lock().expect("no connection panicked");
            let answered = progress.answered + 1;
            progress.held.take_if(|held| *held == answered).is_some()
        };
        if held {
            shared.keep_back();
        }
        let kept = {
            let mut progress = progress.lock().expect("no connection panicked");
            let kept = progress.cut == Some(progress.answered + 1);
            // The first one ends the start of the session, which nobody asked for.
            progress.answered += u64::from(ready && authenticated);
            kept
        };
        authenticated |= ready;
        if !kept {
            node.write_all(&message)?;
        } else if ready {
            return Ok(());
        }
    }
}

/// What a session is doing, from its messages.
#[derive(Default)]
struct Transaction {
    statements: HashMap<Vec<u8>, String>,
    /// In a block, which ends with `COMMIT`.
    block: bool,
    work: Option<Work>,
    /// `COMMIT` as a prepared statement: the block ends with the next `Sync`.
    ending: bool,
}

impl Transaction {
    /// Looks at a message; answers what is committed if this message commits it.
    fn see(&mut self, kind: u8, content: &[u8]) -> Option<Work> {
        match kind {
            b'Q' => {
                let text = String::from_utf8_lossy(content).into_owned();
                self.statement(&text);
                self.commit()
            }
            b'P' => {
                let (name, rest) = split(content);
                let text = String::from_utf8_lossy(split(rest).0).into_owned();
                self.statements.insert(name.to_vec(), text);
                None
            }
            b'B' => {
                let (_, rest) = split(content);
                if let Some(text) = self.statements.get(split(rest).0).cloned() {
                    self.statement(&text);
                }
                None
            }
            b'S' => self.commit(),
            _ => None,
        }
    }

    /// The statement that a message binds.
    fn bound(&self, content: &[u8]) -> Option<&String> {
        self.statements.get(split(split(content).1).0)
    }

    fn statement(&mut self, text: &str) {
        let text = text.to_ascii_lowercase();
        let begins = |word: &str| text.trim_start().starts_with(word);
        if begins("begin") || begins("start transaction") {
            self.block = true;
            self.work = None;
        } else if begins("rollback") && !text.contains(" to ") {
            self.block = false;
            self.work = None;
        }
        self.work = self.work.into_iter().chain(work_of(&text)).min();
        // Also at the end of several statements in one message.
        if begins("commit") || text.contains("; commit") || text.contains(";commit") {
            self.ending = true;
        }
    }

    fn commit(&mut self) -> Option<Work> {
        if self.block && !self.ending {
            return None;
        }
        self.block = false;
        self.ending = false;
        self.work.take()
    }
}

/// What a statement writes, by the most important table that it names.
fn work_of(text: &str) -> Option<Work> {
    let inserts = |table: &str| {
        text.match_indices("insert into").any(|(at, words)| {
            let rest = text[at + words.len()..].trim_start();
            let name = rest.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_')).next();
            name == Some(table)
        })
    };
    if inserts("event") {
        Some(Work::Accept)
    } else if inserts("attempt") {
        Some(Work::Finish)
    } else {
        let writes = ["insert into", "update ", "delete from"].iter().any(|it| text.contains(it));
        writes.then_some(Work::Other)
    }
}

/// A text that ends with a zero byte, and the rest.
fn split(content: &[u8]) -> (&[u8], &[u8]) {
    let end = content.iter().position(|byte| *byte == 0).unwrap_or(content.len());
    (&content[..end], content.get(end + 1..).unwrap_or_default())
}

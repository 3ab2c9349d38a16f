//! `becket record`: saves received events as files that can be reviewed, kept and sent again.
//!
//! Invariants: what is written went through the redaction of `becket_develop::record`; a file that is
//! there already stays, because somebody may have written into it what is expected; the key of the
//! pseudonyms is never in the folder of the recordings.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use becket_develop::record::{self, FieldPath, Pseudonyms, Received, Rules};
use becket_signature::Entry;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::online::client::{Client, PathBuilder};
use super::online::failure::Failure;
use super::online::show;
use super::request::entry_of;
use super::{CliError, ConnectionArgs, Globals, Paint, env_map, now_s, print};

/// Where recordings are kept if nothing else is said; `becket test` looks there too.
pub(super) const FOLDER: &str = "webhooks";
/// The bound where the provider's own patience is not known.
const MAX_MS: u64 = 15_000;

/// Arguments of `becket record`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RecordArgs {
    /// Which gateway to ask.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Only events of this source, by id or name
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only events of this type (several: comma, or give it again)
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    event_types: Vec<String>,
    /// Only events since then: 2h, 3d, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many, the newest
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    limit: usize,
    /// This event (several: give it again)
    #[arg(long, value_name = "EVENT", conflicts_with_all = ["source", "event_types", "since", "limit"])]
    event: Vec<String>,
    /// One event of each type, the newest
    #[arg(long, conflicts_with = "event")]
    one_per_type: bool,
    /// The folder to write to
    #[arg(long, short, value_name = "DIR", default_value = FOLDER)]
    out: PathBuf,
    /// Hide this field of the body too: `customer.name`, `items[*].note`, `**.ip`
    #[arg(long, value_name = "PATH", help_heading = "Redaction")]
    redact: Vec<String>,
    /// Leave this header out too
    #[arg(long, value_name = "HEADER", help_heading = "Redaction")]
    redact_header: Vec<String>,
    /// Keep this field as it is, whatever it is called
    #[arg(long, value_name = "PATH", help_heading = "Redaction")]
    keep: Vec<String>,
    /// Write files again that are there already, with what they expect
    #[arg(long)]
    force: bool,
    /// Print the recordings instead of writing them
    #[arg(long, conflicts_with = "json")]
    print: bool,
}

const EXAMPLES: &str = "\
Examples:
  becket record --source github --type push,pull_request --since 2d
  becket record --source stripe --one-per-type --limit 500
  becket record --event msg_... --out tests/webhooks --redact 'data.object.customer_details'
  becket test webhooks --to http://localhost:3000/webhooks --secret-env WEBHOOK_SECRET

Signatures, tokens, passwords, e-mail addresses, telephone and card numbers are taken out; equal ones
stay equal. Names of people and the like are only hidden with --redact: look before you commit.
The key of the pseudonyms is BECKET_PSEUDONYM_KEY, or made and kept in ~/.config/becket.";

/// Runs the command.
pub(super) fn run(args: &RecordArgs, globals: &Globals) -> Result<ExitCode, CliError> {
    let rules = Rules {
        pseudonyms: Pseudonyms::new(&pseudonym_key()?),
        redact: paths("--redact", &args.redact)?,
        keep: paths("--keep", &args.keep)?,
        headers: args.redact_header.iter().map(|name| name.to_ascii_lowercase()).collect(),
    };
    let connection = args.connection.resolve(globals)?;
    let client = Client::new(&connection).map_err(Failure::into_error)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("no runtime: {error}")))?;
    let recorder = Recorder { client, args, globals, rules };
    runtime.block_on(recorder.record()).map_err(Failure::into_error)
}

fn paths(flag: &str, texts: &[String]) -> Result<Vec<FieldPath>, CliError> {
    let read = |text: &String| {
        FieldPath::parse(text).map_err(|problem| {
            CliError::usage(format!("{flag}: {problem}"))
                .hint("write it like data.items[*].note, or **.ip for every field `ip`")
        })
    };
    texts.iter().map(read).collect()
}

/// What became of one event.
struct Done {
    event: String,
    event_type: String,
    file: String,
    size: u64,
    redacted: Vec<String>,
    written: bool,
    opaque: bool,
}

struct Recorder<'a> {
    client: Client,
    args: &'a RecordArgs,
    globals: &'a Globals,
    rules: Rules,
}

type Asked<T> = Result<T, Failure>;

impl Recorder<'_> {
    async fn record(&self) -> Asked<ExitCode> {
        let providers = self.providers().await?;
        let mut entries: HashMap<String, Option<Arc<Entry>>> = HashMap::new();
        let mut done = Vec::new();
        for event in self.wanted().await? {
            let Some(received) = self.received(&event, &providers).await? else {
                eprintln!("note: {event} was posted through the API: no provider sent it");
                continue;
            };
            let entry = entries.entry(received.provider.clone()).or_insert_with(|| {
                entry_of(&received.provider, self.globals)
                    .map_err(|error| eprintln!("{error}"))
                    .ok()
            });
            done.push(self.save(&received, entry.as_deref())?);
        }
        self.tell(&done)?;
        Ok(if done.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// The provider of each source, by the source's name.
    async fn providers(&self) -> Asked<HashMap<String, String>> {
        let mut found = HashMap::new();
        let mut iterator: Option<String> = None;
        loop {
            let path = PathBuilder::new("/api/v1/becket/source")
                .query("limit", Some("250"))
                .query("iterator", iterator.as_deref());
            let page = self.client.get(path.text()).await?;
            for source in show::items(&page, "/data") {
                let text = |name: &str| show::field(source, name).map(str::to_owned);
                if let (Some(name), Some(provider)) = (text("/uid"), text("/provider")) {
                    found.insert(name, provider);
                }
            }
            iterator = show::field(&page, "/iterator").map(str::to_owned);
            if page["done"] == true || iterator.is_none() {
                return Ok(found);
            }
        }
    }

    /// The ids of the events that are asked for.
    async fn wanted(&self) -> Asked<Vec<String>> {
        let args = self.args;
        if !args.event.is_empty() {
            return Ok(args.event.clone());
        }
        let since =
            args.since.as_ref().map(|given| show::since("--since", given, now_s())).transpose()?;
        let types = args.event_types.join(",");
        let mut wanted = Vec::new();
        let mut kinds: Vec<(String, String)> = Vec::new();
        let mut iterator: Option<String> = None;
        let mut seen = 0;
        while seen < args.limit {
            let path = PathBuilder::new("/api/v1/becket/event")
                .query("source", args.source.as_deref())
                .query("event_type", Some(types.as_str()).filter(|types| !types.is_empty()))
                .query("since", since.as_deref())
                .query("limit", Some(&(args.limit - seen).min(250).to_string()))
                .query("iterator", iterator.as_deref());
            let page = self.client.get(path.text()).await?;
            for event in show::items(&page, "/data") {
                seen += 1;
                let text = |name| show::field(event, name).unwrap_or_default().to_owned();
                let kind = (text("/source"), text("/eventType"));
                if args.one_per_type && kinds.contains(&kind) {
                    continue;
                }
                kinds.push(kind);
                wanted.push(text("/id"));
            }
            iterator = show::field(&page, "/iterator").map(str::to_owned);
            if page["done"] == true || iterator.is_none() {
                break;
            }
        }
        Ok(wanted)
    }

    /// An event with its bytes; `None` if it was not received from a provider.
    async fn received(
        &self,
        event: &str,
        providers: &HashMap<String, String>,
    ) -> Asked<Option<Received>> {
        let path = PathBuilder::new("/api/v1/becket/event").part(event);
        let life = self.client.get(path.clone().part("explain").text()).await?;
        let text = |pointer: &str| show::field(&life, pointer).map(str::to_owned);
        let (Some(source), Some(method)) = (text("/event/source"), text("/request/method")) else {
            return Ok(None);
        };
        let Some(provider) = providers.get(&source) else { return Ok(None) };
        let stream = self.client.open(path.part("body").text(), "application/octet-stream").await?;
        let body = stream.collect().await.map_err(|error| {
            Failure::unreachable(format!("the body of {event} broke off: {error}"))
        })?;
        let pair = |pair: &Value| {
            let text = |place: usize| pair[place].as_str().map(str::to_owned);
            Some((text(0)?, text(1)?))
        };
        let answered = show::items(&life, "/attempts")
            .iter()
            .filter(|attempt| attempt["succeeded"] == true)
            .find_map(|attempt| attempt["status"].as_u64());
        Ok(Some(Received {
            id: text("/event/id").unwrap_or_else(|| event.to_owned()),
            provider: provider.clone(),
            source,
            event_type: text("/event/eventType"),
            received_at: text("/event/receivedAt").unwrap_or_default(),
            method,
            path: text("/request/path").unwrap_or_default(),
            headers: show::items(&life, "/request/headers").iter().filter_map(pair).collect(),
            body: body.to_bytes().to_vec(),
            answered: answered.and_then(|status| u16::try_from(status).ok()),
        }))
    }

    fn save(&self, received: &Received, entry: Option<&Entry>) -> Asked<Done> {
        let (recording, _) = record::record(received, entry, &self.rules, MAX_MS);
        let text = recording.to_toml(&received.id, &received.received_at);
        let file = self.args.out.join(record::file_name(received));
        let mut done = Done {
            event: received.id.clone(),
            event_type: received.event_type.clone().unwrap_or_else(|| "-".to_owned()),
            file: file.display().to_string(),
            size: received.body.len() as u64,
            redacted: recording.redacted,
            written: false,
            opaque: std::str::from_utf8(&received.body).is_err(),
        };
        if self.args.print {
            print(&text)?;
            done.written = true;
        } else if self.args.force || !file.exists() {
            let failed = |error: std::io::Error| {
                CliError::new(format!("{} cannot be written: {error}", file.display()))
            };
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder).map_err(failed)?;
            }
            std::fs::write(&file, text).map_err(failed)?;
            done.written = true;
        }
        Ok(done)
    }

    fn tell(&self, all: &[Done]) -> Asked<()> {
        if self.globals.json {
            for done in all {
                show::emit(&as_json(done).to_string())?;
            }
            return Ok(());
        }
        if all.is_empty() {
            eprintln!("there are no such events");
            return Ok(());
        }
        let paint = Paint::for_stdout();
        let mut table = show::Table::new(&["FILE", "TYPE", "SIZE", "REDACTED"]);
        for done in all {
            let redacted = match (done.written, done.opaque, done.redacted.len()) {
                (false, _, _) => paint.dim("there already, left as it is"),
                (_, true, _) => paint.red("the body is no text: look at it yourself"),
                (_, _, 0) => "nothing".to_owned(),
                (_, _, 1) => "1 place".to_owned(),
                (_, _, count) => format!("{count} places"),
            };
            let kind = show::one_line(&done.event_type);
            table.row(vec![done.file.clone(), kind, show::size(done.size), redacted]);
        }
        let written = all.iter().filter(|done| done.written).count();
        if self.args.print {
            eprintln!("{written} printed, none written");
            return Ok(());
        }
        print(&table.render(paint))?;
        let left = all.len() - written;
        let left = if left == 0 {
            String::new()
        } else {
            format!(", {left} left (--force writes them again)")
        };
        eprintln!("\n{written} recorded{left}. Read them before you commit them.");
        Ok(())
    }
}

fn as_json(done: &Done) -> Value {
    json!({
        "event": done.event,
        "eventType": done.event_type,
        "file": done.file,
        "sizeBytes": done.size,
        "written": done.written,
        "redacted": done.redacted,
    })
}

/// The key under which equal values get equal pseudonyms: given, or made once for this user.
fn pseudonym_key() -> Result<[u8; 32], CliError> {
    let env = env_map();
    let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
    if let Some(key) = set("BECKET_PSEUDONYM_KEY") {
        return read_key(key).ok_or_else(|| {
            CliError::usage("BECKET_PSEUDONYM_KEY is no key")
                .hint("give 32 bytes in hexadecimal: openssl rand -hex 32")
        });
    }
    let home = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(home).join(".config")));
    let Some(home) = home else {
        return Err(CliError::usage(
            "there is no place for the key of the pseudonyms: HOME is not set",
        )
        .hint("set BECKET_PSEUDONYM_KEY to 32 bytes in hexadecimal: openssl rand -hex 32"));
    };
    let file = home.join("becket").join("pseudonym.key");
    let failed = |error: std::io::Error| {
        CliError::new(format!("the key of the pseudonyms, {}: {error}", file.display()))
            .hint("or set BECKET_PSEUDONYM_KEY to 32 bytes in hexadecimal: openssl rand -hex 32")
    };
    match std::fs::read_to_string(&file) {
        Ok(text) => read_key(&text).ok_or_else(|| {
            CliError::new(format!("{} holds no key", file.display())).hint(
                "delete it: another is made, and equal values get other pseudonyms than before",
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut key = [0; 32];
            getrandom::fill(&mut key)
                .map_err(|error| CliError::new(format!("no random numbers: {error}")))?;
            if let Some(folder) = file.parent() {
                let mut builder = std::fs::DirBuilder::new();
                builder.recursive(true).mode(0o700).create(folder).map_err(failed)?;
            }
            let mut options = std::fs::OpenOptions::new();
            let mut made =
                options.write(true).create_new(true).mode(0o600).open(&file).map_err(failed)?;
            made.write_all(hex::encode(key).as_bytes()).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

fn read_key(text: &str) -> Option<[u8; 32]> {
    hex::decode(text.trim()).ok()?.try_into().ok()
}

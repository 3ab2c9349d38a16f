//! Sample events: the files of `catalogue/samples`, and the small samples that entries themselves have.
//!
//! A file belongs to the provider of its name. `docs/catalogue.md` has the format; `fill` has the placeholders.
//!
//! Invariants: an event's name is unique within a provider; an entry's own samples are listed where no event of
//! the file has their event type, so that every provider of the catalogue has something to send.

use std::collections::BTreeMap;

use becket_signature::Entry;
use serde::Deserialize;
use serde_json::Value;

use super::TriggerError;

/// Slugs and texts, sorted by slug.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/samples.rs"));

const FORM: &str = "application/x-www-form-urlencoded";
/// How many names are offered for one that is unknown.
const NEAREST_MAX: usize = 3;
/// Names that are less alike than this are not meant.
const ALIKE_MIN: f64 = 0.6;

/// The events of one provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The public document that the fields are known from.
    origin: String,
    /// How delivery ids look.
    #[serde(default = "uuid")]
    delivery_id: String,
    /// Whether bodies are printed over several lines.
    #[serde(default)]
    pretty: bool,
    /// What follows the document in a body.
    #[serde(default)]
    body_end: String,
    /// Headers of every event.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Parts that events share: JSON texts by name.
    #[serde(default)]
    fragments: BTreeMap<String, String>,
    #[serde(rename = "event")]
    events: Vec<Event>,
}

/// One event of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    /// What the user calls it.
    name: String,
    /// The event type that the entry finds in it; the name if absent.
    event_type: Option<String>,
    /// What happened, in one line.
    about: String,
    /// The document, if it is not the file's.
    origin: Option<String>,
    /// How its delivery ids look, if not like the file's.
    delivery_id: Option<String>,
    /// The body as JSON.
    json: Option<String>,
    /// The body as fields of a form, one `name=value` a line, not encoded.
    form: Option<String>,
    /// The name of the handshake that this request is; such a sample is no event.
    handshake: Option<String>,
    query: Option<String>,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

fn uuid() -> String {
    "{{uuid delivery}}".to_owned()
}

/// An event that can be made, with its placeholders.
#[derive(Debug, Clone)]
pub struct Sample {
    pub(super) name: String,
    pub(super) event_type: Option<String>,
    pub(super) delivery_id: String,
    pub(super) method: String,
    pub(super) query: Option<String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) fragments: BTreeMap<String, Value>,
    pub(super) body: Body,
    /// It has no placeholders: its delivery id is written over the old one.
    pub(super) is_plain: bool,
}

/// What a sample's body is.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// A document, printed over several lines or not, with what follows it.
    Json { document: Value, pretty: bool, end: String },
    /// Fields in their order.
    Form(Vec<(String, String)>),
    /// Bytes that are sent as they are, and their content type.
    Raw { bytes: Vec<u8>, content_type: String },
}

/// A line of the list of events.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// What the user calls it.
    pub name: String,
    /// The event type that is found in it; `None` for providers that name none.
    pub event_type: Option<String>,
    /// What happened, in one line.
    pub about: String,
    /// The public document that its fields are known from.
    pub origin: String,
}

impl Sample {
    /// The event's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The event type that a receiver finds in it.
    pub fn event_type(&self) -> Option<&str> {
        self.event_type.as_deref()
    }
}

/// The providers with a file of events.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(slug, _)| *slug)
}

/// A body of the caller's own in place of a sample's, with the headers that the provider's file has for all.
pub fn with_body(
    entry: &Entry,
    event_type: Option<&str>,
    bytes: Vec<u8>,
    content_type: &str,
) -> Result<Sample, TriggerError> {
    let file = file(&entry.slug)?;
    // What the body is like is the caller's; what requests of the provider have besides is the file's.
    let known = file.as_ref().and_then(|file| {
        let wanted = event_type?;
        file.events.iter().find(|event| event.handshake.is_none() && event.is_called(wanted))
    });
    let event_type = known.map_or(event_type, |event| Some(event.event_type()));
    let mut headers = file.as_ref().map(|file| file.headers.clone()).unwrap_or_default();
    headers.extend(known.iter().flat_map(|event| event.headers.clone()));
    Ok(Sample {
        name: event_type.unwrap_or("body").to_owned(),
        event_type: event_type.map(str::to_owned),
        delivery_id: file.map_or_else(uuid, |file| file.delivery_id),
        method: "POST".to_owned(),
        query: None,
        headers,
        fragments: BTreeMap::new(),
        body: Body::Raw { bytes, content_type: content_type.to_owned() },
        is_plain: false,
    })
}

/// What can be triggered of a provider, in the order of the file.
pub fn listed(entry: &Entry) -> Result<Vec<Listed>, TriggerError> {
    let mut list = list_of_file(entry)?;
    let own: Vec<Listed> = own_samples(entry, &list)
        .map(|(name, sample)| Listed {
            name,
            event_type: sample.event_type.clone(),
            about: "a small sample of the provider's entry".to_owned(),
            origin: entry.docs_url.clone().unwrap_or_else(|| entry.source.clone()),
        })
        .collect();
    list.extend(own);
    Ok(list)
}

fn list_of_file(entry: &Entry) -> Result<Vec<Listed>, TriggerError> {
    let Some(file) = file(&entry.slug)? else { return Ok(Vec::new()) };
    let events = file.events.iter().filter(|event| event.handshake.is_none());
    let listed = events.map(|event| Listed {
        name: event.name.clone(),
        event_type: Some(event.event_type().to_owned()),
        about: event.about.clone(),
        origin: event.origin.clone().unwrap_or_else(|| file.origin.clone()),
    });
    Ok(listed.collect())
}

/// The event of this name or event type. `None` if there is none; [`nearest`] says what may have been meant.
pub fn sample(entry: &Entry, wanted: &str) -> Result<Option<Sample>, TriggerError> {
    let list = listed(entry)?;
    let exact = list.iter().find(|event| event.name == wanted);
    let found =
        exact.or_else(|| list.iter().find(|event| event.event_type.as_deref() == Some(wanted)));
    let Some(found) = found else { return Ok(None) };
    if let Some(file) = file(&entry.slug)?
        && let Some(event) =
            file.events.iter().find(|event| event.name == found.name && event.handshake.is_none())
    {
        return event.sample(&entry.slug, &file).map(Some);
    }
    let of_file = list_of_file(entry)?;
    let mut own = own_samples(entry, &of_file);
    Ok(own.find(|(name, _)| *name == found.name).map(|(name, sample)| of_entry(name, sample)))
}

/// The request of a handshake, if the provider's file has one.
pub(super) fn handshake(slug: &str, name: &str) -> Result<Option<Sample>, TriggerError> {
    let Some(file) = file(slug)? else { return Ok(None) };
    let event = file.events.iter().find(|event| event.handshake.as_deref() == Some(name));
    event.map(|event| event.sample(slug, &file)).transpose()
}

/// Names like the one that was asked for, the likeliest first.
pub fn nearest(entry: &Entry, wanted: &str) -> Result<Vec<String>, TriggerError> {
    let wanted = wanted.to_lowercase();
    let mut scored: Vec<(f64, String)> = listed(entry)?
        .into_iter()
        .map(|event| {
            let name = event.name.to_lowercase();
            let holds = wanted.len() >= 3 && (name.contains(&wanted) || wanted.contains(&name));
            let alike = strsim::jaro_winkler(&name, &wanted);
            (if holds { 1.0 + alike } else { alike }, event.name)
        })
        .filter(|(score, _)| *score >= ALIKE_MIN)
        .collect();
    scored.sort_by(|one, other| other.0.total_cmp(&one.0));
    Ok(scored.into_iter().take(NEAREST_MAX).map(|(_, name)| name).collect())
}

/// The entry's samples whose event type the file has not, with names.
fn own_samples<'e>(
    entry: &'e Entry,
    known: &[Listed],
) -> impl Iterator<Item = (String, &'e becket_signature::Sample)> + use<'e> {
    let known: Vec<String> = known
        .iter()
        .flat_map(|event| [Some(event.name.clone()), event.event_type.clone()])
        .flatten()
        .collect();
    let mut used: Vec<String> = Vec::new();
    entry.samples().iter().filter_map(move |sample| {
        let name = sample.event_type.clone().unwrap_or_else(|| "sample".to_owned());
        let nameless_beside_others = sample.event_type.is_none() && !known.is_empty();
        if known.contains(&name) || nameless_beside_others {
            return None;
        }
        let count = used.iter().filter(|other| **other == name).count();
        used.push(name.clone());
        Some((if count == 0 { name } else { format!("{name}-{}", count + 1) }, sample))
    })
}

fn of_entry(name: String, sample: &becket_signature::Sample) -> Sample {
    let bytes = sample.body_bytes().into_owned();
    let body = if sample.content_type == FORM {
        Body::Form(url::form_urlencoded::parse(&bytes).into_owned().collect())
    } else {
        match serde_json::from_slice(&bytes) {
            Ok(document) if is_json(&sample.content_type) => {
                Body::Json { document, pretty: false, end: String::new() }
            }
            _ => Body::Raw { bytes, content_type: sample.content_type.clone() },
        }
    };
    Sample {
        name,
        event_type: sample.event_type.clone(),
        delivery_id: uuid(),
        method: sample.method.clone(),
        query: sample.query.clone(),
        headers: sample.headers.clone(),
        fragments: BTreeMap::new(),
        body,
        is_plain: true,
    }
}

fn is_json(content_type: &str) -> bool {
    content_type.starts_with("application/json")
}

fn file(slug: &str) -> Result<Option<File>, TriggerError> {
    let Ok(at) = FILES.binary_search_by(|(known, _)| known.cmp(&slug)) else { return Ok(None) };
    toml::from_str(FILES[at].1).map(Some).map_err(|error| TriggerError::Sample {
        sample: slug.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })
}

impl Event {
    fn event_type(&self) -> &str {
        self.event_type.as_deref().unwrap_or(&self.name)
    }

    fn is_called(&self, wanted: &str) -> bool {
        self.name == wanted || self.event_type() == wanted
    }

    fn sample(&self, slug: &str, file: &File) -> Result<Sample, TriggerError> {
        let wrong = |message: String| TriggerError::Sample {
            sample: format!("{slug} {}", self.name),
            message,
        };
        let read = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| e.to_string());
        let body = match (&self.json, &self.form) {
            (Some(json), None) => Body::Json {
                document: read(json).map_err(wrong)?,
                pretty: file.pretty,
                end: file.body_end.clone(),
            },
            (None, Some(form)) => Body::Form(fields(form).map_err(wrong)?),
            (None, None) => Body::Raw { bytes: Vec::new(), content_type: String::new() },
            (Some(_), Some(_)) => return Err(wrong("it has `json` and `form`".to_owned())),
        };
        let fragments = file
            .fragments
            .iter()
            .map(|(name, text)| Ok((name.clone(), read(text)?)))
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        let mut headers = file.headers.clone();
        headers.extend(self.headers.clone());
        Ok(Sample {
            name: self.name.clone(),
            event_type: Some(self.event_type().to_owned()),
            delivery_id: self.delivery_id.clone().unwrap_or_else(|| file.delivery_id.clone()),
            method: self.method.clone().unwrap_or_else(|| "POST".to_owned()),
            query: self.query.clone(),
            headers,
            fragments,
            body,
            is_plain: false,
        })
    }
}

fn fields(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let pair = line.split_once('=').ok_or_else(|| format!("`{line}` has no `=`"))?;
            Ok((pair.0.trim().to_owned(), pair.1.to_owned()))
        })
        .collect()
}

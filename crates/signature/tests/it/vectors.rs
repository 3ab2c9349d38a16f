//! Runs every vector of `catalogue/vectors`, and asserts that proven entries have enough of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use becket_signature::{
    Catalogue, Credentials, Entry, HandshakeAnswer, RequestView, Status, Verdict, Verifier,
    VerifierOptions,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    pub name: String,
    pub entry: Option<String>,
    #[serde(default)]
    pub secrets: Vec<String>,
    #[serde(default)]
    pub public_keys: Vec<String>,
    #[serde(default)]
    pub credentials: BTreeMap<String, String>,
    pub method: String,
    pub url: String,
    pub public_url: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub body_base64: String,
    pub verify_at: i64,
    pub expect: String,
    pub refusal: Option<String>,
    pub secret_index: Option<usize>,
    pub facts: Option<ExpectedFacts>,
    /// Absent: not looked at; null: no answer.
    #[serde(default, deserialize_with = "present")]
    pub handshake: Option<Option<ExpectedAnswer>>,
    pub origin: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFacts {
    event_type: Option<String>,
    delivery_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedAnswer {
    status: u16,
    body: String,
    captured: Option<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<ExpectedAnswer>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

pub fn catalogue_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogue")
}

pub fn vectors() -> Vec<(String, Vec<Vector>)> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(catalogue_folder().join("vectors")).expect("the folder is there")
    {
        let path = file.expect("is readable").path();
        let slug = path.file_stem().expect("has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("is readable");
        let list = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{slug}: {error}"));
        all.push((slug, list));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

impl Vector {
    pub fn headers(&self) -> HeaderMap {
        self.headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().expect("a header name");
                (name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"))
            })
            .collect()
    }

    pub fn body(&self) -> Vec<u8> {
        STANDARD.decode(&self.body_base64).expect("base64")
    }

    pub fn entry(&self, slug: &str) -> Arc<Entry> {
        match &self.entry {
            Some(text) => Arc::new(Entry::from_toml(text).unwrap_or_else(|e| panic!("{e}"))),
            None => Catalogue::builtin().get(slug).expect("is in the catalogue"),
        }
    }

    pub fn verifier(&self, slug: &str) -> Verifier {
        let credentials = Credentials::new(
            self.secrets.clone(),
            self.public_keys.clone(),
            self.credentials.clone(),
        );
        let options =
            VerifierOptions { public_url: self.public_url.clone(), ..VerifierOptions::default() };
        Verifier::new(self.entry(slug), &credentials, &options)
            .unwrap_or_else(|error| panic!("{slug} / {}: {error}", self.name))
    }
}

#[test]
fn every_vector_gets_its_verdict() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (slug, list) in vectors() {
        for vector in list {
            count += 1;
            assert!(!vector.origin.is_empty(), "{slug} / {} has no origin", vector.name);
            if let Err(problem) = run(&slug, &vector) {
                wrong.push(format!("{slug} / {}: {problem}", vector.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 200, "only {count} vectors were found");
}

fn run(slug: &str, vector: &Vector) -> Result<(), String> {
    let (headers, body) = (vector.headers(), vector.body());
    let request =
        RequestView { method: &vector.method, url: &vector.url, headers: &headers, body: &body };
    let verifier = vector.verifier(slug);
    let verdict = verifier.verify(&request, vector.verify_at);
    let expected = match vector.expect.as_str() {
        "genuine" => "genuine",
        "refused" => vector.refusal.as_deref().ok_or("no refusal is named")?,
        other => return Err(format!("`{other}` is no verdict")),
    };
    if verdict.code() != expected {
        return Err(format!("{} instead of {expected}", verdict.code()));
    }
    if let (Some(index), Verdict::Genuine(genuine)) = (vector.secret_index, &verdict)
        && genuine.secret_index != Some(index)
    {
        return Err(format!("key {:?} instead of {index}", genuine.secret_index));
    }
    if let Some(wanted) = &vector.facts {
        let facts = verifier.facts(&request);
        if facts.event_type != wanted.event_type
            || (wanted.delivery_id.is_some() && facts.delivery_id != wanted.delivery_id)
        {
            return Err(format!("{facts:?} instead of {wanted:?}"));
        }
    }
    let explanation = verifier.explain(&request, vector.verify_at);
    if explanation.verdict != verdict
        || explanation.sentence.is_empty()
        || explanation.likely_cause.is_some() == verdict.is_genuine()
    {
        return Err(format!("the explanation does not fit: {explanation:?}"));
    }
    let answer = verifier.handshake(&request, vector.verify_at);
    match &vector.handshake {
        None => Ok(()),
        Some(wanted) => compare(answer.as_ref(), wanted.as_ref()),
    }
}

fn compare(
    answer: Option<&HandshakeAnswer>,
    wanted: Option<&ExpectedAnswer>,
) -> Result<(), String> {
    match (answer, wanted) {
        (None, None) => Ok(()),
        (Some(answer), Some(wanted))
            if answer.status == wanted.status
                && answer.body == wanted.body.as_bytes()
                && answer.captured.as_ref().map(|captured| &captured.value)
                    == wanted.captured.as_ref() =>
        {
            Ok(())
        }
        _ => Err(format!("the handshake's answer is {answer:?}, not {wanted:?}")),
    }
}

#[test]
fn proven_entries_have_valid_and_invalid_vectors() {
    let all: BTreeMap<String, Vec<Vector>> = vectors().into_iter().collect();
    for summary in Catalogue::builtin().list() {
        if summary.status != Status::Proven {
            continue;
        }
        let list = all.get(&summary.slug).map(Vec::as_slice).unwrap_or_default();
        let count = |expect: &str| list.iter().filter(|vector| vector.expect == expect).count();
        assert!(count("genuine") >= 1, "{} has no valid vector", summary.slug);
        assert!(count("refused") >= 3, "{} has too few invalid vectors", summary.slug);
    }
}

//! `becket providers reference`: the pages of `docs/providers.md` and `docs/providers/`, made from the entries.
//!
//! Invariant: a page is a pure function of the catalogue, so that a test can compare what is committed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use becket_signature::{
    Catalogue, Class, CredentialKind, Entry, Proof, Status, unsigned_body_warning,
};

use super::super::{CliError, print};
use super::proof_words;

/// Writes the pages into a folder, or prints the list when there is none.
pub(super) fn run(out: Option<&Path>) -> Result<ExitCode, CliError> {
    let pages = pages();
    let Some(out) = out else {
        return print(pages.get("providers.md").map_or("", String::as_str));
    };
    for (name, text) in &pages {
        let file = out.join(name);
        let written = file
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&file, text));
        written.map_err(|error| {
            CliError::new(format!("{} cannot be written: {error}", file.display()))
        })?;
    }
    eprintln!("{} pages written", pages.len());
    Ok(ExitCode::SUCCESS)
}

/// The text of every page by its path below `docs`.
fn pages() -> BTreeMap<String, String> {
    let catalogue = Catalogue::builtin();
    let entries: Vec<_> = catalogue.slugs().filter_map(|slug| catalogue.get(slug)).collect();
    let mut pages = BTreeMap::new();
    pages.insert("providers.md".to_owned(), list(entries.iter().map(AsRef::as_ref)));
    for entry in &entries {
        let page = pages.entry(page_of(entry)).or_insert_with(|| {
            "<!-- Made by `becket providers reference --out docs` from catalogue/. -->\n\n\
             # Setting up providers\n\n[All providers](../providers.md)\n"
                .to_owned()
        });
        page.push_str(&section(entry));
    }
    pages
}

/// One page a first letter: short enough to read, few enough to keep.
fn page_of(entry: &Entry) -> String {
    format!("providers/{}.md", entry.slug.chars().next().unwrap_or('_'))
}

fn list<'e>(entries: impl Iterator<Item = &'e Entry> + Clone) -> String {
    let count = |wanted: fn(&Entry) -> bool| entries.clone().filter(|entry| wanted(entry)).count();
    let by = |proof: Proof| entries.clone().filter(|entry| entry.proof == Some(proof)).count();
    let mut text = format!(
        "<!-- Made by `becket providers reference --out docs` from catalogue/. -->\n\n# Providers\n\n\
         **{} proven, {} declared.**\n\n\
         - **Proven** means that something of the provider's own agrees with the entry, and that vectors, right and\n  \
         wrong ones, are run in every test of Becket and by `becket providers test`: {} by vectors that the provider's\n  \
         SDK made or judged, {} by vectors that the provider's document prints, and {} by the provider's own text for\n  \
         the very scheme of another proven entry.\n\
         - **Declared** entries are written from documents, the provider's or others'; try them with a test event\n  \
         before you rely on them, and tell us.\n\n\
         What a signature does not cover is in the last column. [catalogue.md](catalogue.md) has the format of entries.\n\n\
         | slug | provider | status | signature | beware |\n| --- | --- | --- | --- | --- |\n",
        count(|entry| entry.status == Status::Proven),
        count(|entry| entry.status == Status::Declared),
        by(Proof::Sdk),
        by(Proof::Document),
        by(Proof::Shared),
    );
    for entry in entries {
        let beware = match unsigned_body_warning(entry) {
            None => "",
            Some(_) if entry.schemes.iter().any(|scheme| scheme.class == Class::None) => {
                "nothing is verified"
            }
            Some(_) if entry.schemes.iter().all(|scheme| is_token(scheme.class)) => {
                "a token, no signature"
            }
            Some(_) => "the body is not signed",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| [`{slug}`]({page}#{slug}) | {} | {} | {} | {beware} |",
            escaped(entry.name()),
            proof_words(entry),
            escaped(&signatures(entry)),
            slug = entry.slug,
            page = page_of(entry),
        );
    }
    text
}

fn is_token(class: Class) -> bool {
    matches!(class, Class::Token | Class::Basic)
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Class and hash of each scheme, each once.
fn signatures(entry: &Entry) -> String {
    let mut all: Vec<String> = Vec::new();
    for scheme in &entry.schemes {
        let digest = scheme.digest.map(|digest| format!("-{digest:?}").to_lowercase());
        let text = format!("{}{}", scheme.class.name(), digest.unwrap_or_default());
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all.join(", ")
}

fn section(entry: &Entry) -> String {
    let mut text =
        format!("\n## {}\n\n**{}** ({})\n", entry.slug, entry.name(), proof_words(entry));
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "\n{label}: {value}");
        }
    };
    if let Some(url) = &entry.docs_url {
        line("The provider's page", &format!("<{url}>"));
    }
    line("Facts from", entry.source());
    if let Some(like) = &entry.like {
        line("Same scheme as", &format!("`{like}`"));
    }
    line("Often described otherwise", entry.corrects.as_deref().unwrap_or(""));
    line("Beware", unsigned_body_warning(entry).unwrap_or(""));
    line("Sends again", &entry.retries);
    if let Some(timeout_ms) = entry.timeout_ms {
        line("Waits for an answer", &format!("{} s", timeout_ms as f64 / 1000.0));
    }
    if let Some(ips) = &entry.ips {
        let url = ips.url.as_deref().map(|url| format!("<{url}>"));
        let list = ips.networks.join(", ");
        let all: Vec<String> = url.into_iter().chain((!list.is_empty()).then_some(list)).collect();
        line("Sends from", &all.join("; "));
    }
    if !entry.credentials().is_empty() {
        text.push_str("\n| you give | as | what it is |\n| --- | --- | --- |\n");
    }
    for spec in entry.credentials() {
        let key = match spec.kind {
            CredentialKind::Secret => "`secrets`".to_owned(),
            CredentialKind::PublicKey => "`public_keys`".to_owned(),
            CredentialKind::Named => format!("`credentials.{}`", spec.name),
        };
        let optional = if spec.optional { ", optional" } else { "" };
        let _ = writeln!(text, "| {}{optional} | {key} | {} |", spec.name, escaped(&spec.label));
    }
    if !entry.guide().is_empty() {
        let _ = writeln!(text, "\n{}", entry.guide().trim());
    }
    text
}

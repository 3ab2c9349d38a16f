//! The entries that come with Becket.
//!
//! Invariants: the texts are compiled in; each is parsed when it is first asked for, so that starting costs
//! nothing. `build.rs` lists the folder; `tests/catalogue.rs` reads every entry.

use std::sync::{Arc, LazyLock, OnceLock};

use serde::Serialize;

use crate::entry::{Entry, Proof, Status};

struct Builtin {
    slug: &'static str,
    text: &'static str,
    parsed: OnceLock<Arc<Entry>>,
}

/// Slugs and texts, sorted by slug.
static TEXTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalogue_list.rs"));

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue {
    entries: TEXTS
        .iter()
        .map(|&(slug, text)| Builtin { slug, text, parsed: OnceLock::new() })
        .collect(),
});

/// The built-in providers.
pub struct Catalogue {
    entries: Vec<Builtin>,
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Catalogue").field("entries", &self.entries.len()).finish()
    }
}

/// One line of the list of providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntrySummary {
    /// The name used in configuration.
    pub slug: String,
    /// The name as people write it.
    pub name: String,
    /// Whether the entry is proven.
    pub status: Status,
    /// What proves it.
    pub proof: Option<Proof>,
}

impl Catalogue {
    /// The catalogue of this build.
    pub fn builtin() -> &'static Catalogue {
        &CATALOGUE
    }

    /// The entry of this slug.
    pub fn get(&self, slug: &str) -> Option<Arc<Entry>> {
        Some(Arc::clone(self.find(slug)?.entry()))
    }

    /// All slugs in alphabetical order.
    pub fn slugs(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|builtin| builtin.slug)
    }

    /// All entries in one line each.
    pub fn list(&self) -> Vec<EntrySummary> {
        self.entries
            .iter()
            .map(|builtin| {
                let entry = builtin.entry();
                EntrySummary {
                    slug: entry.slug.clone(),
                    name: entry.name.clone(),
                    status: entry.status,
                    proof: entry.proof,
                }
            })
            .collect()
    }

    /// The text of an entry as it was written, to show or to start an own entry from.
    pub fn text(&self, slug: &str) -> Option<&'static str> {
        self.find(slug).map(|builtin| builtin.text)
    }

    fn find(&self, slug: &str) -> Option<&Builtin> {
        let position = self.entries.binary_search_by(|builtin| builtin.slug.cmp(slug)).ok()?;
        Some(&self.entries[position])
    }
}

impl Builtin {
    #[expect(
        clippy::panic,
        reason = "a built-in text that cannot be read is a build defect, and a test reads them all"
    )]
    fn entry(&self) -> &Arc<Entry> {
        self.parsed.get_or_init(|| match Entry::from_toml(self.text) {
            Ok(entry) => Arc::new(entry),
            Err(error) => panic!("catalogue/{}.toml: {error}", self.slug),
        })
    }
}

//! The entries that come with Becket.
//!
//! Invariants: the texts are compiled in; each is parsed when it is first asked for, so that starting costs
//! nothing. The list below is the only place that names files; `tests/catalogue.rs` compares it with the folder.

use std::sync::{Arc, OnceLock};

use serde::Serialize;

use crate::entry::{Entry, Status};

struct Builtin {
    slug: &'static str,
    text: &'static str,
    parsed: OnceLock<Arc<Entry>>,
}

macro_rules! builtin {
    ($($slug:literal),* $(,)?) => {
        [$(Builtin {
            slug: $slug,
            text: include_str!(concat!("../../../catalogue/", $slug, ".toml")),
            parsed: OnceLock::new(),
        }),*]
    };
}

static CATALOGUE: Catalogue = Catalogue { entries: &BUILTIN };

static BUILTIN: [Builtin; 24] = builtin![
    "basic",
    "clerk",
    "discord",
    "facebook",
    "github",
    "gitlab",
    "hmac",
    "linear",
    "none",
    "openai",
    "paddle",
    "resend",
    "sanity",
    "sendgrid",
    "shopify",
    "slack",
    "square",
    "standardwebhooks",
    "stripe",
    "svix",
    "token",
    "twilio",
    "whatsapp",
    "zoom",
];

/// The built-in providers.
pub struct Catalogue {
    entries: &'static [Builtin],
}

/// One line of the list of providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntrySummary {
    /// The name used in configuration.
    pub slug: String,
    /// The name as people write it.
    pub name: String,
    /// Whether vectors prove the entry.
    pub status: Status,
}

impl Catalogue {
    /// The catalogue of this build.
    pub fn builtin() -> &'static Catalogue {
        &CATALOGUE
    }

    /// The entry of this slug.
    pub fn get(&self, slug: &str) -> Option<Arc<Entry>> {
        let position = self.entries.binary_search_by(|builtin| builtin.slug.cmp(slug)).ok()?;
        Some(Arc::clone(self.entries[position].entry()))
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
                }
            })
            .collect()
    }

    /// The text of an entry as it was written, to show or to start an own entry from.
    pub fn text(&self, slug: &str) -> Option<&'static str> {
        self.entries.iter().find(|builtin| builtin.slug == slug).map(|builtin| builtin.text)
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

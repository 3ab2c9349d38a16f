//! Filters: which events an endpoint wants, by their headers, query, body, path, method and type.
//!
//! A filter is a document (JSON, TOML, or JSON text inside TOML) in the syntax of Hookdeck's filters:
//! `{"body": {"ref": "refs/heads/main", "commits": {"author": {"$neq": "bot"}}}}`. It is compiled
//! once, which finds everything that can be wrong with it; asking it about an event is pure, and the
//! cost is bounded by the size of the filter times the size of the event. An event that is refused is
//! explained: which clause, what it wants, what was found.
//!
//! Invariants: no regular expression, no recursion deeper than the limits, no value of an event ever
//! becomes a condition. A body is read at most once for all filters, and not at all if none asks.
//!
//! Deliberately absent: deciding what happens to a refused event (`model` and `store` plan
//! deliveries). `docs/guides/filters.md` is the reference, with the differences from Hookdeck's
//! package `simple-json-match`, which are tested in `tests/oracle.rs`.

mod compile;
mod error;
mod evaluate;
mod json;
mod number;
mod reference;
mod refused;
mod subject;

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub use compile::{MAX_BYTES, MAX_DEPTH};
pub use error::FilterError;
pub use refused::{MAX_SHOWN_BYTES, Refused};
pub use subject::{Request, Subject};

use compile::Compiled;
use evaluate::Evaluator;

/// A compiled filter; copies share what was compiled, and are equal if their documents are.
#[derive(Debug, Clone)]
pub struct Filter {
    compiled: Arc<Compiled>,
}

impl Filter {
    /// Compiles a document.
    ///
    /// # Errors
    /// [`FilterError`] with the path of the clause that cannot be used.
    pub fn from_document(document: Value) -> Result<Self, FilterError> {
        Ok(Self { compiled: Arc::new(Compiled::new(document)?) })
    }

    /// Compiles a JSON text.
    ///
    /// # Errors
    /// [`FilterError`] if it is no JSON, or with the path of the clause that cannot be used.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_BYTES {
            return Err(FilterError::TooLarge { bytes: text.len(), max: MAX_BYTES });
        }
        let document = serde_json::from_str(text)
            .map_err(|error| FilterError::NotJson { problem: error.to_string() })?;
        Self::from_document(document)
    }

    /// The document as it was written.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.compiled.document
    }

    /// Asks whether an event passes.
    ///
    /// # Errors
    /// [`Refused`] with the first clause that does not hold.
    pub fn check(&self, subject: &Subject<'_>) -> Result<(), Refused> {
        self.check_counting(subject).0
    }

    /// The same, with the number of steps it took: conditions, values and names looked at, and one
    /// for every 16 bytes of text compared.
    pub fn check_counting(&self, subject: &Subject<'_>) -> (Result<(), Refused>, u64) {
        let mut evaluator = Evaluator::new(&self.compiled, subject);
        let result = match evaluator.run() {
            Ok(()) => Ok(()),
            Err(fail) => Err(refused::explain(&self.compiled, subject, &fail)),
        };
        (result, evaluator.steps)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.compiled, &other.compiled) || self.document() == other.document()
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let filter = match Value::deserialize(deserializer)? {
            Value::String(text) => Self::parse(&text),
            document => Self::from_document(document),
        };
        filter.map_err(serde::de::Error::custom)
    }
}

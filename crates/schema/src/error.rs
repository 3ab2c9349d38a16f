//! What can be wrong with a schema.

/// A JSON Schema that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the JSON Schema cannot be used: at `{at}`: {problem}; schemas are not fetched from elsewhere, \
     so everything has to be in the one document"
)]
pub struct SchemaError {
    /// Where in the schema, as a JSON pointer.
    pub at: String,
    /// What is wrong.
    pub problem: String,
}

//! What can go wrong with a schema, with making an example, and with reading an OpenAPI document.
//!
//! Every error names a place as a JSON pointer and has a stable code. None tells a payload's values.

/// A JSON Schema that cannot be used to judge payloads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is longer than [`crate::MAX_SCHEMA_BYTES`].
    #[error(
        "the JSON Schema has {bytes} bytes, and at most {most} are allowed; split the event type or shorten descriptions"
    )]
    TooLong {
        /// Its length in bytes, as compact JSON.
        bytes: usize,
        /// The limit in bytes.
        most: usize,
    },
    /// Its JSON is nested deeper than [`crate::MAX_SCHEMA_DEPTH`].
    #[error(
        "the JSON Schema is nested deeper than {most} levels; move parts to `$defs` and refer to them"
    )]
    TooDeep {
        /// The limit in levels.
        most: usize,
    },
    /// Its references multiply each other, so that checking a payload would take too long.
    #[error(
        "the JSON Schema cannot be used: at `{at}`: {problem}; checking a payload could take very long, so refer to fewer alternatives at one place"
    )]
    TooCostly {
        /// Where in the schema, as a JSON pointer.
        at: String,
        /// What is too much.
        problem: String,
    },
    /// It refers to something that is not in the one document.
    #[error(
        "the JSON Schema cannot be used: at `{at}`: {problem}; schemas are not fetched from elsewhere, so put the part into `$defs` and refer to it as `#/$defs/...`"
    )]
    Reference {
        /// Where in the schema, as a JSON pointer.
        at: String,
        /// What cannot be resolved.
        problem: String,
    },
    /// It is no valid JSON Schema of its draft.
    #[error("the JSON Schema cannot be used: at `{at}`: {problem}")]
    Invalid {
        /// Where in the schema, as a JSON pointer.
        at: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}

impl SchemaError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "schema_too_long",
            Self::TooDeep { .. } => "schema_too_deep",
            Self::TooCostly { .. } => "schema_too_costly",
            Self::Reference { .. } => "schema_reference",
            Self::Invalid { .. } => "schema_invalid",
        }
    }

    /// Where in the schema, as a JSON pointer; empty for the whole of it.
    #[must_use]
    pub fn at(&self) -> &str {
        match self {
            Self::TooLong { .. } | Self::TooDeep { .. } => "",
            Self::TooCostly { at, .. } | Self::Reference { at, .. } | Self::Invalid { at, .. } => {
                at
            }
        }
    }
}

/// Why no example that fits could be had from a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExampleError {
    /// The schema cannot be used at all.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The example that the schema's author wrote does not fit the schema.
    #[error(
        "the documented example at `{at}` does not fit the schema: {problem}; correct the example or the schema"
    )]
    Documented {
        /// Where the example is in the schema, as a JSON pointer.
        at: String,
        /// The first rule that it breaks.
        problem: String,
    },
    /// No value could be made for a part of the schema.
    #[error("no example could be made: at `{at}`: {problem}; add `examples` to the schema")]
    Unsatisfied {
        /// Where in the schema, as a JSON pointer.
        at: String,
        /// What could not be satisfied.
        problem: String,
    },
}

impl ExampleError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Schema(error) => error.code(),
            Self::Documented { .. } => "example_does_not_fit",
            Self::Unsatisfied { .. } => "example_not_possible",
        }
    }
}

/// Why event types could not be read from an OpenAPI document. `at` is a JSON pointer into it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The text is neither JSON nor YAML, or is larger than [`crate::openapi::MAX_DOCUMENT_BYTES`] and its like.
    #[error("the document cannot be read: line {line}, column {column}: {problem}")]
    Unreadable {
        /// Line of the text, from 1; 0 where the text as a whole is meant.
        line: usize,
        /// Column in characters, from 1; 0 where the line as a whole is meant.
        column: usize,
        /// What is wrong.
        problem: String,
    },
    /// It is another kind of document than OpenAPI 3.
    #[error("the document is not OpenAPI 3.0 or 3.1: {problem}")]
    Version {
        /// What was found instead.
        problem: String,
    },
    /// A part of the document has not the form that it should have.
    #[error("in the OpenAPI document, at `{at}`: {problem}")]
    Malformed {
        /// Where in the document, as a JSON pointer.
        at: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A `$ref` that leads out of the document, to nothing, or round in a circle.
    #[error(
        "in the OpenAPI document, at `{at}`: the reference `{reference}` {problem}; bundle the document into one file first"
    )]
    Reference {
        /// Where in the document, as a JSON pointer.
        at: String,
        /// The reference as written.
        reference: String,
        /// Why it cannot be followed.
        problem: String,
    },
    /// A webhook's schema that cannot judge payloads.
    #[error("in the OpenAPI document, at `{at}`: {error}")]
    Schema {
        /// Where in the document the schema is, as a JSON pointer.
        at: String,
        /// What is wrong with it; its place is within the event type's schema.
        error: SchemaError,
    },
}

impl ImportError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "openapi_unreadable",
            Self::Version { .. } => "openapi_version",
            Self::Malformed { .. } => "openapi_malformed",
            Self::Reference { .. } => "openapi_reference",
            Self::Schema { .. } => "openapi_schema",
        }
    }
}

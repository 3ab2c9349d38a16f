//! What can be wrong with a filter: each error names the clause by its path and says what would do.

/// A filter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The text is no JSON.
    #[error(
        "the filter is not JSON: {problem}; it looks like {{\"body\": {{\"ref\": \"refs/heads/main\"}}}}"
    )]
    NotJson {
        /// What the parser says, with line and column.
        problem: String,
    },
    /// The document, or a condition of `$or`, `$and`, `$not` beside it, is no object.
    #[error(
        "`{clause}` is {found}; it takes an object with headers, query, body, path, method or event_type"
    )]
    NotAnObject {
        /// Where.
        clause: String,
        /// What stands there.
        found: &'static str,
    },
    /// A part of an event that does not exist.
    #[error("`{clause}` is no part of an event; {hint}")]
    UnknownPart {
        /// Where.
        clause: String,
        /// The nearest part, or all of them.
        hint: String,
    },
    /// An operator that does not exist.
    #[error(
        "`{clause}` is no operator; {hint}, and a field of that name is written with a second $"
    )]
    UnknownOperator {
        /// Where.
        clause: String,
        /// The nearest operator, or all of them.
        hint: String,
    },
    /// An operator with a value that it could never use.
    #[error("`{clause}` takes {wants}, not {found}")]
    BadOperand {
        /// Where.
        clause: String,
        /// What the operator takes.
        wants: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A path of `$ref` that cannot be followed.
    #[error(
        "`{clause}` cannot be followed: {problem}; it takes a path such as order.items[0].id or items[$index].id"
    )]
    BadReference {
        /// Where.
        clause: String,
        /// What is wrong, with the place in the path.
        problem: String,
    },
    /// Objects and lists are nested too deeply.
    #[error(
        "the filter is nested deeper than {max} levels at `{clause}`; use $and or $or with flat conditions"
    )]
    TooDeep {
        /// Where.
        clause: String,
        /// The limit.
        max: usize,
    },
    /// The document is too long.
    #[error("the filter has {bytes} bytes as JSON; at most {max} are allowed")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

impl FilterError {
    /// A stable code for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "filter_not_json",
            Self::NotAnObject { .. } => "filter_not_an_object",
            Self::UnknownPart { .. } => "filter_unknown_part",
            Self::UnknownOperator { .. } => "filter_unknown_operator",
            Self::BadOperand { .. } => "filter_bad_operand",
            Self::BadReference { .. } => "filter_bad_reference",
            Self::TooDeep { .. } => "filter_too_deep",
            Self::TooLarge { .. } => "filter_too_large",
        }
    }
}

/// The nearest of the known words, or all of them.
pub(crate) fn hint(word: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance * 2 <= candidate.len());
    match nearest {
        Some((_, candidate)) => format!("did you mean {candidate}"),
        None => format!("there are {}", known.join(", ")),
    }
}

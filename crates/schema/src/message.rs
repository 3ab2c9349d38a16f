//! What a broken rule is called for people. Everything named comes from the schema: names of missing
//! properties, allowed values, limits. Nothing of the payload is repeated, because the sentence
//! reaches logs and answers.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::types::JsonType;
use serde_json::Value;

use crate::guard::shorten;

/// How many allowed values a message lists.
const LISTED: usize = 12;

/// The sentence for a broken rule.
pub(crate) fn of(kind: &ValidationErrorKind) -> String {
    use ValidationErrorKind as Kind;
    match kind {
        Kind::Required { property } => format!("the property {} is missing", plain(property)),
        Kind::Type { kind } => format!("the value has to be {}", types(kind)),
        Kind::Enum { options } => format!("the value has to be one of {}", listed(options)),
        Kind::Constant { expected_value } => {
            format!("the value has to be {}", plain(expected_value))
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unexpected_words(unexpected.len(), "property", "properties")
        }
        Kind::UnevaluatedItems { unexpected } => {
            unexpected_words(unexpected.len(), "item", "items")
        }
        Kind::AdditionalItems { limit } => format!("only the first {limit} items are allowed"),
        Kind::MaxItems { limit } => {
            format!("at most {} allowed", counted(*limit, "item is", "items are"))
        }
        Kind::MinItems { limit } => {
            format!("at least {} needed", counted(*limit, "item is", "items are"))
        }
        Kind::UniqueItems => "all items have to differ from each other".to_owned(),
        Kind::Contains => {
            "too few or too many items are of the kind that has to be there".to_owned()
        }
        Kind::MaxProperties { limit } => {
            format!("at most {} allowed", counted(*limit, "property is", "properties are"))
        }
        Kind::MinProperties { limit } => {
            format!("at least {} needed", counted(*limit, "property is", "properties are"))
        }
        Kind::PropertyNames { error } => {
            format!("a property has a name that is not allowed: {}", of(error.kind()))
        }
        Kind::Minimum { limit } => format!("the number has to be {limit} or more"),
        Kind::Maximum { limit } => format!("the number has to be {limit} or less"),
        Kind::ExclusiveMinimum { limit } => format!("the number has to be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("the number has to be less than {limit}"),
        Kind::MultipleOf { multiple_of } => {
            format!("the number has to be a multiple of {multiple_of}")
        }
        Kind::MinLength { limit } => {
            format!("the text has to have at least {}", counted(*limit, "character", "characters"))
        }
        Kind::MaxLength { limit } => {
            format!("the text has to have at most {}", counted(*limit, "character", "characters"))
        }
        Kind::Pattern { pattern } => format!("the text has to match `{}`", shorten(pattern)),
        Kind::Format { format } => {
            format!("the text has to be in the format `{}`", shorten(format))
        }
        Kind::ContentEncoding { content_encoding } => {
            format!("the text has to be encoded as `{}`", shorten(content_encoding))
        }
        Kind::ContentMediaType { content_media_type } => {
            format!("the text has to hold `{}`", shorten(content_media_type))
        }
        Kind::AnyOf { context } => {
            format!("the value fits none of the {} alternatives", context.len())
        }
        Kind::OneOfNotValid { context } => {
            format!("the value fits none of the {} alternatives, and has to fit one", context.len())
        }
        Kind::OneOfMultipleValid { .. } => {
            "the value fits more than one of the alternatives, and has to fit exactly one"
                .to_owned()
        }
        Kind::Not { .. } => "the value fits what is excluded here".to_owned(),
        Kind::FalseSchema => "nothing is allowed here".to_owned(),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            "the text could not be compared with the pattern".to_owned()
        }
        Kind::FromUtf8 { .. } => "the encoded text has to hold UTF-8".to_owned(),
        Kind::Custom { .. } | Kind::Referencing(_) => "the value breaks this rule".to_owned(),
    }
}

fn unexpected_words(count: usize, one: &str, many: &str) -> String {
    match count {
        0 | 1 => format!("there is one {one} that is not allowed"),
        count => format!("there are {count} {many} that are not allowed"),
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A value of the schema as it would be written, bounded.
fn plain(value: &Value) -> String {
    format!("`{}`", shorten(&value.to_string()))
}

fn listed(options: &Value) -> String {
    let Some(options) = options.as_array() else { return plain(options) };
    let mut words: Vec<String> = options.iter().take(LISTED).map(plain).collect();
    if options.len() > LISTED {
        words.push(format!("{} more", options.len() - LISTED));
    }
    words.join(", ")
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => article(*one).to_owned(),
        TypeKind::Multiple(set) => {
            let words: Vec<&str> = set.iter().map(article).collect();
            words.join(" or ")
        }
    }
}

fn article(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "an array",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "an integer",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

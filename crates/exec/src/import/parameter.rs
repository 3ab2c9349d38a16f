//! References to values of a request: `{ "source": "payload", "name": "head_commit.id" }`.

use super::read::{Fields, Written};

/// A value of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) source: Source,
    pub(super) name: String,
    /// The variable that it is put into, if it is for the environment.
    pub(super) variable: Option<String>,
    /// Further headers that are signed behind the body.
    pub(super) signed_headers: Vec<String>,
    /// The text of a `string`, or of what is compared, before variables are put in.
    pub(super) written: Option<Written>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Header,
    Query,
    Payload,
    Request,
    Text,
    WholePayload,
    WholeBody,
    WholeHeaders,
    WholeQuery,
}

const KNOWN: [&str; 5] =
    ["source", "name", "envname", "base64decode", "headers-to-add-to-signature-payload"];

impl Parameter {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, String> {
        let source = fields.text("source")?.unwrap_or_default();
        let source = match source.as_str() {
            "header" => Source::Header,
            "url" | "query" => Source::Query,
            "payload" => Source::Payload,
            "request" => Source::Request,
            "string" => Source::Text,
            "entire-payload" => Source::WholePayload,
            "raw-request-body" => Source::WholeBody,
            "entire-headers" => Source::WholeHeaders,
            "entire-query" => Source::WholeQuery,
            "template" => return Err("values made by a Go template have no counterpart".to_owned()),
            "context" => {
                return Err("values made by a `pre-hook-command` have no counterpart".to_owned());
            }
            other => return Err(format!("`{other}` is no source of values")),
        };
        if let Some(unknown) = fields.unknown(&KNOWN).first() {
            return Err(format!("a value has the unknown key `{unknown}`"));
        }
        let headers = fields.list("headers-to-add-to-signature-payload")?;
        let signed_headers = headers.iter().filter_map(|name| name.as_str()).map(str::to_owned);
        Ok(Self {
            source,
            name: fields.text("name")?.unwrap_or_default(),
            variable: fields.text("envname")?.filter(|name| !name.is_empty()),
            signed_headers: signed_headers.collect(),
            written: if source == Source::Text { fields.secret("name")? } else { None },
        })
    }

    /// In the words of the old file.
    pub(super) fn words(&self) -> String {
        match self.source {
            Source::Header => format!("the header {}", self.name),
            Source::Query => format!("the query parameter {}", self.name),
            Source::Payload => format!("the payload's {}", self.name),
            Source::Request => format!("the request's {}", self.name),
            Source::Text => "a fixed text".to_owned(),
            Source::WholePayload => "the whole payload".to_owned(),
            Source::WholeBody => "the body".to_owned(),
            Source::WholeHeaders => "all headers".to_owned(),
            Source::WholeQuery => "the whole query".to_owned(),
        }
    }

    /// The value as a template of ours.
    pub(super) fn template(&self) -> Result<String, String> {
        let missing = |what: &str| Err(format!("{what} cannot be handed to a command"));
        match self.source {
            Source::Header if is_header(&self.name) => {
                Ok(format!("{{{{header.{}}}}}", self.name.to_lowercase()))
            }
            Source::Header => missing(&format!("the header `{}`", self.name)),
            Source::Query => match plain(&self.name) {
                true => Ok(format!("{{{{query.{}}}}}", self.name)),
                false => Ok(format!("{{{{query[{}]}}}}", quoted(&self.name)?)),
            },
            Source::Payload => {
                let path = steps(&self.name)
                    .map(|step| match step {
                        Step::Index(index) => Ok(format!("[{index}]")),
                        Step::Name(name) if plain(name) => Ok(format!(".{name}")),
                        Step::Name(name) => Ok(format!("[{}]", quoted(name)?)),
                    })
                    .collect::<Result<String, String>>()?;
                Ok(format!("{{{{body{path}}}}}"))
            }
            Source::Request if self.name.eq_ignore_ascii_case("method") => {
                Ok("{{event.method}}".to_owned())
            }
            Source::Request => missing(&self.words()),
            Source::Text => Ok(self.name.replace("{{", "{{'{{'}}")),
            Source::WholePayload | Source::WholeBody => Ok("{{body}}".to_owned()),
            Source::WholeHeaders | Source::WholeQuery => missing(&self.words()),
        }
    }
}

/// A step on the way into a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'n> {
    Name(&'n str),
    Index(usize),
}

/// `commits.0.id` as steps. A body that is a list is called `root` there and is itself here.
pub(super) fn steps(name: &str) -> impl Iterator<Item = Step<'_>> {
    let inside_list = name.strip_prefix("root.").filter(|rest| rest.starts_with(char::is_numeric));
    inside_list.unwrap_or(name).split('.').map(|step| match step.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Name(step),
    })
}

fn plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

fn quoted(name: &str) -> Result<String, String> {
    match (name.is_empty(), name.contains('"'), name.contains('\'')) {
        (true, ..) => Err("a value has no name".to_owned()),
        (_, false, _) => Ok(format!("\"{name}\"")),
        (_, _, false) => Ok(format!("'{name}'")),
        _ => Err(format!("the name `{name}` has both kinds of quotes in it")),
    }
}

/// Whether a text can be the name of a header.
pub(super) fn is_header(name: &str) -> bool {
    !name.is_empty() && http::HeaderName::try_from(name).is_ok()
}

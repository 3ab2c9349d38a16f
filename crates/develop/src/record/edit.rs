//! Changing what a recording expects without touching anything else in its file: comments, order and
//! spelling are somebody's.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::file::{lines, one_line};
use super::{RecordError, StatusRule};

/// The file's text with another expectation. A part that is `None` stays as it is; `json` and `body`
/// replace each other.
///
/// # Errors
/// [`RecordError::Format`] if the text is no TOML.
pub fn with_expectation(
    text: &str,
    status: Option<u16>,
    json: Option<&str>,
    body: Option<&str>,
) -> Result<String, RecordError> {
    let document = DeTable::parse(text).map_err(|error| RecordError::Format {
        message: error.to_string().trim_end().to_owned(),
    })?;
    let expect = document.get_ref().get("expect");
    let table = expect.and_then(|expect| match expect.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    });
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    let mut added = String::new();
    let span = |name: &str| table.and_then(|table| table.get(name)).map(toml::Spanned::span);
    let status = status.map(|status| super::file::status_value(&StatusRule::Exactly(status)));
    let values = [
        ("status", status),
        ("json", json.map(lines)),
        ("body", body.map(|body| if body.contains('\n') { lines(body) } else { one_line(body) })),
    ];
    for (name, value) in values {
        let Some(value) = value else { continue };
        match span(name) {
            Some(span) => changes.push((span, value)),
            None => added.push_str(&format!("{name} = {value}\n")),
        }
    }
    if !added.is_empty() {
        let first = table.and_then(|table| table.keys().map(|key| key.span().start).min());
        match first {
            // Behind the heading: what stands before the first key of the table.
            Some(first) => {
                let line = text[..first].rfind('\n').map_or(0, |end| end + 1);
                changes.push((line..line, added));
            }
            None if expect.is_none() => {
                let end = if text.ends_with('\n') { "" } else { "\n" };
                changes.push((text.len()..text.len(), format!("{end}\n[expect]\n{added}")));
            }
            None => {
                let heading = expect.map_or(text.len(), |expect| expect.span().end);
                let line = text[heading..].find('\n').map_or(text.len(), |end| heading + end + 1);
                changes.push((line..line, added));
            }
        }
    }
    changes.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut out = text.to_owned();
    for (range, value) in changes {
        out.replace_range(range, &value);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::Recording;
    use super::*;

    #[test]
    fn only_what_changed_changes() {
        let text = "# mine\nprovider = \"github\"\n\n[expect]\n# why 200\nstatus = 200 # ok\n\
            max_ms = 5\njson = '''\n{\n  \"a\": 1\n}'''\n\n[body]\ntext = '''\n[expect]\nstatus = 1\n'''\n";
        let out = with_expectation(text, Some(500), Some("{\"a\":2}"), None).unwrap();
        assert_eq!(
            out,
            text.replace("status = 200", "status = 500")
                .replace("'''\n{\n  \"a\": 1\n}'''", "'{\"a\":2}'")
        );
    }

    #[test]
    fn what_is_not_there_is_added() {
        for text in [
            "provider = \"x\"\n[expect]\nmax_ms = 1\n[body]\ntext = \"[expect]\"\n",
            "provider = \"x\"\n[expect]\n[body]\ntext = \"a\"\n",
            "provider = \"x\"\n[body]\ntext = \"a\"",
            "provider = \"x\"",
        ] {
            let out = with_expectation(text, Some(201), None, Some("line\nline")).unwrap();
            let read = Recording::parse(&out).unwrap_or_else(|error| panic!("{error}\n{out}"));
            assert_eq!(read.expect.status, StatusRule::Exactly(201), "{out}");
            assert_eq!(read.expect.body.as_deref(), Some("line\nline"), "{out}");
            assert_eq!(read.body, Recording::parse(text).unwrap().body);
        }
    }
}

//! The arguments of a program: templates, and what a value of an event must not become.
//!
//! Invariants: the program's name is fixed; a script for the shell has no fields; a value cannot begin
//! an argument with `-`, which programs take for an option, unless a `--` stands before it or the
//! operator allows it; what the system could not pass on is refused here, with words that help.

use becket_egress::action::template::{Fields, Template};

use crate::ExecError;

/// The longest argument or variable that Linux passes on, in bytes, with its end.
pub(crate) const TEXT_BYTES_MAX: usize = 128 * 1024 - 1;

/// Why a delivery cannot be turned into arguments: a sentence. Trying again would not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable(pub(crate) String);

/// The arguments of a program, parsed.
#[derive(Debug)]
pub(crate) struct Arguments {
    templates: Vec<Template>,
    /// The first argument that options cannot follow any more: the one behind a `--`.
    plain_from: usize,
    allow_option_values: bool,
}

/// Whether a text has fields in it.
#[must_use]
pub fn is_template(text: &str) -> bool {
    text.contains("{{")
}

impl Arguments {
    /// Reads what stands behind the program's name.
    pub(crate) fn parse(texts: &[String], allow_option_values: bool) -> Result<Self, ExecError> {
        let templates = texts
            .iter()
            .enumerate()
            .map(|(index, text)| {
                parse_template(text).map_err(|problem| ExecError::Template {
                    place: format!("argument {} of `command`", index + 1),
                    problem,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let plain_from = texts.iter().position(|text| text == "--").unwrap_or(texts.len());
        Ok(Self { templates, plain_from, allow_option_values })
    }

    /// The arguments for one delivery.
    pub(crate) fn render(&self, fields: &Fields<'_>) -> Result<Vec<String>, Unusable> {
        let mut arguments = Vec::with_capacity(self.templates.len());
        for (index, template) in self.templates.iter().enumerate() {
            let place = format!("argument {}", index + 1);
            let text = template.render_fields(fields);
            let option = text.starts_with('-') && !template.as_str().starts_with('-');
            if option && !self.allow_option_values && index < self.plain_from {
                return Err(Unusable(format!(
                    "{place} would begin with `-`, which a program takes for an option: put \"--\" \
                     before it if the program knows that, or a text, or set allow_option_values"
                )));
            }
            passable(&place, &text)?;
            arguments.push(text);
        }
        Ok(arguments)
    }
}

/// Reads a template and refuses what cannot be passed on.
pub(crate) fn parse_template(text: &str) -> Result<Template, String> {
    if text.contains('\0') {
        return Err("it has a NUL character in it".to_owned());
    }
    Template::parse(text).map_err(|error| error.to_string())
}

/// Whether the system can pass a text on.
pub(crate) fn passable(place: &str, text: &str) -> Result<(), Unusable> {
    if text.contains('\0') {
        return Err(Unusable(format!(
            "{place} has a NUL character in it, which no program can be given; read the payload from \
             standard input"
        )));
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(Unusable(format!(
            "{place} has {} bytes, and the system passes on {TEXT_BYTES_MAX}; read the payload from \
             standard input",
            text.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::tests::request;

    fn rendered(texts: &[&str], allow: bool, body: &str) -> Result<Vec<String>, Unusable> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let request = request(body);
        Arguments::parse(&texts, allow).unwrap().render(&Fields::of(&request))
    }

    #[test]
    fn values_become_arguments_and_never_options() {
        let body = r#"{"a":"main","b":"-rf","c":"x y; rm -rf /","d":"","e":7}"#;
        let ok = |texts: &[&str], expected: &[&str]| {
            assert_eq!(rendered(texts, false, body).unwrap(), expected, "{texts:?}");
        };
        let refused = |texts: &[&str]| {
            let why = rendered(texts, false, body).unwrap_err().0;
            assert!(why.contains("allow_option_values"), "{why}");
        };
        ok(&["--fixed", "{{body.a}}"], &["--fixed", "main"]);
        ok(&["{{body.c}}"], &["x y; rm -rf /"]);
        ok(&["{{body.d}}", "{{body.nothing}}", "{{body.e}}"], &["", "", "7"]);
        ok(&["ref={{body.b}}"], &["ref=-rf"]);
        ok(&["--ref={{body.b}}"], &["--ref=-rf"]);
        ok(&["--", "{{body.b}}"], &["--", "-rf"]);
        refused(&["{{body.b}}"]);
        refused(&["{{body.b}}", "--"]);
        refused(&["{{body.d}}{{body.b}}"]);
        assert_eq!(rendered(&["{{body.b}}"], true, body).unwrap(), ["-rf"]);
    }

    #[test]
    fn what_cannot_be_passed_on_is_refused_with_advice() {
        let nul = rendered(&["{{body.a}}"], false, r#"{"a":"x\u0000y"}"#).unwrap_err().0;
        assert!(nul.contains("NUL") && nul.contains("standard input"), "{nul}");
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(TEXT_BYTES_MAX + 1));
        let long = rendered(&["ok", "{{body.a}}"], false, &long).unwrap_err().0;
        assert!(long.starts_with("argument 2 has 131072 bytes"), "{long}");
        let fits = format!(r#"{{"a":"{}"}}"#, "x".repeat(TEXT_BYTES_MAX));
        assert!(rendered(&["{{body.a}}"], false, &fits).is_ok());
    }

    #[test]
    fn broken_templates_are_named() {
        let texts = ["ok".to_owned(), "{{body.a".to_owned()];
        let error = Arguments::parse(&texts, false).unwrap_err();
        assert!(error.to_string().starts_with("argument 2 of `command`: "), "{error}");
        assert!(Arguments::parse(&["a\0b".to_owned()], false).is_err());
    }
}

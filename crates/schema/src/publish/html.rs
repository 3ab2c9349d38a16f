//! A catalogue as one page that needs nothing but its style sheet: no script, no inline style, no
//! image, so that it can be served under `default-src 'none'; style-src 'self'`.

use std::collections::HashSet;
use std::fmt::{self, Write};

use serde_json::Value;

use super::fields::{self, Row};
use super::markdown::{blocks, escape, inline};
use super::{Catalogue, EventType, verify};

/// The longest JSON that is shown on the page, in bytes; the machine-readable documents have all.
const MAX_SHOWN_BYTES: usize = 64 << 10;

/// The catalogue as a page for people: contents by group, how to receive and verify, and for each
/// event type its description, fields, example and schemas. `stylesheet` is the path under which
/// [`super::STYLESHEET`] is served. Needs no script.
#[must_use]
pub fn html(catalogue: &Catalogue, title: &str, stylesheet: &str) -> String {
    let groups = catalogue.groups();
    let mut page = Page { html: String::new(), ids: HashSet::new() };
    let ids: Vec<Vec<String>> = groups
        .iter()
        .map(|(_, members)| members.iter().map(|one| page.id("type", &one.name)).collect())
        .collect();
    let written = page.write(&groups, &ids, title, stylesheet);
    debug_assert!(written.is_ok(), "writing into a String does not fail");
    page.html
}

type Groups<'a> = [(Option<&'a str>, Vec<&'a EventType>)];

struct Page {
    html: String,
    ids: HashSet<String>,
}

impl Page {
    /// An identifier within the page: letters, digits and a few signs, unique.
    fn id(&mut self, prefix: &str, name: &str) -> String {
        let fit = |one: char| {
            if one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.') { one } else { '_' }
        };
        let stem = format!("{prefix}-{}", name.chars().take(100).map(fit).collect::<String>());
        let mut id = stem.clone();
        let mut number = 2;
        while !self.ids.insert(id.clone()) {
            id = format!("{stem}-{number}");
            number += 1;
        }
        id
    }

    fn write(
        &mut self,
        groups: &Groups<'_>,
        ids: &[Vec<String>],
        title: &str,
        stylesheet: &str,
    ) -> fmt::Result {
        let count: usize = groups.iter().map(|(_, members)| members.len()).sum();
        let title = escape(title);
        write!(
            self.html,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <link rel=\"stylesheet\" href=\"{}\">\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#content\">Skip to the content</a>\n<div class=\"page\">\n",
            escape(stylesheet)
        )?;
        let words = match count {
            0 => "No event types are published yet.".to_owned(),
            1 => "One event type, sent to your URL as it happens.".to_owned(),
            count => format!("{count} event types, sent to your URL as they happen."),
        };
        writeln!(
            self.html,
            "<header>\n<h1>{title}</h1>\n<p class=\"lead\">{words}</p>\n</header>"
        )?;
        self.contents(groups, ids)?;
        write!(self.html, "<main id=\"content\" tabindex=\"-1\">\n{}", verify::sections())?;
        for ((group, members), ids) in groups.iter().zip(ids) {
            let id = self.id("group", group.unwrap_or(""));
            let name = heading(*group, groups.len());
            writeln!(
                self.html,
                "<section class=\"group\" aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{name}</h2>"
            )?;
            for (one, id) in members.iter().zip(ids) {
                self.event_type(one, id)?;
            }
            self.html.push_str("</section>\n");
        }
        self.html.push_str("</main>\n</div>\n</body>\n</html>\n");
        Ok(())
    }

    fn contents(&mut self, groups: &Groups<'_>, ids: &[Vec<String>]) -> fmt::Result {
        self.html.push_str(
            "<nav aria-label=\"Contents\">\n<p class=\"nav-title\">Start here</p>\n<ul>\n\
             <li><a href=\"#receiving\">Receive webhooks</a></li>\n\
             <li><a href=\"#verifying\">Verify signatures</a></li>\n</ul>\n",
        );
        for ((group, members), ids) in groups.iter().zip(ids) {
            writeln!(
                self.html,
                "<p class=\"nav-title\">{}</p>\n<ul>",
                heading(*group, groups.len())
            )?;
            for (one, id) in members.iter().zip(ids) {
                let mark = if one.deprecated { " class=\"old\"" } else { "" };
                let word =
                    if one.deprecated { " <span class=\"hidden\">(deprecated)</span>" } else { "" };
                writeln!(
                    self.html,
                    "<li><a href=\"#{id}\"{mark}>{}{word}</a></li>",
                    breakable(&one.name)
                )?;
            }
            self.html.push_str("</ul>\n");
        }
        self.html.push_str("</nav>\n");
        Ok(())
    }

    fn event_type(&mut self, one: &EventType, id: &str) -> fmt::Result {
        let badge = if one.deprecated { " <span class=\"badge\">Deprecated</span>" } else { "" };
        writeln!(
            self.html,
            "<article aria-labelledby=\"{id}\">\n<h3 id=\"{id}\"><a class=\"self\" href=\"#{id}\"><code>{}</code></a>{badge}</h3>",
            breakable(&one.name)
        )?;
        if one.deprecated {
            self.html.push_str(
                "<p class=\"warning\">This event type will go away. Do not build on it.</p>\n",
            );
        }
        if one.description.trim().is_empty() {
            self.html.push_str("<p class=\"quiet\">No description.</p>\n");
        } else {
            self.html.push_str(&blocks(&one.description));
        }
        let versions = one.versions();
        if let Some((newest, _)) = versions.first().filter(|_| versions.len() > 1) {
            let older: Vec<String> = versions[1..]
                .iter()
                .map(|(version, _)| format!("<code>{}</code>", escape(version)))
                .collect();
            writeln!(
                self.html,
                "<p class=\"versions\">Version <code>{}</code> is described here. Earlier: {}.</p>",
                escape(newest),
                older.join(", ")
            )?;
        }
        match one.newest() {
            Some(schema) => self.table(schema)?,
            None => self.html.push_str(
                "<p class=\"quiet\">The payload has no schema: it can be any JSON.</p>\n",
            ),
        }
        if let Some((example, made)) = one.shown_example() {
            let word = if made { " <span class=\"quiet\">made from the schema</span>" } else { "" };
            writeln!(self.html, "<h4>Example{word}</h4>")?;
            self.json(&example);
        }
        for (index, (version, schema)) in versions.iter().enumerate() {
            let older = if index == 0 { "" } else { "earlier " };
            let version = if versions.len() == 1 {
                String::new()
            } else {
                format!(", {older}version <code>{}</code>", escape(version))
            };
            writeln!(self.html, "<details>\n<summary>JSON Schema{version}</summary>")?;
            self.json(schema);
            self.html.push_str("</details>\n");
        }
        self.html.push_str("</article>\n");
        Ok(())
    }

    fn table(&mut self, schema: &Value) -> fmt::Result {
        let (rows, cut) = fields::rows(schema);
        if rows.is_empty() {
            self.html.push_str("<p class=\"quiet\">The payload has no fields.</p>\n");
            return Ok(());
        }
        self.html.push_str(
            "<h4>Fields</h4>\n<table class=\"fields\">\n<thead><tr><th scope=\"col\">Field</th>\
             <th scope=\"col\">Type</th><th scope=\"col\">Description</th></tr></thead>\n<tbody>\n",
        );
        for row in &rows {
            self.row(row)?;
        }
        self.html.push_str("</tbody>\n</table>\n");
        if cut {
            self.html.push_str("<p class=\"quiet\">More fields are in the schema below.</p>\n");
        }
        Ok(())
    }

    fn row(&mut self, row: &Row) -> fmt::Result {
        let need = if row.required {
            "<span class=\"need\">required</span>"
        } else {
            "<span class=\"quiet\">optional</span>"
        };
        let old = if row.deprecated { " <span class=\"badge\">Deprecated</span>" } else { "" };
        write!(
            self.html,
            "<tr><th scope=\"row\"><code>{}</code>{old}</th><td><span class=\"kind\">{}</span> {need}</td><td>",
            path(&row.path),
            escape(&row.kind)
        )?;
        if let Some(only) = &row.only {
            write!(self.html, "<p class=\"quiet\">Only in: {}</p>", escape(only))?;
        }
        let description = row.description.trim();
        if !description.is_empty() {
            write!(self.html, "<p>{}</p>", inline(description))?;
        }
        if !row.facts.is_empty() {
            self.html.push_str("<dl class=\"facts\">");
            for (word, values) in &row.facts {
                let values: Vec<String> =
                    values.iter().map(|value| format!("<code>{}</code>", escape(value))).collect();
                write!(self.html, "<dt>{word}</dt><dd>{}</dd>", values.join(" "))?;
            }
            self.html.push_str("</dl>");
        }
        self.html.push_str("</td></tr>\n");
        Ok(())
    }

    /// JSON with its parts marked for the style sheet.
    fn json(&mut self, value: &Value) {
        // The text is measured first, because a page with megabytes of schemas serves nobody.
        let length = serde_json::to_string(value).map_or(usize::MAX, |text| text.len());
        if length > MAX_SHOWN_BYTES {
            self.html.push_str("<p class=\"quiet\">Too long to be shown here.</p>\n");
            return;
        }
        self.html.push_str("<pre tabindex=\"0\"><code>");
        self.value(value, 0);
        self.html.push_str("</code></pre>\n");
    }

    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                self.html.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    self.line(index > 0, depth + 1);
                    self.token("k", &Value::from(name.as_str()));
                    self.html.push_str(": ");
                    self.value(value, depth + 1);
                }
                self.line(false, depth);
                self.html.push('}');
            }
            Value::Array(items) if !items.is_empty() => {
                let short = items.len() <= 8
                    && items.iter().all(|item| !item.is_object() && !item.is_array());
                self.html.push('[');
                for (index, item) in items.iter().enumerate() {
                    match (short, index > 0) {
                        (true, true) => self.html.push_str(", "),
                        (true, false) => {}
                        (false, comma) => self.line(comma, depth + 1),
                    }
                    self.value(item, depth + 1);
                }
                if !short {
                    self.line(false, depth);
                }
                self.html.push(']');
            }
            Value::String(_) => self.token("s", value),
            Value::Number(_) | Value::Bool(_) | Value::Null => self.token("n", value),
            empty => self.html.push_str(&empty.to_string()),
        }
    }

    fn line(&mut self, comma: bool, depth: usize) {
        self.html.push_str(if comma { ",\n" } else { "\n" });
        for _ in 0..depth {
            self.html.push_str("  ");
        }
    }

    fn token(&mut self, class: &str, value: &Value) {
        self.html.push_str("<span class=\"");
        self.html.push_str(class);
        self.html.push_str("\">");
        self.html.push_str(&escape(&value.to_string()));
        self.html.push_str("</span>");
    }
}

/// What a group is called on the page.
fn heading(group: Option<&str>, groups: usize) -> String {
    match group {
        Some(group) => escape(group),
        None if groups > 1 => "Other event types".to_owned(),
        None => "Event types".to_owned(),
    }
}

/// A field's path, with what leads to the field's own name set back.
fn path(path: &str) -> String {
    match path.rsplit_once('.') {
        Some((front, name)) if !path.ends_with(']') => {
            let front = breakable(&format!("{front}."));
            format!("<span class=\"quiet\">{front}</span>{}", breakable(name))
        }
        _ => breakable(path),
    }
}

/// A long name that may be broken after its dots and lines.
fn breakable(name: &str) -> String {
    escape(name).replace('.', ".<wbr>").replace('_', "_<wbr>").replace("[]", "[]<wbr>")
}

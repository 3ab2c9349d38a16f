//! The API reference as one page for people, made from the same table and shapes as the document.
//!
//! Invariants: the same table always gives the same page; every operation and every shape it leads to
//! is on it; nothing of the installation is; nothing on it runs, and nothing is fetched but its style
//! sheet.
//!
//! Where next: `fields` for how shapes become tables and examples, `words` for the texts.

mod fields;
mod words;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::openapi;
use crate::problem::CODES;
use crate::routes::{Payload, Route, table};
use fields::Shapes;

/// Where the page is.
const PATH: &str = "/api/v1/docs";
/// The page's style sheet.
pub(crate) const STYLE: &str = include_str!("docs/style.css");

/// The page.
pub(crate) fn page() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(|| Page::new().whole())
}

/// A text as it stands in HTML.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A sentence in which backquotes mark code.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (at, part) in text.split('`').enumerate() {
        match at % 2 {
            0 => html.push_str(&escape(part)),
            _ => put(&mut html, format_args!("<code>{}</code>", escape(part))),
        }
    }
    html
}

fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = html.write_fmt(text);
}

/// Operations that belong together.
struct Group {
    key: String,
    title: String,
    about: &'static str,
    routes: Vec<&'static Route>,
}

/// The part of an operation's id that names its group.
fn group_key(id: &str) -> &str {
    let plain = id.strip_prefix("v1.").unwrap_or(id);
    plain.rsplit_once('.').map_or(plain, |(group, _)| group)
}

fn groups() -> Vec<Group> {
    let mut groups: Vec<Group> = words::GROUPS
        .iter()
        .map(|(key, title, about)| Group {
            key: (*key).to_owned(),
            title: (*title).to_owned(),
            about,
            routes: Vec::new(),
        })
        .collect();
    for route in table().filter(|route| !route.path.starts_with(PATH)) {
        let key = group_key(route.id);
        match groups.iter_mut().find(|group| group.key == key) {
            Some(group) => group.routes.push(route),
            None => groups.push(Group {
                key: key.to_owned(),
                title: key.to_owned(),
                about: "",
                routes: vec![route],
            }),
        }
    }
    groups.retain(|group| !group.routes.is_empty());
    groups
}

struct Page {
    groups: Vec<Group>,
    shapes: Shapes,
}

impl Page {
    fn new() -> Self {
        Self { groups: groups(), shapes: Shapes::new(openapi::schemas()) }
    }

    fn whole(&self) -> String {
        let mut html = String::with_capacity(1 << 20);
        html.push_str(words::HEAD);
        html.push_str("<div class=\"page\">");
        self.contents(&mut html);
        html.push_str("<main id=\"top\" tabindex=\"-1\">");
        html.push_str(words::START);
        let mut named = BTreeSet::new();
        for group in &self.groups {
            put(
                &mut html,
                format_args!(
                    "<section class=\"group\" id=\"{0}\"><h2><a href=\"#{0}\">{1}</a></h2>",
                    escape(&group.key),
                    escape(&group.title)
                ),
            );
            if !group.about.is_empty() {
                put(&mut html, format_args!("<p>{}</p>", prose(group.about)));
            }
            for route in &group.routes {
                self.operation(&mut html, route, &mut named);
            }
            html.push_str("</section>");
        }
        self.all_shapes(&mut html, named);
        errors(&mut html);
        html.push_str("</main></div></body></html>\n");
        html
    }

    fn contents(&self, html: &mut String) {
        html.push_str("<nav id=\"contents\" aria-label=\"Contents\"><h2>Contents</h2><ul>");
        html.push_str("<li><a href=\"#start\">Getting started</a></li>");
        for group in &self.groups {
            let (key, title) = (escape(&group.key), escape(&group.title));
            put(html, format_args!("<li><details><summary>{title}</summary><ul>"));
            put(html, format_args!("<li><a href=\"#{key}\">All of {title}</a></li>"));
            for route in &group.routes {
                let name = route.id.rsplit('.').next().unwrap_or(route.id);
                put(
                    html,
                    format_args!(
                        "<li><a href=\"#{}\"><span class=\"method {1}\">{1}</span> {2}</a></li>",
                        escape(route.id),
                        route.method,
                        escape(&name.replace('-', " "))
                    ),
                );
            }
            html.push_str("</ul></details></li>");
        }
        html.push_str("<li><a href=\"#shapes\">Shapes</a></li>");
        html.push_str("<li><a href=\"#errors\">Errors</a></li></ul></nav>");
    }

    fn operation(&self, html: &mut String, route: &Route, named: &mut BTreeSet<String>) {
        let id = escape(route.id);
        let (title, more) = match route.about.split_once(". ") {
            Some((title, more)) => (title, format!("<p>{}</p>", prose(more))),
            None => (route.about.trim_end_matches('.'), String::new()),
        };
        put(
            html,
            format_args!(
                "<article id=\"{id}\"><h3><a href=\"#{id}\">{}</a></h3>\
                 <p class=\"line\"><span class=\"method {1}\">{1}</span> <code>{2}</code></p>\
                 <p class=\"facts\"><span class=\"id\">{id}</span>{3}</p>{more}",
                prose(title),
                route.method,
                with_breaks(&escape(route.path)),
                who(route)
            ),
        );
        self.parameters(html, route);
        if let Some(body) = route.body {
            html.push_str("<h4>Body</h4>");
            self.shapes.named(html, body, true, named);
        }
        self.answer(html, route, named);
        put(html, format_args!("<h4>Example</h4><pre><code>{}</code></pre>", self.curl(route)));
        html.push_str("</article>");
    }

    fn parameters(&self, html: &mut String, route: &Route) {
        let in_path: Vec<&str> = names_in(route.path).collect();
        let keyed = route.method == "post" && !route.public;
        if in_path.is_empty() && route.query.is_empty() && !keyed {
            return;
        }
        html.push_str("<h4>Parameters</h4>");
        fields::begin(html);
        for name in in_path {
            let about = words::path_parameter(name);
            fields::row(html, name, "text", true, "path", about);
        }
        for known in route.query {
            let schema = self.shapes.get(known.schema);
            let mut kind = schema.map_or_else(String::new, |schema| self.shapes.kind(schema));
            if known.list {
                kind = format!("list of {kind}");
            }
            fields::row(html, known.name, &kind, false, "query", known.about);
        }
        if keyed {
            let about = "Repeats with the same key and body get the first answer, for 24 hours.";
            fields::row(html, "idempotency-key", "text", false, "header", about);
        }
        fields::end(html);
    }

    fn answer(&self, html: &mut String, route: &Route, named: &mut BTreeSet<String>) {
        let mut statuses = vec![route.status];
        statuses.extend(route.also);
        statuses.sort_unstable();
        let statuses: Vec<String> =
            statuses.iter().map(|status| format!("<span class=\"ok\">{status}</span>")).collect();
        put(html, format_args!("<h4>Answer {}</h4>", statuses.join(" ")));
        match route.answer {
            Some(name) if route.content_type == "application/json" => {
                self.shapes.named(html, name, false, named);
            }
            Some(_) => {
                let kind = escape(route.content_type);
                put(html, format_args!("<p>A file: <code>{kind}</code>.</p>"));
            }
            None => html.push_str("<p>Nothing in the body.</p>"),
        }
        let codes: Vec<String> = codes(route)
            .into_iter()
            .filter_map(|code| CODES.iter().find(|(known, _, _)| *known == code))
            .map(|(code, status, title)| {
                format!(
                    "<a href=\"#error-{code}\" title=\"{title}\">{status} <code>{code}</code></a>"
                )
            })
            .collect();
        put(html, format_args!("<p class=\"codes\">Refusals: {}</p>", codes.join(", ")));
    }

    fn curl(&self, route: &Route) -> String {
        let mut path = String::new();
        for (at, part) in route.path.split(['{', '}']).enumerate() {
            match at % 2 {
                0 => path.push_str(part),
                _ => path.push_str(&part.to_uppercase()),
            }
        }
        let mut line = String::from("curl ");
        if route.method != "get" {
            put(&mut line, format_args!("-X {} ", route.method.to_uppercase()));
        }
        put(&mut line, format_args!("\"$BECKET_URL{path}\""));
        if !route.public {
            line.push_str(" \\\n  -H \"Authorization: Bearer $BECKET_TOKEN\"");
        }
        if let Some(body) = route.body.and_then(|name| self.shapes.get(name)) {
            let example = self.shapes.example(body);
            line.push_str(" \\\n  -H \"Content-Type: application/json\"");
            put(&mut line, format_args!(" \\\n  -d '{}'", example.to_string().replace('\'', "")));
        }
        if route.content_type == "application/octet-stream" {
            line.push_str(" \\\n  -o body");
        }
        escape(&line)
    }

    /// Every shape that an operation leads to, by name.
    fn all_shapes(&self, html: &mut String, mut open: BTreeSet<String>) {
        let mut done: Map<String, Value> = Map::new();
        while let Some(name) = open.pop_first() {
            if done.contains_key(&name) {
                continue;
            }
            let mut text = String::new();
            let mut more = BTreeSet::new();
            self.shapes.shape(&mut text, &name, true, &mut more);
            done.insert(name, Value::String(text));
            open.extend(more);
        }
        done.sort_keys();
        html.push_str(
            "<section class=\"group\" id=\"shapes\"><h2><a href=\"#shapes\">Shapes</a></h2>",
        );
        html.push_str("<p>What stands inside bodies and answers, by name.</p>");
        for (name, text) in &done {
            let name = escape(name);
            put(html, format_args!("<article id=\"shape-{name}\" class=\"shape\">"));
            put(
                html,
                format_args!("<h3><a href=\"#shape-{name}\">{}</a></h3>", with_breaks(&name)),
            );
            html.push_str(text.as_str().unwrap_or_default());
            html.push_str("</article>");
        }
        html.push_str("</section>");
    }
}

/// Lets a long path or name break behind its slashes and underscores.
fn with_breaks(text: &str) -> String {
    text.replace('/', "/<wbr>").replace('_', "_<wbr>")
}

fn names_in(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('{').skip(1).filter_map(|part| part.split('}').next())
}

/// Whose tokens may use a route.
fn who(route: &Route) -> String {
    let mut kinds: Vec<String> = Vec::new();
    if route.public {
        kinds.push("no token".to_owned());
    } else if route.operator {
        kinds.push("operator".to_owned());
    } else {
        kinds.push("admin".to_owned());
        if !route.admin {
            kinds.push("developer".to_owned());
            if route.reads && !route.secret {
                kinds.push("viewer".to_owned());
            }
        }
        kinds.extend(route.portal.map(|needed| format!("portal: {needed:?}")));
    }
    if route.secret {
        kinds.push("shows a secret".to_owned());
    }
    match route.payload {
        Payload::Needed => kinds.push("needs payloads".to_owned()),
        Payload::LeftOut(_) => kinds.push("hides payloads".to_owned()),
        Payload::None => {}
    }
    kinds.iter().map(|kind| format!(" <span class=\"who\">{}</span>", escape(kind))).collect()
}

/// The codes that a route can be refused with, besides those of the store.
fn codes(route: &Route) -> Vec<&'static str> {
    let mut codes = Vec::new();
    if !route.public {
        codes.extend(["unauthorized", "forbidden"]);
    }
    if route.path.contains('{') {
        codes.push("not_found");
    }
    if !route.query.is_empty() {
        codes.push("bad_query");
    }
    if route.body.is_some() {
        codes.extend(["bad_body", "body_too_large"]);
    }
    if route.method == "post" && !route.public {
        codes.extend(["idempotency_conflict", "idempotency_mismatch"]);
    }
    codes
}

fn errors(html: &mut String) {
    html.push_str(words::ERRORS);
    html.push_str(
        "<div class=\"table\"><table class=\"errors\"><thead><tr><th scope=\"col\">Code</th>",
    );
    html.push_str(
        "<th scope=\"col\">Status</th><th scope=\"col\">Meaning</th></tr></thead><tbody>",
    );
    for (code, status, title) in CODES {
        put(
            html,
            format_args!(
                "<tr id=\"error-{code}\"><td><code>{code}</code></td><td>{status}</td><td>{}</td></tr>",
                escape(title)
            ),
        );
    }
    html.push_str("</tbody></table></div></section>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_on_the_page_and_every_link_leads_somewhere() {
        let page = page();
        for route in table().filter(|route| !route.path.starts_with(PATH)) {
            assert!(page.contains(&format!("<article id=\"{}\">", route.id)), "{}", route.id);
        }
        let mut ids = BTreeSet::new();
        for part in page.split(" id=\"").skip(1) {
            let id = part.split('"').next().unwrap();
            assert!(ids.insert(id), "{id} is there twice");
        }
        for part in page.split("href=\"#").skip(1) {
            let id = part.split('"').next().unwrap();
            assert!(ids.contains(id), "nothing is at #{id}");
        }
        for word in ["<script", " style=", "onclick", "javascript:", "http://"] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn groups_have_titles() {
        for group in groups() {
            let known = words::GROUPS.iter().any(|(key, _, _)| *key == group.key);
            assert!(known, "words::GROUPS has no `{}`", group.key);
        }
        for route in table() {
            for name in names_in(route.path) {
                assert!(!words::path_parameter(name).is_empty(), "{name} of {}", route.path);
            }
        }
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(prose("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
    }
}

//! Text by strangers as HTML: escaped, with paragraphs, lists, `code`, **bold** and links to the web.

/// Text for HTML, in elements and in quoted attributes. Characters that control nothing but confuse
/// readers (control characters, and those that turn the direction of text) are replaced.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Blocks of text: paragraphs, lists and headings (which become bold, not headings of the page).
pub(super) fn blocks(text: &str) -> String {
    let mut html = String::new();
    let mut lines: Vec<&str> = Vec::new();
    let mut list = false;
    let text = text.replace("\r\n", "\n");
    for line in text.lines().chain([""]) {
        let line = line.trim();
        let item = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
        let heading = line.starts_with('#').then(|| line.trim_start_matches('#').trim());
        let breaks = line.is_empty() || item.is_some() != list && item.is_some() || heading.is_some();
        if breaks {
            flush(&mut html, &mut lines, list);
            list = false;
        }
        match (item, heading) {
            (Some(item), _) => {
                list = true;
                lines.push(item);
            }
            (None, Some(heading)) if !heading.is_empty() => {
                html.push_str(&format!("<p><strong>{}</strong></p>\n", inline(heading)));
            }
            (None, None) if !line.is_empty() => lines.push(line),
            _ => {}
        }
    }
    html
}

fn flush(html: &mut String, lines: &mut Vec<&str>, list: bool) {
    if lines.is_empty() {
        return;
    }
    if list {
        html.push_str("<ul>\n");
        for line in lines.drain(..) {
            html.push_str(&format!("<li>{}</li>\n", inline(line)));
        }
        html.push_str("</ul>\n");
    } else {
        html.push_str(&format!("<p>{}</p>\n", inline(&lines.join("\n"))));
        lines.clear();
    }
}

/// One run of text with `code`, **bold** and links.
pub(super) fn inline(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(['`', '*', '[']) {
        html.push_str(&escape(&rest[..start]));
        let from = &rest[start..];
        let (made, used) = span(from).unwrap_or_else(|| (escape(&from[..1]), 1));
        html.push_str(&made);
        rest = &from[used..];
    }
    html.push_str(&escape(rest));
    html
}

/// A span that starts here, and how many bytes of the text it takes.
fn span(text: &str) -> Option<(String, usize)> {
    if let Some(after) = text.strip_prefix('`') {
        let end = after.find('`').filter(|end| *end > 0)?;
        return Some((format!("<code>{}</code>", escape(&after[..end])), end + 2));
    }
    if let Some(after) = text.strip_prefix("**") {
        let end = after.find("**").filter(|end| *end > 0)?;
        return Some((format!("<strong>{}</strong>", escape(&after[..end])), end + 4));
    }
    let after = text.strip_prefix('[')?;
    let middle = after.find("](").filter(|end| *end > 0)?;
    let label = &after[..middle];
    let address = &after[middle + 2..];
    let end = address.find([')', ' ', '\n']).filter(|end| address[*end..].starts_with(')'))?;
    let address = &address[..end];
    let web = address.starts_with("https://") || address.starts_with("http://");
    if !web || label.contains(['[', '\n']) {
        return None;
    }
    let link = format!(
        "<a href=\"{}\" rel=\"nofollow noopener noreferrer\">{}</a>",
        escape(address),
        escape(label)
    );
    Some((link, 1 + middle + 2 + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_markdown() {
        for (text, html) in [
            ("", ""),
            ("one\ntwo\n\nthree", "<p>one\ntwo</p>\n<p>three</p>\n"),
            ("see:\n- a `b`\n- **c**\n\nend", "<p>see:</p>\n<ul>\n<li>a <code>b</code></li>\n<li><strong>c</strong></li>\n</ul>\n<p>end</p>\n"),
            ("# Title\ntext", "<p><strong>Title</strong></p>\n<p>text</p>\n"),
            ("[docs](https://example.com/a?b&c)", "<p><a href=\"https://example.com/a?b&amp;c\" rel=\"nofollow noopener noreferrer\">docs</a></p>\n"),
            ("a * b ` c ** d [x] [y](z", "<p>a * b ` c ** d [x] [y](z</p>\n"),
        ] {
            assert_eq!(blocks(text), html, "{text}");
        }
    }

    #[test]
    fn nothing_gets_out() {
        for text in [
            "<script>alert(1)</script>",
            "`<img src=x onerror=alert(1)>`",
            "**<b>**",
            "[x](javascript:alert(1))",
            "[x](https://e.example/\"onmouseover=\"alert(1))",
            "[<script>](https://e.example)",
            "[x](data:text/html,<script>)",
            "\u{0}\u{202e}<",
        ] {
            let html = blocks(text);
            for banned in ["<script", "<img", "<b>", "href=\"javascript", "href=\"data", "\"onmouse", "\u{0}", "\u{202e}"] {
                assert!(!html.contains(banned), "{text} became {html}");
            }
        }
    }
}

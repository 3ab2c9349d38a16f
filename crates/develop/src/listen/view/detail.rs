//! One delivery: what was sent, with which headers and body, and what came back.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::{Palette, Scene};
use crate::listen::lines;
use crate::listen::state::{App, Entry, Focus};
use crate::listen::text::{self, BodyKind};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App, scene: &Scene) {
    let palette = &scene.palette;
    let focused = app.focus == Focus::Detail;
    let borders = if area.x > 0 { Borders::LEFT | Borders::TOP } else { Borders::TOP };
    let style = if focused { palette.key } else { palette.dim };
    let Some(entry) = app.selected() else {
        let block = Block::new().borders(borders).border_style(style);
        frame.render_widget(block, area);
        return;
    };
    let width = usize::from(area.width).saturating_sub(2);
    let content = content(entry, scene, width);
    let block = Block::new().borders(borders).border_style(style);
    let inner = block.inner(area);
    let (count, rows) = (content.len(), usize::from(inner.height));
    let scroll = app.scroll.min(count.saturating_sub(rows));
    let place = match count > rows {
        true => format!(" {}–{} of {count} ", scroll + 1, (scroll + rows).min(count)),
        false => String::new(),
    };
    let name = text::harmless(&entry.parcel.event_id, false);
    let block = block
        .title(Span::styled(format!(" {} ", text::cut(&name, width / 2)), palette.title))
        .title(Line::styled(place, palette.dim).right_aligned());
    let shown: Vec<Line<'static>> = content.into_iter().skip(scroll).take(rows).collect();
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(shown), inner);
    app.scroll = scroll;
    app.detail_extent = (count, rows);
}

/// What people look for first comes first: what the handler said, what it was sent, with which
/// headers.
fn content(entry: &Entry, scene: &Scene, width: usize) -> Vec<Line<'static>> {
    let palette = &scene.palette;
    let mut out = summary(entry, scene, width);
    let parcel = &entry.parcel;
    let answered = entry.reply.as_ref().filter(|reply| reply.status.is_some());
    if let Some(reply) = entry.reply.as_ref().filter(|reply| reply.error.is_some()) {
        section("Error", "", palette, &mut out);
        let words = wrapped(&format!("  {}", text::harmless(&reply.words, false)), width);
        out.extend(words.into_iter().map(|line| Line::styled(line, palette.bad)));
    }
    if let Some(reply) = answered {
        body("Response body", &reply.body, &reply.headers, palette, width, &mut out);
        if reply.body_truncated {
            out.push(Line::styled("  … the first 16 KiB of it", palette.dim));
        }
    }
    match &entry.body {
        Some(bytes) => body("Request body", bytes, &parcel.headers, palette, width, &mut out),
        None => {
            section("Request body", "", palette, &mut out);
            let words = "  no longer kept here; `becket events show` has it";
            out.push(Line::styled(words, palette.dim));
        }
    }
    section("Request headers", "", palette, &mut out);
    headers(&parcel.headers, palette, width, &mut out);
    if let Some(reply) = answered {
        section("Response headers", "", palette, &mut out);
        headers(&reply.headers, palette, width, &mut out);
    }
    out
}

/// Everything short that is known about it.
fn summary(entry: &Entry, scene: &Scene, width: usize) -> Vec<Line<'static>> {
    let palette = &scene.palette;
    let parcel = &entry.parcel;
    let event_type = text::harmless(parcel.event_type.as_deref().unwrap_or("no event type"), false);
    let mut first = vec![Span::styled(format!(" {event_type}"), palette.title)];
    match &entry.reply {
        None => first.push(Span::styled("  is being handled…", palette.warning)),
        Some(reply) => {
            let style = if reply.is_success() { palette.good } else { palette.bad };
            let status = lines::status_word(reply);
            first.push(Span::styled(format!("  {status}"), style));
            first.push(Span::raw(format!(" in {}", text::took(reply.took_us))));
        }
    }
    if let Some(mark) = lines::mark_words(entry) {
        first.push(Span::styled(format!("  {mark}"), palette.warning));
    }
    let method = text::harmless(&parcel.method, false);
    let to = format!(" {method} {}", text::harmless(&entry.target, false));
    let came = format!(
        " {} received {}  attempt {}",
        text::harmless(&parcel.source, false),
        text::clock(parcel.received_at_ms, &scene.zone),
        parcel.attempt
    );
    let mut out = vec![Line::from(first)];
    out.extend(wrapped(&to, width).into_iter().map(Line::raw));
    out.push(Line::styled(came, palette.dim));
    out
}

fn section(title: &str, about: &str, palette: &Palette, out: &mut Vec<Line<'static>>) {
    out.push(Line::raw(""));
    out.push(Line::from(vec![
        Span::styled(format!(" {title}"), palette.title),
        Span::styled(format!("  {about}"), palette.dim),
    ]));
}

fn headers(
    headers: &[(String, String)],
    palette: &Palette,
    width: usize,
    out: &mut Vec<Line<'static>>,
) {
    for (name, value) in headers {
        let (name, value) = (text::harmless(name, false), text::harmless(value, false));
        let lines = wrapped(&format!("  {name}: {value}"), width);
        for (at, line) in lines.into_iter().enumerate() {
            match line.strip_prefix(&format!("  {name}:")) {
                Some(rest) if at == 0 => out.push(Line::from(vec![
                    Span::styled(format!("  {name}:"), palette.name),
                    Span::raw(rest.to_owned()),
                ])),
                _ => out.push(Line::raw(line)),
            }
        }
    }
}

fn body(
    title: &str,
    bytes: &bytes::Bytes,
    headers: &[(String, String)],
    palette: &Palette,
    width: usize,
    out: &mut Vec<Line<'static>>,
) {
    let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let content_type = content_type.map_or("", |(_, value)| value.as_str());
    let (kind, lines) = text::body_lines(bytes, content_type);
    let about = match kind {
        BodyKind::Empty => kind.as_str().to_owned(),
        _ => format!("{}, {}", text::size(bytes.len()), kind.as_str()),
    };
    section(title, &about, palette, out);
    for line in lines {
        for piece in wrapped(&format!("  {line}"), width) {
            out.push(match kind {
                BodyKind::Json => json_line(&piece, palette),
                _ => Line::raw(piece),
            });
        }
    }
}

/// A line of indented JSON in colours. What is not recognised stays plain.
fn json_line(line: &str, palette: &Palette) -> Line<'static> {
    let indent = line.len() - line.trim_start().len();
    let (before, rest) = line.split_at(indent);
    let mut spans = vec![Span::raw(before.to_owned())];
    let value = match rest.starts_with('"').then(|| string_end(rest)).flatten() {
        Some(end) if rest[end..].starts_with(':') => {
            spans.push(Span::styled(rest[..end].to_owned(), palette.name));
            spans.push(Span::raw(": "));
            rest[end + 1..].trim_start()
        }
        _ => rest,
    };
    let (plain, comma) = match value.strip_suffix(',') {
        Some(plain) => (plain, ","),
        None => (value, ""),
    };
    let style = match plain.chars().next() {
        Some('"') => palette.string,
        Some('{' | '}' | '[' | ']') | None => palette.plain,
        Some(_) => palette.number,
    };
    spans.push(Span::styled(plain.to_owned(), style));
    spans.push(Span::raw(comma));
    Line::from(spans)
}

/// Where a JSON string ends that begins at the beginning.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, character)| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends.then_some(at + 1)
    })
}

/// A line in pieces of at most so many columns; the pieces after the first are indented.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    const INDENT: &str = "      ";
    let width = width.max(20);
    if text::columns(line) <= width {
        return vec![line.to_owned()];
    }
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for character in line.chars() {
        let columns = text::columns(character.encode_utf8(&mut [0; 4]));
        if used + columns > width {
            pieces.push(INDENT.to_owned());
            used = INDENT.len();
        }
        used += columns;
        if let Some(piece) = pieces.last_mut() {
            piece.push(character);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_wrapped_at_columns() {
        let pieces = wrapped(&"漢".repeat(30), 21);
        assert_eq!(text::columns(&pieces[0]), 20);
        assert!(pieces.iter().skip(1).all(|piece| piece.starts_with("      ")));
        let all: String = pieces.iter().map(|piece| piece.trim_start()).collect();
        assert_eq!(all, "漢".repeat(30));
    }

    #[test]
    fn json_is_told_apart_by_what_stands_where() {
        let palette = Palette::colours();
        let styles = |line: &str| {
            let line = json_line(line, &palette);
            line.spans.iter().map(|span| (span.content.to_string(), span.style)).collect::<Vec<_>>()
        };
        let found = styles("    \"a \\\" b\": \"x: y\",");
        assert_eq!(found[1], ("\"a \\\" b\"".to_owned(), palette.name));
        assert_eq!(found[3], ("\"x: y\"".to_owned(), palette.string));
        assert_eq!(styles("  12")[1].1, palette.number);
        assert_eq!(styles("  \"only text\"")[1].1, palette.string);
        assert_eq!(styles("}")[1].1, palette.plain);
    }
}

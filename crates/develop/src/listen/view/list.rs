//! The list of deliveries, one row for each.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::Scene;
use crate::listen::lines;
use crate::listen::state::{App, Entry, Focus, Mark};
use crate::listen::text;

const TIME: usize = 8;
const SOURCE: usize = 12;
const STATUS: usize = 6;
const TOOK: usize = 8;
const MARK: usize = 14;
/// What the columns besides the type take, with the spaces between them.
const FIXED: usize = 1 + TIME + 2 + SOURCE + 2 + 2 + STATUS + 1 + TOOK + 1;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App, scene: &Scene) {
    let width = usize::from(area.width);
    let rows = usize::from(area.height).saturating_sub(1);
    app.list_rows = rows;
    let entries: Vec<&Entry> = app.shown().collect();
    let selected = app.selected().map(|entry| entry.number);
    let at = selected.and_then(|number| entries.iter().position(|entry| entry.number == number));
    let first = window(entries.len(), rows, at, app.is_following());
    let mark_columns = if width >= FIXED + 24 + MARK { MARK + 2 } else { 0 };
    let type_columns = width.saturating_sub(FIXED + mark_columns);
    let mut drawn = vec![heading(app, scene, type_columns, mark_columns > 0, entries.len())];
    for entry in entries.iter().skip(first).take(rows) {
        let chosen = selected == Some(entry.number);
        drawn.push(row(entry, scene, width, type_columns, mark_columns, chosen));
    }
    if entries.is_empty() {
        drawn.extend(nothing(app, scene));
    }
    frame.render_widget(Paragraph::new(drawn), area);
}

/// Which row comes first so that the selected one is seen.
fn window(count: usize, rows: usize, selected: Option<usize>, following: bool) -> usize {
    let last_first = count.saturating_sub(rows);
    match selected {
        Some(at) if !following => {
            // In the middle, as far as there is something on both sides.
            at.saturating_sub(rows / 2).min(last_first)
        }
        _ => last_first,
    }
}

fn heading(
    app: &App,
    scene: &Scene,
    type_columns: usize,
    marks: bool,
    count: usize,
) -> Line<'static> {
    let mut line = format!(
        " {}  {}  {}  {} {:>TOOK$}",
        text::padded("TIME", TIME),
        text::padded("SOURCE", SOURCE),
        text::padded("EVENT TYPE", type_columns),
        text::padded("STATUS", STATUS),
        "TOOK",
    );
    if marks {
        line.push_str("  ");
    }
    let style = if app.focus == Focus::List { scene.palette.title } else { scene.palette.dim };
    let mut spans = vec![Span::styled(line, style)];
    if !app.filter.is_empty() {
        let words = format!("filter: {} ({count})", text::harmless(&app.filter, false));
        // It takes the place of the empty column of marks, or of nothing.
        if marks {
            spans.push(Span::styled(text::cut(&words, MARK + 8), scene.palette.warning));
        } else {
            let plain = format!(" {words}");
            spans = vec![Span::styled(plain, scene.palette.warning)];
        }
    }
    Line::from(spans)
}

fn row(
    entry: &Entry,
    scene: &Scene,
    width: usize,
    type_columns: usize,
    mark_columns: usize,
    chosen: bool,
) -> Line<'static> {
    let palette = &scene.palette;
    let over = |style: Style| if chosen { palette.selected } else { style };
    let (status, took, status_style) = match &entry.reply {
        None => ("…".to_owned(), String::new(), palette.warning),
        Some(reply) => {
            let style = if reply.is_success() { palette.good } else { palette.bad };
            (lines::status_word(reply), text::took(reply.took_us), style)
        }
    };
    let parcel = &entry.parcel;
    let mut event_type = text::harmless(parcel.event_type.as_deref().unwrap_or("-"), false);
    // Where there is no column for it, a sign stands before the type.
    if mark_columns == 0 {
        match entry.mark {
            Mark::New => {}
            Mark::Late => event_type = format!("late {event_type}"),
            Mark::Repeat => event_type = format!("repeat {event_type}"),
        }
    }
    let mut spans = vec![
        Span::styled(
            format!(" {}  ", text::clock(entry.came_at_ms, &scene.zone)),
            over(palette.dim),
        ),
        Span::styled(
            format!("{}  ", text::padded(&text::harmless(&parcel.source, false), SOURCE)),
            over(palette.plain),
        ),
        Span::styled(format!("{}  ", text::padded(&event_type, type_columns)), over(palette.plain)),
        Span::styled(text::padded(&status, STATUS), over(status_style)),
        Span::styled(format!(" {took:>TOOK$}"), over(palette.plain)),
    ];
    if mark_columns > 0 {
        let words = lines::mark_words(entry).unwrap_or_default();
        let words = text::padded(&words, mark_columns - 2);
        spans.push(Span::styled(format!("  {words}"), over(palette.warning)));
    }
    let used: usize = spans.iter().map(|span| text::columns(&span.content)).sum();
    spans.push(Span::styled(" ".repeat(width.saturating_sub(used)), over(palette.plain)));
    Line::from(spans)
}

/// What is said while there is nothing to show.
fn nothing(app: &App, scene: &Scene) -> Vec<Line<'static>> {
    let palette = &scene.palette;
    let mut lines = vec![Line::raw("")];
    if !app.filter.is_empty() {
        lines.push(Line::styled("  Nothing fits the filter; esc takes it away.", palette.dim));
        return lines;
    }
    lines.push(Line::styled("  Waiting for events.", palette.plain));
    lines.push(Line::raw(""));
    for url in &app.about.receives_at {
        lines.push(Line::from(vec![
            Span::styled("  receives at   ", palette.dim),
            Span::styled(text::harmless(url, false), palette.title),
        ]));
    }
    let mut said = |label: &str, value: &str| {
        lines.push(Line::from(vec![
            Span::styled(format!("  {label:<14}"), palette.dim),
            Span::raw(text::harmless(value, false)),
        ]));
    };
    said("gateway", &app.about.gateway);
    said("sources", &app.about.sources.join(", "));
    said("forwards to", &app.about.forward_to);
    for (pattern, url) in &app.about.routes {
        said("", &format!("{pattern} → {url}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_is_always_seen() {
        for count in 0..30 {
            for rows in 1..12 {
                for at in 0..count {
                    let first = window(count, rows, Some(at), at + 1 == count);
                    assert!(
                        first <= at && at < first + rows,
                        "{at} of {count} in {rows} from {first}"
                    );
                }
            }
        }
        assert_eq!(window(30, 10, None, true), 20);
    }
}

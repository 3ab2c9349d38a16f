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
/// From these widths on there is room for the columns.
const WITH_SOURCE: usize = 64;
const WITH_TOOK: usize = 48;
const WITH_MARK: usize = 84;

/// How wide the columns are that give way on a narrow screen; 0 for one that is not there.
#[derive(Debug, Clone, Copy)]
struct Columns {
    source: usize,
    event_type: usize,
    took: usize,
    mark: usize,
}

impl Columns {
    fn of(width: usize) -> Self {
        let from = |least: usize, columns: usize| if width >= least { columns } else { 0 };
        let source = from(WITH_SOURCE, SOURCE + 2);
        let (took, mark) = (from(WITH_TOOK, TOOK + 1), from(WITH_MARK, MARK + 2));
        let others = 1 + TIME + 2 + source + 2 + STATUS + took + mark + 1;
        Self { source, event_type: width.saturating_sub(others), took, mark }
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App, scene: &Scene) {
    let width = usize::from(area.width);
    let rows = usize::from(area.height).saturating_sub(1);
    app.list_rows = rows;
    let entries: Vec<&Entry> = app.shown().collect();
    let selected = app.selected().map(|entry| entry.number);
    let at = selected.and_then(|number| entries.iter().position(|entry| entry.number == number));
    let first = window(entries.len(), rows, at, app.is_following());
    let columns = Columns::of(width);
    let mut drawn = vec![heading(app, scene, columns, entries.len())];
    for entry in entries.iter().skip(first).take(rows) {
        let chosen = selected == Some(entry.number);
        drawn.push(row(entry, scene, width, columns, chosen));
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

fn heading(app: &App, scene: &Scene, columns: Columns, count: usize) -> Line<'static> {
    let took = columns.took;
    let line = format!(
        " {}  {}{}  {}{:>took$}{}",
        text::padded("TIME", TIME),
        text::padded("SOURCE", columns.source),
        text::padded("EVENT TYPE", columns.event_type),
        text::padded("STATUS", STATUS),
        if took > 0 { "TOOK" } else { "" },
        if columns.mark > 0 { "  " } else { "" },
    );
    let marks = columns.mark > 0;
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
    columns: Columns,
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
    if columns.mark == 0 {
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
            text::padded(
                &text::cut(&text::harmless(&parcel.source, false), SOURCE.min(columns.source)),
                columns.source,
            ),
            over(palette.plain),
        ),
        Span::styled(
            format!("{}  ", text::padded(&event_type, columns.event_type)),
            over(palette.plain),
        ),
        Span::styled(text::padded(&status, STATUS), over(status_style)),
        Span::styled(right(&took, columns.took), over(palette.plain)),
    ];
    if columns.mark > 0 {
        let words = lines::mark_words(entry).unwrap_or_default();
        let words = text::padded(&words, MARK);
        spans.push(Span::styled(format!("  {words}"), over(palette.warning)));
    }
    let used: usize = spans.iter().map(|span| text::columns(&span.content)).sum();
    spans.push(Span::styled(" ".repeat(width.saturating_sub(used)), over(palette.plain)));
    Line::from(spans)
}

/// A text at the right end of a column; nothing without a column.
fn right(text: &str, columns: usize) -> String {
    if columns == 0 { String::new() } else { format!("{text:>columns$}") }
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

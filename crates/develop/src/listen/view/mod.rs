//! The screen: a pure function of the state and the size.
//!
//! Invariants: works from 20 x 4 up, without a panic at any size; says everything without colour too;
//! shows nothing that was not made harmless before.

mod detail;
mod list;
mod palette;
mod popup;

pub use palette::Palette;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::state::{App, Asking, Focus, Link};
use super::text;

/// From this width on, list and details stand side by side.
const WIDE_COLUMNS: u16 = 132;
/// What the list needs at least, and how much of a low screen it gets beside details.
const LIST_ROWS_MIN: u16 = 5;

/// What drawing needs besides the state.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The colours.
    pub palette: Palette,
    /// The zone in which times are shown.
    pub zone: jiff::tz::TimeZone,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
}

/// Draws everything. Notes in the state how much was shown, which keys need for pages.
pub fn draw(frame: &mut Frame<'_>, app: &mut App, scene: &Scene) {
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    header(frame, top, app, scene);
    let detail_area = match app.detail {
        false => {
            list::draw(frame, middle, app, scene);
            None
        }
        true => {
            let (left, right) = split(middle);
            list::draw(frame, left, app, scene);
            Some(right)
        }
    };
    if let Some(area) = detail_area {
        detail::draw(frame, area, app, scene);
    }
    footer(frame, bottom, app, scene);
    popup::draw(frame, app, scene);
}

/// Where list and details go: side by side, or one above the other.
fn split(area: Rect) -> (Rect, Rect) {
    if area.width >= WIDE_COLUMNS {
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(46), Constraint::Fill(1)]).areas(area);
        return (left, right);
    }
    let rows = (area.height / 3).max(LIST_ROWS_MIN).min(area.height);
    let [above, below] =
        Layout::vertical([Constraint::Length(rows), Constraint::Fill(1)]).areas(area);
    (above, below)
}

/// The name, where events go, and how it stands with the gateway; then a line.
fn header(frame: &mut Frame<'_>, area: Rect, app: &App, scene: &Scene) {
    let palette = &scene.palette;
    let width = usize::from(area.width);
    let (sign, words, style) = match &app.link {
        Link::Connecting => ("○", "connecting".to_owned(), palette.warning),
        Link::Connected => ("●", "connected".to_owned(), palette.good),
        Link::Lost(why) => ("○", format!("reconnecting: {why}"), palette.bad),
        Link::Paused => ("‖", "paused: events wait at the gateway".to_owned(), palette.warning),
    };
    let state = text::cut(&format!("{sign} {}", text::harmless(&words, false)), width / 2);
    let name = format!(" becket listen  {}", text::harmless(&app.about.name, false));
    let to = format!("  → {}", text::harmless(&app.about.forward_to, false));
    let room = width.saturating_sub(text::columns(&state) + 2);
    let name = text::cut(&name, room);
    let to = text::cut(&to, room.saturating_sub(text::columns(&name)));
    let gap = room.saturating_sub(text::columns(&name) + text::columns(&to)) + 1;
    let line = Line::from(vec![
        Span::styled(name, palette.title),
        Span::styled(to, palette.plain),
        Span::raw(" ".repeat(gap)),
        Span::styled(state, style),
    ]);
    let rule = Line::styled("─".repeat(width), palette.dim);
    frame.render_widget(Paragraph::new(vec![line, rule]), area);
}

/// What is typed, what is noticed, or the keys.
fn footer(frame: &mut Frame<'_>, area: Rect, app: &App, scene: &Scene) {
    let palette = &scene.palette;
    let width = usize::from(area.width);
    if let Some((asking, typed)) = &app.asking {
        let label = match asking {
            Asking::Filter => " filter (type: source: status: failed late repeat)",
            Asking::Search => " search",
        };
        let label =
            if width < 76 { label.split('(').next().unwrap_or(label).trim_end() } else { label };
        let typed = text::harmless(typed, false);
        let line = Line::from(vec![
            Span::styled(format!("{label}: "), palette.title),
            Span::raw(typed),
            Span::styled("▏", palette.title),
        ]);
        frame.render_widget(Paragraph::new(line), area);
        return;
    }
    if let Some(notice) = app.noticed(scene.now_ms) {
        let line =
            format!(" {}", text::cut(&text::harmless(notice, false), width.saturating_sub(1)));
        frame.render_widget(Paragraph::new(Line::styled(line, palette.warning)), area);
        return;
    }
    let counts = format!("{} ok  {} failed ", app.counts.succeeded, app.counts.failed);
    let keys: &[(&str, &str)] = match app.focus {
        Focus::List => &[
            ("?", "help"),
            ("q", "quit"),
            ("⏎", "details"),
            ("r", "replay"),
            ("c", "curl"),
            ("f", "filter"),
            ("/", "search"),
            ("p", "pause"),
            ("↑↓", "move"),
        ],
        Focus::Detail => &[
            ("?", "help"),
            ("q", "quit"),
            ("↑↓", "scroll"),
            ("esc", "close"),
            ("tab", "list"),
            ("r", "replay"),
            ("c", "curl"),
        ],
    };
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    let room = width.saturating_sub(text::columns(&counts));
    for (key, what) in keys {
        let columns = text::columns(key) + text::columns(what) + 3;
        if used + columns > room {
            break;
        }
        used += columns;
        spans.push(Span::styled(*key, palette.key));
        spans.push(Span::styled(format!(" {what}  "), palette.plain));
    }
    spans.push(Span::raw(" ".repeat(room.saturating_sub(used))));
    if text::columns(&counts) < width {
        let style = if app.counts.failed > 0 { palette.bad } else { palette.dim };
        spans.push(Span::styled(counts, style));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

#[cfg(test)]
mod tests;

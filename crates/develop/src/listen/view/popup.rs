//! What lies over everything else: the keys, and a line that was copied.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::Scene;
use crate::listen::state::{App, Popup};
use crate::listen::text;

const KEYS: [(&str, &str); 13] = [
    ("↑ ↓  k j", "move in the list; scroll in the details"),
    ("PgUp PgDn", "a page up or down"),
    ("Home End", "to the first, to the newest (and follow it)"),
    ("enter", "details: headers, body, response"),
    ("tab", "from the list to the details and back"),
    ("esc", "close the details, take the filter away"),
    ("r", "replay: the gateway sends the event again"),
    ("c", "copy the request as a curl command"),
    ("f", "filter: words, type:push status:5 failed late repeat"),
    ("/  n", "search in types, headers and bodies; next"),
    ("p", "pause: events wait at the gateway; again to go on"),
    ("?", "this"),
    ("q  ctrl-c", "quit; what comes meanwhile waits for you"),
];

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, scene: &Scene) {
    let palette = &scene.palette;
    match &app.popup {
        None => {}
        Some(Popup::Help) => {
            let lines = KEYS.map(|(key, what)| {
                Line::from(vec![
                    Span::styled(format!(" {} ", text::padded(key, 10)), palette.key),
                    Span::raw(what),
                ])
            });
            let area = centred(frame.area(), 72, KEYS.len() as u16 + 2);
            let block = Block::bordered().title(" Keys ").border_style(palette.dim);
            frame.render_widget(Clear, area);
            frame.render_widget(Paragraph::new(lines.to_vec()).block(block), area);
        }
        Some(Popup::Curl(line)) => {
            let whole = frame.area();
            let width = whole.width.saturating_sub(4).min(110);
            let inner = usize::from(width.saturating_sub(2)).max(1);
            let shown = pieces(&text::harmless(line, false), inner);
            let rows = u16::try_from(shown.len()).unwrap_or(u16::MAX);
            let area = centred(whole, width, rows.saturating_add(2));
            let block = Block::bordered()
                .title(" copied to the clipboard, if the terminal lets it ")
                .border_style(palette.dim);
            let text = Paragraph::new(shown).block(block);
            frame.render_widget(Clear, area);
            frame.render_widget(text, area);
        }
    }
}

/// A text in pieces of at most so many columns, as a shell would show it.
fn pieces(line: &str, width: usize) -> Vec<Line<'static>> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for character in line.chars() {
        let columns = text::columns(character.encode_utf8(&mut [0; 4]));
        if used + columns > width {
            pieces.push(String::new());
            used = 0;
        }
        used += columns;
        if let Some(piece) = pieces.last_mut() {
            piece.push(character);
        }
    }
    pieces.into_iter().map(Line::raw).collect()
}

/// An area in the middle, no larger than the whole.
fn centred(whole: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(whole.width), height.min(whole.height));
    Rect {
        x: whole.x + (whole.width - width) / 2,
        y: whole.y + (whole.height - height) / 2,
        width,
        height,
    }
}

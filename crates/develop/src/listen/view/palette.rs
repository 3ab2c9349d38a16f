//! Styles by what they mean; the same words without colour.

use ratatui::style::{Color, Modifier, Style};

/// How things look.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    /// Everything else.
    pub plain: Style,
    /// Names of parts.
    pub title: Style,
    /// What is less important.
    pub dim: Style,
    /// Good news.
    pub good: Style,
    /// Bad news.
    pub bad: Style,
    /// What wants attention.
    pub warning: Style,
    /// Keys to press.
    pub key: Style,
    /// The selected row.
    pub selected: Style,
    /// Names in JSON and headers.
    pub name: Style,
    /// Texts in JSON.
    pub string: Style,
    /// Numbers and words in JSON.
    pub number: Style,
}

impl Palette {
    /// The sixteen colours that every terminal has, so that the user's own theme decides.
    #[must_use]
    pub fn colours() -> Self {
        let of = |colour: Color| Style::new().fg(colour);
        Self {
            plain: Style::new(),
            title: Style::new().add_modifier(Modifier::BOLD),
            dim: of(Color::DarkGray),
            good: of(Color::Green),
            bad: of(Color::Red).add_modifier(Modifier::BOLD),
            warning: of(Color::Yellow),
            key: of(Color::Cyan).add_modifier(Modifier::BOLD),
            selected: Style::new().add_modifier(Modifier::REVERSED),
            name: of(Color::Cyan),
            string: of(Color::Green),
            number: of(Color::Yellow),
        }
    }

    /// Nothing but bold and reversed, for `NO_COLOR`.
    #[must_use]
    pub fn monochrome() -> Self {
        let (plain, bold) = (Style::new(), Style::new().add_modifier(Modifier::BOLD));
        Self {
            plain,
            title: bold,
            dim: plain,
            good: plain,
            bad: bold,
            warning: bold,
            key: bold,
            selected: Style::new().add_modifier(Modifier::REVERSED),
            name: bold,
            string: plain,
            number: plain,
        }
    }
}

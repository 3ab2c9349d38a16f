//! A message as it is told, whatever service it goes to.
//!
//! Invariant: every text here is escaped for the service already, title and lines have no line ends.

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    /// One line: what it is about.
    pub(crate) title: String,
    /// Any number of lines.
    pub(crate) text: String,
    /// A further line in small print, such as where the event can be looked at.
    pub(crate) link: Option<String>,
}

/// One event of a digest, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) message: Message,
    /// The event in a single line.
    pub(crate) line: String,
}

//! Messages to people about events: Slack, Discord, Microsoft Teams, any JSON webhook that takes a
//! `text`, and e-mail.
//!
//! Role: an [`Action`](becket_egress::action::Action) that makes a readable message of a delivery and
//! counts the delivery as made once the service has accepted the message that tells of it. A storm
//! becomes one message: the first event is told at once, those that follow within the window are
//! collected.
//!
//! Invariants:
//! - An event that is collected is not acknowledged: it is put back, to be asked about again when its
//!   message is out. So a crash loses nothing; at worst an event is told twice.
//! - Memory is bounded: of a collected event its id is kept, of some a line, of none the body.
//! - What stands in an event is shown and never obeyed: no markup, no mentions, no header lines.
//! - The addresses of webhooks are secrets: they are in no error, no log and no outcome.
//!
//! Deliberately absent: retries and their schedule (the engine), and reading answers in the channel.
//!
//! Where next: [`Notifier`] for the path of one delivery, `digest` for how a storm becomes one message,
//! `texts` for what is said when nobody has written a template, `channel` for each service.

mod channel;
mod cut;
mod digest;
mod error;
mod mail;
mod message;
mod notifier;
mod texts;

pub use error::NotifyError;
pub use mail::{MailSecurity, MailSettings};
pub use notifier::{Notifier, Settings, To};

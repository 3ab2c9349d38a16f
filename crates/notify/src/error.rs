//! What cannot work about a notification, found before anything is sent.

use becket_egress::action::TemplateError;
use becket_egress::policy::TargetRefused;

/// A setting that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The webhook's address is no usable URL. The address itself is a secret and not shown.
    #[error("the address of the {service} webhook cannot be used: {refused}")]
    Url {
        /// The service, as people call it.
        service: &'static str,
        /// Why.
        refused: TargetRefused,
    },
    /// A template is malformed.
    #[error("`{key}` cannot be read: {error}")]
    Template {
        /// `title` or `text`.
        key: &'static str,
        /// What is wrong, and where.
        error: TemplateError,
    },
    /// A mail address is malformed.
    #[error("`{address}` is no mail address; write name@example.com or Name <name@example.com>")]
    Address {
        /// As it is written.
        address: String,
    },
    /// There is nobody to write to.
    #[error("`to` names nobody; add a mail address")]
    NoRecipient,
    /// User name and password belong together.
    #[error("`username` and `password` belong together; give both or neither")]
    HalfAuth,
    /// A password would go over the network for all to read.
    #[error(
        "a password would be sent unencrypted to {server}; use security = \"starttls\" or \"tls\""
    )]
    PlainPassword {
        /// The mail server.
        server: String,
    },
    /// The mail server's name cannot be one.
    #[error("`{server}` is no host name for a mail server")]
    Server {
        /// As it is written.
        server: String,
    },
}

impl NotifyError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "notify_url",
            Self::Template { .. } => "notify_template",
            Self::Address { .. } => "notify_address",
            Self::NoRecipient => "notify_no_recipient",
            Self::HalfAuth => "notify_half_auth",
            Self::PlainPassword { .. } => "notify_plain_password",
            Self::Server { .. } => "notify_server",
        }
    }
}

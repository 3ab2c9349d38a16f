//! Why a move does not go on.

use crate::StoreError;

/// A store could not be moved, or is not the same as the other one.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransferError {
    /// One of the two stores could not do what it was asked.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The target holds something that no move has brought there.
    #[error("{target_name} is not empty: it holds {what}; nothing was written")]
    TargetFilled {
        /// The target.
        target_name: String,
        /// What is there.
        what: String,
    },
    /// The target holds a part of another store.
    #[error("{target_name} holds a part of another store ({source_name}); nothing was written")]
    OtherSource {
        /// The target.
        target_name: String,
        /// The source that it holds a part of.
        source_name: String,
    },
    /// The source is not what it was when the move began.
    #[error(
        "{source_name} has been used since the move to {target_name} began, so what was moved may be out of date"
    )]
    SourceChanged {
        /// The source.
        source_name: String,
        /// The target.
        target_name: String,
    },
    /// An item is not the same on both sides.
    #[error("{item} is not the same: {part} differ between {source_name} and {target_name}")]
    Differs {
        /// What it is called.
        item: String,
        /// Which of its parts.
        part: &'static str,
        /// The source.
        source_name: String,
        /// The target.
        target_name: String,
    },
    /// An item is on one side only.
    #[error("{item} is in {there} but not in {missing_in}")]
    Missing {
        /// What it is called.
        item: String,
        /// Where it is.
        there: String,
        /// Where it is not.
        missing_in: String,
    },
    /// The source tells more or fewer items than it counts.
    #[error("{source_name} counts {counted} {what}, but {read} could be read one after the other")]
    Miscounted {
        /// The source.
        source_name: String,
        /// What is counted.
        what: &'static str,
        /// How many there are by its count.
        counted: u64,
        /// How many were read.
        read: u64,
    },
}

impl TransferError {
    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::TargetFilled { .. } => "target_filled",
            Self::OtherSource { .. } => "target_of_another_source",
            Self::SourceChanged { .. } => "source_changed",
            Self::Differs { .. } => "item_differs",
            Self::Missing { .. } => "item_missing",
            Self::Miscounted { .. } => "items_miscounted",
        }
    }

    /// What to do about it, if there is anything to say beyond the message.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(_) => None,
            Self::TargetFilled { .. } => Some(
                "if this source was moved there before and gateways have used it since, the move is \
                 over: keep it; otherwise name a folder or schema that does not exist yet",
            ),
            Self::OtherSource { .. } => {
                Some("move that source, or remove the target and begin again")
            }
            Self::SourceChanged { .. } => {
                Some("stop every gateway on the source, remove the target and begin again")
            }
            Self::Differs { .. } | Self::Missing { .. } => {
                Some("keep the source; was it used meanwhile? remove the target and begin again")
            }
            Self::Miscounted { .. } => Some(
                "keep the source and stop every gateway on it; if that does not help, it is damaged: \
                 restore it from a backup and move that",
            ),
        }
    }
}

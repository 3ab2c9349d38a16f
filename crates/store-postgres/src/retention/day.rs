//! What has to stay of a day, as SQL.
//!
//! Each condition comes in two forms, because a planner that knows little of a fresh table has to be
//! kept from reading far more than is asked for: for a stretch of places, which is said of every
//! table again, and for a list of events, each of which is looked up.

use crate::events::columns::NEXT_FAILED;
use crate::partitions::{TABLES, column_of, first_of, is_far};
use crate::shared::Shared;

/// Which of a day's events of a kind stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stays {
    /// All of them.
    Always,
    /// Those received from this moment on, in milliseconds since 1970.
    Since(i64),
    /// None.
    Never,
}

/// What has to stay of a day. What is pending always does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// Events with a failed delivery.
    pub(super) failed: Stays,
    /// Events without one.
    pub(super) ended: Stays,
    /// What waits for an endpoint that the API made, and that was removed before this, is not
    /// pending any more.
    pub(super) removed_before_ms: i64,
}

impl Keep {
    /// What waits for an endpoint that is there, and whatever else `from` says.
    pub(super) const fn pending(from: Stays) -> Self {
        Self { failed: from, ended: from, removed_before_ms: i64::MAX }
    }
}

/// How a condition is to be looked up.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// The places above `$1`, up to `$2`.
    Stretch,
    /// One by one.
    Each,
}

impl Form {
    /// The end of a query for rows of a table that belong to an event.
    fn end(self, alias: &str) -> String {
        match self {
            Self::Stretch => {
                format!("AND {alias}.event_seq > $1 AND {alias}.event_seq <= $2")
            }
            // The planner makes no join of what has this.
            Self::Each => "OFFSET 0".to_owned(),
        }
    }
}

/// A day that somebody takes in hand.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) number: i32,
    /// Tells who took it in hand from whoever did so before, in the same node too.
    pub(super) run: i64,
    pub(super) is_far: bool,
    keep: Keep,
    now_ms: i64,
}

impl Day {
    pub(super) fn new(shared: &Shared, number: i32, keep: Keep, now_ms: i64) -> Self {
        let mut run = [0; 8];
        shared.noise.fill(&mut run);
        let run = i64::from_le_bytes(run);
        Self { number, run, is_far: is_far(number, now_ms), keep, now_ms }
    }

    /// The lowest place of the day, and the lowest behind it.
    pub(super) const fn bounds(&self) -> (i64, i64) {
        (first_of(self.number), first_of(self.number.saturating_add(1)))
    }

    /// The names of the day's tables.
    pub(super) fn tables(&self) -> String {
        TABLES.map(|table| format!("{table}_{}", self.number)).join(", ")
    }

    /// Whether a row of `delivery` is one of which nothing will become any more. One under way is let
    /// end.
    fn dead(&self, alias: &str) -> String {
        // State 3 is removed, origin 1 the API; what the file declared may come back. The planner makes
        // no join of what is compared with true: it would go through a stretch once for each endpoint.
        format!(
            "((({alias}.endpoint IN (SELECT key FROM endpoint
                 WHERE state = 3 AND origin = 1 AND updated_at_ms < {})) IS TRUE)
              AND ({alias}.lease = 0 OR {alias}.lease_until_ms <= {}))",
            self.keep.removed_before_ms, self.now_ms
        )
    }

    /// Whether the event `seq` has a row in `delivery`, of those of which `which` is true.
    fn pending(&self, form: Form, which: &str) -> String {
        format!(
            "EXISTS (SELECT FROM delivery AS waiting WHERE waiting.event_seq = seq AND {which} {})",
            form.end("waiting")
        )
    }

    /// Whether the event `seq` stays for when it was received.
    fn is_young(&self, form: Form) -> String {
        let failed = format!(
            "EXISTS (SELECT FROM attempt_{} AS ended WHERE ended.event_seq = seq
                 AND ended.next_kind >= {NEXT_FAILED} {})",
            self.number,
            form.end("ended")
        );
        match (self.keep.failed, self.keep.ended) {
            (Stays::Always, Stays::Always) => "true".to_owned(),
            (Stays::Never, Stays::Never) => "false".to_owned(),
            (Stays::Always, Stays::Never) => failed,
            (Stays::Never, Stays::Always) => format!("NOT {failed}"),
            (Stays::Since(one), Stays::Since(other)) if one == other => {
                format!("received_at_ms >= {one}")
            }
            (failed_from, ended_from) => format!(
                "received_at_ms >= CASE WHEN {failed} THEN {} ELSE {} END",
                moment(failed_from),
                moment(ended_from)
            ),
        }
    }

    /// Whether anything of the places above `$1`, up to `$2`, may go.
    pub(super) fn something_goes(&self) -> String {
        format!("SELECT EXISTS (SELECT {})", self.going())
    }

    /// When the first of the places above `$1`, up to `$2`, that may go was received.
    pub(super) fn first_received(&self) -> String {
        format!("SELECT min(received_at_ms) {}", self.going())
    }

    fn going(&self) -> String {
        let pending = self.pending(Form::Stretch, &format!("NOT {}", self.dead("waiting")));
        format!(
            "FROM event_{} WHERE seq > $1 AND seq <= $2 AND NOT ({pending} OR {})",
            self.number,
            self.is_young(Form::Stretch)
        )
    }

    /// Removes the deliveries of which nothing will become from the events at the places above `$1`, up
    /// to `$2`, that have nothing else to stay for.
    pub(super) fn let_go(&self) -> String {
        format!(
            "DELETE FROM delivery WHERE event_seq > $1 AND event_seq <= $2 AND {}
                 AND event_seq IN (SELECT seq {})",
            self.dead("delivery"),
            self.going()
        )
    }

    /// Whether there is any endpoint of which deliveries are let go.
    pub(super) fn any_removed(&self) -> String {
        format!(
            "SELECT EXISTS (SELECT FROM endpoint
                 WHERE state = 3 AND origin = 1 AND updated_at_ms < {})",
            self.keep.removed_before_ms
        )
    }

    /// The events at the places above `$1`, up to `$2`, that stay, in their order, and their sizes.
    pub(super) fn staying(&self) -> String {
        format!(
            "SELECT seq, size_bytes FROM event_{} WHERE seq > $1 AND seq <= $2 AND ({} OR {})
             ORDER BY seq",
            self.number,
            self.pending(Form::Stretch, "true"),
            self.is_young(Form::Stretch)
        )
    }

    /// Copies the events `$1` with everything that belongs to them into the fresh tables; nothing if run
    /// `$3` has the day `$2` in hand no more. Whoever takes it waits for this statement.
    pub(super) fn copy(&self) -> String {
        let number = self.number;
        let parts = TABLES.map(|table| {
            let column = column_of(table);
            format!(
                "INSERT INTO {table}_{number}_kept SELECT * FROM {table}_{number}
                 WHERE {column} = ANY($1::bigint[]) AND EXISTS (SELECT FROM ours)"
            )
        });
        let [event, attempt, replay, duplicate] = parts;
        let ours = super::hold::RENEW;
        format!(
            "WITH ours AS ({ours} RETURNING 1), a AS ({attempt}), r AS ({replay}), d AS ({duplicate})
             {event}"
        )
    }

    /// [`Self::staying`] of the events `$1`.
    pub(super) fn staying_of(&self) -> String {
        format!(
            "SELECT seq, size_bytes FROM event_{} WHERE seq = ANY($1::bigint[]) AND ({} OR {})
             ORDER BY seq",
            self.number,
            self.pending(Form::Each, "true"),
            self.is_young(Form::Each)
        )
    }
}

const fn moment(from: Stays) -> i64 {
    match from {
        Stays::Always => i64::MIN,
        Stays::Since(at_ms) => at_ms,
        Stays::Never => i64::MAX,
    }
}

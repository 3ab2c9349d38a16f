//! Whether a commit waits for the disk, said inside the transaction that it is about.
//!
//! Invariants: nothing about it is ever set for a session. A pooler may hand the server's process on to
//! another session of ours with whatever was set in it, and a server, a database or a role may have any
//! default: what acknowledges raises what it finds, and what relaxes it does so for itself only. Both
//! are conditions that always hold, which the server looks at once in a statement, before it commits;
//! they cost no round trip of their own.
//!
//! Deliberately absent: `local`, which waits for the disk of this server but not for a standby, is left
//! as the operator has set it; `advice` says what that means.

/// A condition by which the transaction is on the disk, and on the synchronous standby if one is
/// wanted, when it is told to be committed.
macro_rules! durable {
    () => {
        "(SELECT set_config('synchronous_commit',
            CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                ELSE current_setting('synchronous_commit') END, true)) IS NOT NULL"
    };
}

/// A condition by which the transaction waits for no disk: a crash of the database may undo it.
macro_rules! hasty {
    () => {
        "(SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL"
    };
}

pub(crate) use {durable, hasty};

//! What the database said of itself, and what that means. Pure.

use becket_store::cluster::Advice;

/// A transaction that is open for so long keeps the hot tables from being cleaned.
const HELD_S: i64 = 900;
/// The same, where only transactions that have gone by are known.
const HELD_TRANSACTIONS: i64 = 5_000_000;
/// From this age on the database comes closer to stopping than it should, and from that on soon.
const AGE: i64 = 600_000_000;
const AGE_URGENT: i64 = 1_200_000_000;
/// So much WAL, kept for nobody, is not by chance.
const RETAINED_BYTES_URGENT: i64 = 1 << 30;
/// The oldest version that the tests have run on.
const VERSION: i32 = 150_000;

/// The server's settings.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) fsync: bool,
    pub(super) full_page_writes: bool,
    pub(super) synchronous_commit: String,
    pub(super) standby_names: String,
    pub(super) autovacuum: bool,
    /// For everybody who is not a superuser.
    pub(super) connections: i64,
    pub(super) version: i32,
    /// How many transactions the oldest unfrozen row is old.
    pub(super) age: i64,
    /// Of the database and of the user; negative is none.
    pub(super) connection_limits: [i64; 2],
    /// Whether the user sees what other users' sessions do.
    pub(super) sees_all: bool,
}

/// Standbys that are connected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standbys {
    pub(super) connected: i64,
    pub(super) synchronous: i64,
}

/// Who keeps old versions of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Session,
    Prepared,
    Standby,
    Slot,
}

impl Holder {
    pub(super) fn of(word: &str) -> Self {
        match word {
            "session" => Self::Session,
            "prepared" => Self::Prepared,
            "standby" => Self::Standby,
            _ => Self::Slot,
        }
    }
}

/// Something that keeps old versions of rows.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) kind: Holder,
    pub(super) name: String,
    pub(super) seconds: i64,
    pub(super) transactions: i64,
}

/// A replication slot that nobody reads from.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) lost: bool,
    /// Whether `max_slot_wal_keep_size` bounds it.
    pub(super) limited: bool,
    pub(super) retained_bytes: i64,
}

/// The archive of the WAL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Archive {
    pub(super) on: bool,
    pub(super) failures: i64,
    pub(super) failing: bool,
}

/// Everything that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) settings: Option<Settings>,
    pub(super) standbys: Option<Standbys>,
    pub(super) held: Vec<Held>,
    pub(super) slots: Vec<Slot>,
    pub(super) archive: Option<Archive>,
    pub(super) nodes: i64,
    pub(super) connections_per_node: i64,
}

impl Found {
    /// What to tell, the urgent first.
    pub(super) fn judge(&self) -> Vec<Advice> {
        let mut all = Vec::new();
        if let Some(settings) = &self.settings {
            durability(settings, &mut all);
            if let Some(standbys) = self.standbys {
                replication(settings, standbys, &mut all);
            }
            upkeep(settings, &mut all);
            self.connections(settings, &mut all);
        }
        all.extend(self.held.iter().filter_map(holds));
        all.extend(self.slots.iter().map(abandoned));
        if let Some(archive) = self.archive.filter(|archive| archive.on && archive.failing) {
            all.push(urgent(
                "archive_failing",
                format!(
                    "the archive of the WAL fails ({} times so far), so backups have a gap and the \
                     server's disk fills up; see archive_command and the server's log",
                    archive.failures
                ),
            ));
        }
        all.sort_by_key(|advice| !advice.urgent);
        all
    }

    fn connections(&self, settings: &Settings, all: &mut Vec<Advice>) {
        let limits = settings.connection_limits.into_iter().filter(|limit| *limit >= 0);
        let there = limits.fold(settings.connections, i64::min);
        let wanted = self.nodes * self.connections_per_node;
        if wanted > there {
            all.push(notice(
                "connections_few",
                format!(
                    "{} nodes may open {wanted} connections and the server has {there} for them; \
                     raise max_connections (or the limit of the user or the database), or give each \
                     node a smaller pool",
                    self.nodes
                ),
            ));
        }
    }
}

fn urgent(code: &'static str, text: impl Into<String>) -> Advice {
    Advice { code, text: text.into(), urgent: true }
}

fn notice(code: &'static str, text: impl Into<String>) -> Advice {
    Advice { code, text: text.into(), urgent: false }
}

/// What could not be looked at.
pub(super) fn incomplete(missed: &[String]) -> Advice {
    notice(
        "advice_incomplete",
        format!("some things could not be looked at: {}", missed.join("; ")),
    )
}

fn durability(settings: &Settings, all: &mut Vec<Advice>) {
    if !settings.fsync {
        let text = "fsync is off: after a crash of the server's machine the database may be unusable; \
                    set fsync = on";
        all.push(urgent("fsync_off", text));
    }
    if !settings.full_page_writes {
        let text = "full_page_writes is off: a crash of the server's machine may leave torn pages; set \
                    full_page_writes = on unless the file system excludes them";
        all.push(urgent("full_page_writes_off", text));
    }
    let commit = settings.synchronous_commit.as_str();
    let has_standby = !settings.standby_names.is_empty();
    match commit {
        "off" => all.push(notice(
            "synchronous_commit_off",
            "synchronous_commit is off by default for Becket's user: what Becket acknowledges is on \
             the disk all the same, what else it writes may be lost by a crash; set \
             synchronous_commit = on for it",
        )),
        "local" if has_standby => all.push(urgent(
            "synchronous_commit_local",
            "synchronous_commit is local: commits do not wait for the synchronous standby, so a \
             failover loses acknowledged events; set synchronous_commit = on for Becket's user",
        )),
        _ => {}
    }
}

fn replication(settings: &Settings, standbys: Standbys, all: &mut Vec<Advice>) {
    if settings.standby_names.is_empty() {
        if standbys.connected > 0 {
            all.push(urgent(
                "standby_asynchronous",
                format!(
                    "{} standby servers follow asynchronously: when one of them is made the primary, \
                     the events acknowledged last are lost; set synchronous_standby_names (Patroni: \
                     synchronous_mode: true)",
                    standbys.connected
                ),
            ));
        }
    } else if settings.sees_all && standbys.synchronous == 0 {
        all.push(urgent(
            "standby_missing",
            "synchronous_standby_names names standbys and none of them is connected: commits wait, and \
             senders are asked to come again; bring a standby back, or change the setting",
        ));
    }
}

fn upkeep(settings: &Settings, all: &mut Vec<Advice>) {
    if !settings.autovacuum {
        let text =
            "autovacuum is off: tables grow and everything becomes slower; set autovacuum = on";
        all.push(urgent("autovacuum_off", text));
    }
    if settings.age > AGE {
        let text = format!(
            "the oldest rows are {} million transactions old, and at 2,000 million the database stops; \
             look for what keeps autovacuum from freezing them (old transactions, slots), then run \
             VACUUM FREEZE",
            settings.age / 1_000_000
        );
        let is_urgent = settings.age > AGE_URGENT;
        all.push(Advice { code: "transaction_age", text, urgent: is_urgent });
    }
    if settings.version < VERSION {
        let text = format!(
            "the server is PostgreSQL {}; Becket is tested on {} and later",
            settings.version / 10_000,
            VERSION / 10_000
        );
        all.push(notice("server_old", text));
    }
    if !settings.sees_all {
        all.push(notice(
            "rights_missing",
            "Becket's user may not see what other sessions and standbys do, so not everything can be \
             looked after; GRANT pg_monitor TO it",
        ));
    }
}

fn holds(held: &Held) -> Option<Advice> {
    if held.seconds < HELD_S && held.transactions < HELD_TRANSACTIONS {
        return None;
    }
    let since = if held.seconds >= HELD_S {
        format!("for {} minutes", held.seconds / 60)
    } else {
        format!("for {} million transactions", held.transactions / 1_000_000)
    };
    let name = &held.name;
    let (who, what) = match held.kind {
        Holder::Session => (
            format!("a transaction of `{name}` is open"),
            "end it (a backup, a report, \
             a session that was left open)",
        ),
        Holder::Prepared => (
            format!("the prepared transaction `{name}` is there"),
            "COMMIT PREPARED or \
             ROLLBACK PREPARED it",
        ),
        Holder::Standby => (
            format!("a query on the standby `{name}` holds old rows"),
            "end it, or turn \
             hot_standby_feedback off",
        ),
        Holder::Slot => (
            format!("the replication slot `{name}` holds old rows"),
            "drop it, or let its \
             consumer go on",
        ),
    };
    let text = format!(
        "{who} {since}: what deliveries leave behind cannot be cleaned up and leasing becomes slower; \
         {what}"
    );
    Some(notice("xmin_held", text))
}

fn abandoned(slot: &Slot) -> Advice {
    let name = &slot.name;
    if slot.lost {
        let text = format!(
            "the replication slot `{name}` has lost what its consumer needs; drop it and make the \
             standby anew"
        );
        return notice("slot_lost", text);
    }
    let size = bytes(slot.retained_bytes);
    let bound = if slot.limited { "" } else { ", without a bound," };
    let text = format!(
        "nobody reads from the replication slot `{name}`, for which the server keeps {size} of WAL{bound} \
         until its disk is full; bring its consumer back or drop it (pg_drop_replication_slot), and set \
         max_slot_wal_keep_size"
    );
    let urgent = slot.retained_bytes > RETAINED_BYTES_URGENT && !slot.limited;
    Advice { code: "slot_abandoned", text, urgent }
}

fn bytes(count: i64) -> String {
    const UNITS: [(&str, i64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = UNITS.iter().find(|(_, size)| count >= *size);
    unit.map_or_else(|| format!("{count} bytes"), |(name, size)| format!("{} {name}", count / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Found {
        Found {
            settings: Some(Settings {
                fsync: true,
                full_page_writes: true,
                synchronous_commit: "on".to_owned(),
                standby_names: String::new(),
                autovacuum: true,
                connections: 97,
                version: 150_004,
                age: 200_000_000,
                connection_limits: [-1, -1],
                sees_all: true,
            }),
            standbys: Some(Standbys { connected: 0, synchronous: 0 }),
            held: Vec::new(),
            slots: Vec::new(),
            archive: Some(Archive { on: false, failures: 0, failing: false }),
            nodes: 3,
            connections_per_node: 24,
        }
    }

    fn told(change: impl FnOnce(&mut Found, &mut Settings)) -> Vec<(&'static str, bool)> {
        let mut found = healthy();
        let mut settings = found.settings.take().unwrap();
        change(&mut found, &mut settings);
        found.settings = Some(settings);
        found.judge().iter().map(|advice| (advice.code, advice.urgent)).collect()
    }

    #[test]
    fn a_healthy_server_needs_no_advice() {
        assert_eq!(told(|_, _| {}), []);
    }

    #[test]
    fn each_risk_has_its_advice() {
        let one_standby = Standbys { connected: 1, synchronous: 0 };
        assert_eq!(
            told(|found, _| found.standbys = Some(one_standby)),
            [("standby_asynchronous", true)]
        );
        let named = |found: &mut Found, settings: &mut Settings| {
            settings.standby_names = "1 (b)".to_owned();
            found.standbys = Some(one_standby);
        };
        assert_eq!(told(named), [("standby_missing", true)]);
        let synchronous = Standbys { connected: 2, synchronous: 1 };
        let local = |found: &mut Found, settings: &mut Settings| {
            named(found, settings);
            found.standbys = Some(synchronous);
            settings.synchronous_commit = "local".to_owned();
        };
        assert_eq!(told(local), [("synchronous_commit_local", true)]);
        assert_eq!(told(|_, settings| settings.age = 700_000_000), [("transaction_age", false)]);
        assert_eq!(told(|_, settings| settings.age = 1_300_000_000), [("transaction_age", true)]);
        assert_eq!(
            told(|_, settings| settings.connection_limits[1] = 50),
            [("connections_few", false)]
        );
        assert_eq!(told(|found, _| found.nodes = 5), [("connections_few", false)]);
        let failing = Archive { on: true, failures: 3, failing: true };
        assert_eq!(told(|found, _| found.archive = Some(failing)), [("archive_failing", true)]);
    }

    #[test]
    fn what_holds_old_rows_is_told_after_a_while() {
        let held = |kind, seconds, transactions| Held {
            kind,
            name: "x".to_owned(),
            seconds,
            transactions,
        };
        assert!(holds(&held(Holder::Session, 60, 1_000)).is_none());
        let session = holds(&held(Holder::Session, 1_200, 0)).unwrap();
        assert!(session.text.contains("for 20 minutes"), "{}", session.text);
        let slot = holds(&held(Holder::Slot, 0, 7_000_000)).unwrap();
        assert!(slot.text.contains("for 7 million transactions"), "{}", slot.text);
    }

    #[test]
    fn slots_are_told_with_what_they_cost() {
        let slot = |limited, retained_bytes| Slot {
            name: "s".to_owned(),
            lost: false,
            limited,
            retained_bytes,
        };
        let small = abandoned(&slot(false, 32 << 20));
        assert!(
            !small.urgent && small.text.contains("32 MiB of WAL, without a bound"),
            "{}",
            small.text
        );
        assert!(abandoned(&slot(false, 3 << 30)).urgent);
        assert!(!abandoned(&slot(true, 3 << 30)).urgent);
    }
}

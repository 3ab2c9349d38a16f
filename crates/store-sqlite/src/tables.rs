//! The tables of each kind of file, and how older layouts become today's.
//!
//! A file tells its layout by `user_version`. Each upgrade is one transaction with the version in
//! it, so a process that is killed in the middle finds the old layout again. Nothing here is changed
//! once it has been released; a new layout gets a new number and a new upgrade.

/// What a kind of file consists of.
pub(crate) struct Layout {
    /// The version of `tables`; a file with a higher one is refused.
    pub(crate) version: i64,
    /// Makes an empty file.
    pub(crate) tables: &'static str,
    /// `upgrades[n]` makes layout `n + 2` of layout `n + 1`.
    pub(crate) upgrades: &'static [&'static str],
}

/// A segment: everything about its events, the wide rows (`payload`) apart from the narrow ones.
pub(crate) const SEGMENT: Layout =
    Layout { version: 3, tables: SEGMENT_TABLES, upgrades: &[SEGMENT_2, SEGMENT_3] };

/// The small state.
pub(crate) const CATALOG: Layout =
    Layout { version: 2, tables: CATALOG_TABLES, upgrades: &[CATALOG_2] };

/// Refused requests.
pub(crate) const QUARANTINE: Layout =
    Layout { version: 2, tables: QUARANTINE_TABLES, upgrades: &[QUARANTINE_2] };

/// Events say things about themselves, and when their payload is to be removed.
const SEGMENT_2: &str = "
ALTER TABLE event ADD COLUMN labels TEXT;
CREATE TABLE expiring(
    until_ms INTEGER NOT NULL,
    event_seq INTEGER NOT NULL,
    PRIMARY KEY(until_ms, event_seq)
) WITHOUT ROWID;
";

/// Which refused requests have become events here, until they are out of quarantine for certain.
const SEGMENT_3: &str = "
CREATE TABLE released(
    number INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    PRIMARY KEY(number, received_at_ms)
) WITHOUT ROWID;
";

const SEGMENT_TABLES: &str = "
CREATE TABLE event(
    seq INTEGER PRIMARY KEY,
    tail BLOB NOT NULL,
    application INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    disposition INTEGER NOT NULL,
    dedupe BLOB,
    dedupe_until_ms INTEGER,
    size_bytes INTEGER NOT NULL,
    event_type TEXT,
    planned BLOB NOT NULL,
    labels TEXT
);
CREATE TABLE payload(seq INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE expiring(
    until_ms INTEGER NOT NULL,
    event_seq INTEGER NOT NULL,
    PRIMARY KEY(until_ms, event_seq)
) WITHOUT ROWID;
CREATE TABLE attempt(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    next_kind INTEGER NOT NULL,
    next_at_ms INTEGER NOT NULL,
    tail BLOB NOT NULL,
    trigger INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    error_code TEXT,
    detail BLOB NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation, number)
) WITHOUT ROWID;
CREATE TABLE replay(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation)
) WITHOUT ROWID;
CREATE TABLE moved(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation)
) WITHOUT ROWID;
CREATE TABLE duplicate(
    event_seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    PRIMARY KEY(event_seq, number)
) WITHOUT ROWID;
CREATE TABLE pending(
    endpoint INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    event_seq INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY(endpoint, due_ms, event_seq, generation)
) WITHOUT ROWID;
CREATE INDEX pending_event ON pending(event_seq, endpoint, generation);
CREATE TABLE failed(
    event_seq INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY(event_seq, endpoint, generation)
) WITHOUT ROWID;
CREATE TABLE progress(step INTEGER NOT NULL);
INSERT INTO progress VALUES(0);
CREATE TABLE released(
    number INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    PRIMARY KEY(number, received_at_ms)
) WITHOUT ROWID;
";

/// The indexes that a segment gets when nothing is added to it any more.
pub(crate) const SEAL_STEPS: &[&str] = &[
    "CREATE INDEX IF NOT EXISTS event_dedupe ON event(dedupe) WHERE dedupe IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS event_application ON event(application)",
    "CREATE INDEX IF NOT EXISTS event_by_type ON event(event_type)",
    "CREATE INDEX IF NOT EXISTS failed_endpoint ON failed(endpoint)",
];

/// Sources become applications of a kind, names become optional, documents arrive.
const CATALOG_2: &str = "
CREATE TABLE application(
    key INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    id BLOB NOT NULL,
    uid TEXT,
    origin INTEGER NOT NULL,
    settings TEXT NOT NULL,
    credentials BLOB,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    removed INTEGER NOT NULL
);
INSERT INTO application
    SELECT key, owner, 1, unhex(hex(id) || '00000000'), uid, origin,
           json_object('provider', provider), NULL, created_at_ms, created_at_ms, removed
    FROM source ORDER BY key;
CREATE TABLE endpoint_2(
    key INTEGER PRIMARY KEY,
    application INTEGER NOT NULL REFERENCES application(key),
    uid TEXT,
    id BLOB NOT NULL UNIQUE,
    origin INTEGER NOT NULL,
    settings TEXT NOT NULL,
    headers BLOB,
    state INTEGER NOT NULL,
    state_reason TEXT NOT NULL,
    failing_since_ms INTEGER,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
);
INSERT INTO endpoint_2
    SELECT key, application, uid, id, origin, settings, NULL, state, state_reason,
           failing_since_ms, created_at_ms, updated_at_ms
    FROM endpoint ORDER BY key;
DROP TABLE endpoint;
ALTER TABLE endpoint_2 RENAME TO endpoint;
DROP TABLE source;
CREATE TABLE document(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner INTEGER NOT NULL,
    kind TEXT NOT NULL,
    application INTEGER NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    sealed BLOB,
    expires_at_ms INTEGER,
    revision INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
);
ALTER TABLE segment ADD COLUMN expiring_ms INTEGER;
CREATE INDEX application_owner ON application(owner);
CREATE INDEX application_id ON application(owner, kind, id) WHERE removed = 0;
CREATE UNIQUE INDEX application_uid ON application(owner, kind, uid)
    WHERE uid IS NOT NULL AND removed = 0;
CREATE INDEX application_gone ON application(owner, kind, uid)
    WHERE uid IS NOT NULL AND removed = 1;
CREATE INDEX application_key ON application(substr(credentials, 1, 1))
    WHERE credentials IS NOT NULL;
CREATE INDEX endpoint_id ON endpoint(application, id) WHERE state != 3;
CREATE INDEX endpoint_application ON endpoint(application);
CREATE UNIQUE INDEX endpoint_uid ON endpoint(application, uid)
    WHERE uid IS NOT NULL AND state != 3;
CREATE INDEX endpoint_gone ON endpoint(application, uid) WHERE uid IS NOT NULL AND state = 3;
CREATE INDEX endpoint_key ON endpoint(substr(headers, 1, 1)) WHERE headers IS NOT NULL;
CREATE INDEX endpoint_secret_key ON endpoint_secret(substr(envelope, 1, 1));
CREATE UNIQUE INDEX document_name ON document(owner, kind, application, name);
CREATE INDEX document_anywhere ON document(kind, name);
CREATE INDEX document_application ON document(application) WHERE application != 0;
CREATE INDEX document_expiry ON document(expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX document_key ON document(substr(sealed, 1, 1)) WHERE sealed IS NOT NULL;
";

/// `application.kind`: 0 customer, 1 source, 2 operational. `endpoint.state`: 3 is removed.
/// `document.application`: 0 is none. The indexes on the first byte of what is sealed find what
/// another master key has sealed.
const CATALOG_TABLES: &str = "
CREATE TABLE application(
    key INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    id BLOB NOT NULL,
    uid TEXT,
    origin INTEGER NOT NULL,
    settings TEXT NOT NULL,
    credentials BLOB,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    removed INTEGER NOT NULL
);
CREATE TABLE endpoint(
    key INTEGER PRIMARY KEY,
    application INTEGER NOT NULL REFERENCES application(key),
    uid TEXT,
    id BLOB NOT NULL UNIQUE,
    origin INTEGER NOT NULL,
    settings TEXT NOT NULL,
    headers BLOB,
    state INTEGER NOT NULL,
    state_reason TEXT NOT NULL,
    failing_since_ms INTEGER,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
);
CREATE TABLE endpoint_secret(
    endpoint INTEGER NOT NULL REFERENCES endpoint(key),
    number INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    expires_at_ms INTEGER,
    PRIMARY KEY(endpoint, number)
) WITHOUT ROWID;
CREATE TABLE document(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner INTEGER NOT NULL,
    kind TEXT NOT NULL,
    application INTEGER NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    sealed BLOB,
    expires_at_ms INTEGER,
    revision INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
);
CREATE TABLE setting(
    owner INTEGER NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY(owner, name)
) WITHOUT ROWID;
CREATE TABLE segment(
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    events INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    received_min_ms INTEGER NOT NULL,
    received_max_ms INTEGER NOT NULL,
    dedupe_until_ms INTEGER NOT NULL,
    kinds TEXT NOT NULL,
    compacted INTEGER NOT NULL DEFAULT 0,
    filter BLOB NOT NULL,
    expiring_ms INTEGER
);
CREATE INDEX application_owner ON application(owner);
CREATE INDEX application_id ON application(owner, kind, id) WHERE removed = 0;
CREATE UNIQUE INDEX application_uid ON application(owner, kind, uid)
    WHERE uid IS NOT NULL AND removed = 0;
CREATE INDEX application_gone ON application(owner, kind, uid)
    WHERE uid IS NOT NULL AND removed = 1;
CREATE INDEX application_key ON application(substr(credentials, 1, 1))
    WHERE credentials IS NOT NULL;
CREATE INDEX endpoint_id ON endpoint(application, id) WHERE state != 3;
CREATE INDEX endpoint_application ON endpoint(application);
CREATE UNIQUE INDEX endpoint_uid ON endpoint(application, uid)
    WHERE uid IS NOT NULL AND state != 3;
CREATE INDEX endpoint_gone ON endpoint(application, uid) WHERE uid IS NOT NULL AND state = 3;
CREATE INDEX endpoint_key ON endpoint(substr(headers, 1, 1)) WHERE headers IS NOT NULL;
CREATE INDEX endpoint_secret_key ON endpoint_secret(substr(envelope, 1, 1));
CREATE UNIQUE INDEX document_name ON document(owner, kind, application, name);
CREATE INDEX document_anywhere ON document(kind, name);
CREATE INDEX document_application ON document(application) WHERE application != 0;
CREATE INDEX document_expiry ON document(expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX document_key ON document(substr(sealed, 1, 1)) WHERE sealed IS NOT NULL;
";

/// One source's refused requests are found without passing over the others'.
const QUARANTINE_2: &str = "
CREATE INDEX refused_application ON refused(owner, application, number);
";

const QUARANTINE_TABLES: &str = "
CREATE TABLE refused(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner INTEGER NOT NULL,
    application INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    status INTEGER NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX refused_application ON refused(owner, application, number);
";

-- Documents (`doc`) are JSON of the model types. Columns beside them are what is searched, leased or owned by another writer than the document.
-- Times are microseconds since 1970, from the injected clock.

CREATE TABLE incidents (
    id                 TEXT PRIMARY KEY,
    tenant             TEXT NOT NULL,
    cluster            TEXT NOT NULL,
    fingerprint        TEXT NOT NULL,
    namespace          TEXT,
    phase              TEXT NOT NULL,
    open               INTEGER NOT NULL,
    attempt            INTEGER NOT NULL,
    opened_at          INTEGER NOT NULL,
    closed_at          INTEGER,
    -- intake's
    severity           TEXT NOT NULL,
    occurrences        INTEGER NOT NULL,
    firing             INTEGER NOT NULL,
    alert_resolved_at  INTEGER,
    -- work sharing
    wake_at            INTEGER,
    woken              INTEGER NOT NULL DEFAULT 0,
    lease_worker       TEXT,
    lease_epoch        INTEGER NOT NULL DEFAULT 0,
    lease_until        INTEGER,
    cancel_requested   INTEGER NOT NULL DEFAULT 0,
    -- end of the audit chain
    audit_seq          INTEGER NOT NULL DEFAULT 0,
    audit_hash         TEXT NOT NULL
);

-- Apart from the row above, so that counting an alert or taking a lease does not rewrite it.
CREATE TABLE incident_docs (
    incident_id  TEXT PRIMARY KEY REFERENCES incidents (id),
    doc          TEXT NOT NULL
);

CREATE UNIQUE INDEX incidents_one_open ON incidents (tenant, cluster, fingerprint) WHERE open = 1;
CREATE INDEX incidents_by_fingerprint ON incidents (fingerprint, id);
CREATE INDEX incidents_by_phase ON incidents (phase, id);
-- What is claimed is found by when it is due, so that a claim costs the same however much is open and waits for its time.
CREATE INDEX incidents_due ON incidents (wake_at, opened_at, id, lease_until) WHERE open = 1;
CREATE INDEX incidents_woken ON incidents (opened_at, id, lease_until) WHERE open = 1 AND woken = 1;

CREATE TABLE alerts (
    seq          INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    incident_id  TEXT REFERENCES incidents (id),
    fingerprint  TEXT NOT NULL,
    received_at  INTEGER NOT NULL,
    doc          TEXT NOT NULL
);

CREATE INDEX alerts_by_incident ON alerts (incident_id, seq);

-- The last word of each distinct alert of an incident.
CREATE TABLE alert_words (
    incident_id  TEXT NOT NULL REFERENCES incidents (id),
    alert_key    TEXT NOT NULL,
    firing       INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (incident_id, alert_key)
) WITHOUT ROWID;

CREATE TABLE runs (
    id            TEXT PRIMARY KEY,
    incident_id   TEXT NOT NULL REFERENCES incidents (id),
    state         TEXT NOT NULL,
    ended         INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    wake_at       INTEGER,
    woken         INTEGER NOT NULL DEFAULT 0,
    unread        INTEGER NOT NULL DEFAULT 0,
    lease_worker  TEXT,
    lease_epoch   INTEGER NOT NULL DEFAULT 0,
    lease_until   INTEGER,
    doc           TEXT NOT NULL
);

CREATE INDEX runs_by_incident ON runs (incident_id, id);
CREATE INDEX runs_due ON runs (wake_at, created_at, id, lease_until) WHERE ended = 0;
CREATE INDEX runs_woken ON runs (created_at, id, lease_until) WHERE ended = 0 AND woken = 1;
CREATE INDEX runs_unread ON runs (created_at, id, lease_until) WHERE unread > 0;

CREATE TABLE journal (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id  TEXT NOT NULL REFERENCES runs (id),
    doc     TEXT NOT NULL
);

CREATE INDEX journal_by_run ON journal (run_id, seq);

CREATE TABLE signals (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id    TEXT NOT NULL REFERENCES runs (id),
    consumed  INTEGER NOT NULL DEFAULT 0,
    at        INTEGER NOT NULL,
    doc       TEXT NOT NULL
);

CREATE INDEX signals_unread ON signals (run_id, seq) WHERE consumed = 0;

CREATE TABLE approvals (
    id            TEXT PRIMARY KEY,
    incident_id   TEXT NOT NULL REFERENCES incidents (id),
    run_id        TEXT NOT NULL REFERENCES runs (id),
    state         TEXT NOT NULL,
    requested_at  INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    doc           TEXT NOT NULL
);

CREATE INDEX approvals_pending ON approvals (id) WHERE state = 'pending';

CREATE TABLE target_locks (
    target  TEXT PRIMARY KEY,
    holder  TEXT NOT NULL,
    until   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE intents (
    key          TEXT PRIMARY KEY,
    incident_id  TEXT,
    state        TEXT NOT NULL,
    at           INTEGER NOT NULL,
    doc          TEXT NOT NULL
);

CREATE INDEX intents_by_incident ON intents (incident_id, at);

CREATE TABLE events (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL,
    at           INTEGER NOT NULL,
    tenant       TEXT NOT NULL,
    cluster      TEXT NOT NULL,
    incident_id  TEXT NOT NULL,
    attempt      INTEGER NOT NULL,
    schema       INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    data         TEXT NOT NULL
);

CREATE INDEX events_by_incident ON events (incident_id, seq);

CREATE TABLE audit (
    incident_id  TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    action       TEXT NOT NULL,
    data         TEXT NOT NULL,
    prev_hash    TEXT NOT NULL,
    hash         TEXT NOT NULL,
    PRIMARY KEY (incident_id, seq)
) WITHOUT ROWID;

-- A row that replaces another would delete it without asking the trigger for deletions.
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE incident_id = NEW.incident_id AND seq = NEW.seq) BEGIN
    SELECT RAISE(ABORT, 'audit rows are append-only');
END;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit rows are append-only');
END;

CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit rows are append-only');
END;

CREATE TABLE outbox (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    incident_id  TEXT NOT NULL REFERENCES incidents (id),
    state        TEXT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    due_at       INTEGER NOT NULL,
    last_error   TEXT,
    settled_at   INTEGER,
    doc          TEXT NOT NULL
);

CREATE INDEX outbox_due ON outbox (seq, due_at) WHERE state = 'pending';

CREATE TABLE control (
    key    TEXT PRIMARY KEY,
    value  TEXT NOT NULL,
    actor  TEXT NOT NULL,
    at     INTEGER NOT NULL
) WITHOUT ROWID;

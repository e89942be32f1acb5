-- How long things are kept, and proof of what was kept.

-- Incidents that no retention removes.
CREATE TABLE legal_holds (
    incident_id  TEXT PRIMARY KEY,
    at           INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    reason       TEXT NOT NULL
) WITHOUT ROWID;

-- What stays of an audit chain that was purged: its end. The records form a chain themselves.
CREATE TABLE audit_purges (
    seq          INTEGER PRIMARY KEY,
    incident_id  TEXT NOT NULL UNIQUE,
    rows         INTEGER NOT NULL,
    last_seq     INTEGER NOT NULL,
    last_hash    TEXT NOT NULL,
    last_at      INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    prev_hash    TEXT NOT NULL,
    hash         TEXT NOT NULL
);

-- The ends of all chains that grew since the checkpoint before, in `heads`; signed where a key is configured.
CREATE TABLE audit_checkpoints (
    seq         INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    last_event  INTEGER NOT NULL,
    heads       TEXT NOT NULL,
    purge_seq   INTEGER NOT NULL,
    purge_hash  TEXT NOT NULL,
    prev_hash   TEXT NOT NULL,
    hash        TEXT NOT NULL,
    public_key  TEXT,
    signature   TEXT
);

-- The one way to remove audit rows: after their end was recorded.
DROP TRIGGER audit_no_delete;

CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_purges p WHERE p.incident_id = OLD.incident_id AND p.last_seq >= OLD.seq) BEGIN
    SELECT RAISE(ABORT, 'audit rows are append-only');
END;

CREATE TRIGGER audit_purges_true BEFORE INSERT ON audit_purges
WHEN EXISTS (SELECT 1 FROM audit_purges p WHERE p.seq = NEW.seq OR p.incident_id = NEW.incident_id)
    OR EXISTS (SELECT 1 FROM audit a WHERE a.incident_id = NEW.incident_id AND (a.seq > NEW.last_seq OR (a.seq = NEW.last_seq AND a.hash <> NEW.last_hash)))
BEGIN
    SELECT RAISE(ABORT, 'records of purged audit chains are append-only and name the end of the chain');
END;

CREATE TRIGGER audit_purges_no_update BEFORE UPDATE ON audit_purges BEGIN
    SELECT RAISE(ABORT, 'records of purged audit chains are append-only');
END;

CREATE TRIGGER audit_purges_no_delete BEFORE DELETE ON audit_purges BEGIN
    SELECT RAISE(ABORT, 'records of purged audit chains are append-only');
END;

CREATE TRIGGER audit_checkpoints_no_replace BEFORE INSERT ON audit_checkpoints
WHEN EXISTS (SELECT 1 FROM audit_checkpoints WHERE seq = NEW.seq) BEGIN
    SELECT RAISE(ABORT, 'audit checkpoints are append-only');
END;

CREATE TRIGGER audit_checkpoints_no_update BEFORE UPDATE ON audit_checkpoints BEGIN
    SELECT RAISE(ABORT, 'audit checkpoints are append-only');
END;

CREATE TRIGGER audit_checkpoints_no_delete BEFORE DELETE ON audit_checkpoints BEGIN
    SELECT RAISE(ABORT, 'audit checkpoints are append-only');
END;

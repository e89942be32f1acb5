-- How long things are kept, and proof of what was kept.

-- Incidents that no retention removes.
CREATE TABLE legal_holds (
    incident_id  TEXT COLLATE "C" PRIMARY KEY,
    at           BIGINT NOT NULL,
    actor        TEXT NOT NULL,
    reason       TEXT NOT NULL
);

-- What stays of an audit chain that was purged: its end. The records form a chain themselves.
CREATE TABLE audit_purges (
    seq          BIGINT PRIMARY KEY,
    incident_id  TEXT COLLATE "C" NOT NULL UNIQUE,
    rows         BIGINT NOT NULL,
    last_seq     BIGINT NOT NULL,
    last_hash    TEXT NOT NULL,
    last_at      BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    actor        TEXT NOT NULL,
    prev_hash    TEXT NOT NULL,
    hash         TEXT NOT NULL
);

-- The ends of all chains that grew since the checkpoint before, in `heads`; signed where a key is configured.
CREATE TABLE audit_checkpoints (
    seq         BIGINT PRIMARY KEY,
    at          BIGINT NOT NULL,
    last_event  BIGINT NOT NULL,
    heads       TEXT NOT NULL,
    purge_seq   BIGINT NOT NULL,
    purge_hash  TEXT NOT NULL,
    prev_hash   TEXT NOT NULL,
    hash        TEXT NOT NULL,
    public_key  TEXT,
    signature   TEXT
);

-- The one way to remove audit rows: after their end was recorded.
CREATE FUNCTION audit_refuse_delete() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM audit_purges p WHERE p.incident_id = OLD.incident_id AND p.last_seq >= OLD.seq) THEN
        RAISE EXCEPTION 'audit rows are append-only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;

DROP TRIGGER audit_no_change ON audit;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse_delete();

CREATE FUNCTION audit_purges_check() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM audit a WHERE a.incident_id = NEW.incident_id
               AND (a.seq > NEW.last_seq OR (a.seq = NEW.last_seq AND a.hash <> NEW.last_hash))) THEN
        RAISE EXCEPTION 'records of purged audit chains are append-only and name the end of the chain' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER audit_purges_true BEFORE INSERT ON audit_purges FOR EACH ROW EXECUTE FUNCTION audit_purges_check();
CREATE TRIGGER audit_purges_no_change BEFORE UPDATE OR DELETE ON audit_purges FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_purges_no_truncate BEFORE TRUNCATE ON audit_purges FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoints_no_change BEFORE UPDATE OR DELETE ON audit_checkpoints FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_checkpoints_no_truncate BEFORE TRUNCATE ON audit_checkpoints FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

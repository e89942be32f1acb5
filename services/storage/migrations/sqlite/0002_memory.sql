-- What is remembered of incidents, searched by fingerprint, resource and words.

CREATE TABLE memory (
    -- never used twice, so that whoever goes through the entries by it misses none
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    key            TEXT NOT NULL UNIQUE,
    incident_id    TEXT,
    fingerprint    TEXT NOT NULL,
    category       TEXT,
    opened_at      INTEGER NOT NULL,
    -- when it ended, or was opened
    active_at      INTEGER NOT NULL,
    resource_kind  TEXT NOT NULL,
    resource_ns    TEXT NOT NULL,
    resource_name  TEXT NOT NULL,
    doc            TEXT NOT NULL
);

CREATE INDEX memory_by_fingerprint ON memory (fingerprint, opened_at);
CREATE INDEX memory_by_category ON memory (category, opened_at);
CREATE INDEX memory_by_opened ON memory (opened_at);
CREATE INDEX memory_by_resource ON memory (resource_kind, resource_ns, resource_name, active_at);

-- Only the word index; the text itself is in the document.
CREATE VIRTUAL TABLE memory_words USING fts5 (text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 0');
CREATE VIRTUAL TABLE memory_vocabulary USING fts5vocab ('memory_words', 'row');

-- A journal of version 1 as a host left it: a job with a kept result, and one that ran.
PRAGMA journal_mode = wal;
BEGIN TRANSACTION;
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "counter" VALUES('number',1000);
CREATE TABLE job (
    number        INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    -- 1 for calls that nobody waited to see recorded; only the newest of them are remembered.
    plain         INTEGER NOT NULL,
    state         TEXT NOT NULL,
    protocol      INTEGER NOT NULL,
    kept          INTEGER NOT NULL,
    session       TEXT NOT NULL,
    accelerator   TEXT NOT NULL,
    created       REAL NOT NULL,
    started       REAL,
    ended         REAL,
    bytes_total   INTEGER,
    bytes_read    INTEGER NOT NULL,
    bytes_written INTEGER NOT NULL,
    result        INTEGER,
    fingerprint   TEXT,
    request       TEXT NOT NULL,
    report        TEXT,
    error         TEXT
) STRICT;
INSERT INTO "job" VALUES(7,'mine',0,'done',2,1,'session-1','null',1700000000.0,1700000000.0,1700000000.0,3,3,3,3,'f00d','{}',NULL,NULL);
INSERT INTO "job" VALUES(8,'other',0,'running',2,1,'session-1','null',1700000000.0,1700000000.0,NULL,3,3,3,NULL,'f00d','{}',NULL,NULL);
CREATE TABLE session (
    number      INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    accelerator TEXT NOT NULL,
    protocol    INTEGER NOT NULL,
    used        INTEGER NOT NULL,
    created     REAL NOT NULL,
    ended       REAL,
    source      TEXT,
    parameters  TEXT NOT NULL,
    report      TEXT
) STRICT;
CREATE TABLE usage (
    -- The length of the step.
    seconds       INTEGER NOT NULL,
    start         INTEGER NOT NULL,
    accelerator   TEXT NOT NULL,
    jobs          INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    bytes_read    INTEGER NOT NULL,
    bytes_written INTEGER NOT NULL,
    busy          REAL NOT NULL,
    PRIMARY KEY (seconds, start, accelerator)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_session ON job (session);
CREATE INDEX job_plain ON job (number) WHERE plain;
CREATE INDEX job_kept ON job (ended) WHERE kept;
CREATE INDEX job_open ON job (number) WHERE state IN ('waiting', 'running');
COMMIT;
PRAGMA application_id = 1097890150;
PRAGMA user_version = 1;

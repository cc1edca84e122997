-- A journal of version 3 as a host left it: an open session and one that ended, a job with a kept
-- result, one that ran, one that failed and a plain one.
PRAGMA journal_mode = wal;
BEGIN TRANSACTION;
CREATE TABLE clock (
    age  REAL NOT NULL,
    boot TEXT NOT NULL,
    up   INTEGER NOT NULL,
    day  REAL NOT NULL
) STRICT;
INSERT INTO "clock" VALUES(0.0,'another',14472665,1.7e9);
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "counter" VALUES('number',7);
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
, digest TEXT, age REAL) STRICT;
INSERT INTO "job" VALUES(3,'job-3',0,'done',2,1,'session-1','gzip',1699999200.0,1699999201.0,1699999203.5,100,100,40,40,'f00d','{"parameters":{"app":{"specific":{"level":6}}}}','{"id":"session-1","accelerator":"gzip","engine":"cpu","specific":{},"profiling":{"wall-clock-time":0.25,"total-bytes-read":1000,"total-bytes-written":100,"input-bandwidth":4000.0}}',NULL,'d1e5',0.004);
INSERT INTO "job" VALUES(4,'job-4',0,'running',2,0,'session-1','gzip',1699999200.0,1699999201.0,NULL,100,100,40,NULL,'f00d','{"parameters":{"app":{"specific":{"level":6}}}}',NULL,NULL,'d1e5',NULL);
INSERT INTO "job" VALUES(5,'job-5',0,'failed',2,0,'session-1','gzip',1699999200.0,1699999201.0,1699999203.5,100,100,40,NULL,'f00d','{"parameters":{"app":{"specific":{"level":6}}}}',NULL,'{"kind":"cancelled","message":"cancelled","retryable":false}','d1e5',0.011);
INSERT INTO "job" VALUES(6,'job-6',1,'done',2,0,'session-1','gzip',1699999200.0,1699999201.0,1699999203.5,100,100,40,NULL,'f00d','{"parameters":{"app":{"specific":{"level":6}}}}',NULL,NULL,'d1e5',0.023);
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
, age REAL) STRICT;
INSERT INTO "session" VALUES(1,'session-1','gzip',2,0,1699999200.0,NULL,'words.txt','{"app":{"specific":{"level":6}}}','{"id":"session-1","accelerator":"gzip","engine":"cpu","specific":{},"profiling":{"wall-clock-time":0.25,"total-bytes-read":1000,"total-bytes-written":100,"input-bandwidth":4000.0}}',NULL);
INSERT INTO "session" VALUES(2,'session-2','gzip',2,1,1699999200.0,1699999200.0,'words.txt','{"app":{"specific":{"level":6}}}','{"id":"session-1","accelerator":"gzip","engine":"cpu","specific":{},"profiling":{"wall-clock-time":0.25,"total-bytes-read":1000,"total-bytes-written":100,"input-bandwidth":4000.0}}',0.004);
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
INSERT INTO "usage" VALUES(10,1699999200,'gzip',3,1,300,120,7.5);
INSERT INTO "usage" VALUES(3600,1699999200,'gzip',3,1,300,120,7.5);
CREATE INDEX job_session ON job (session);
CREATE INDEX job_plain ON job (number) WHERE plain;
CREATE INDEX job_open ON job (number) WHERE state IN ('waiting', 'running');
CREATE INDEX job_kept ON job (age) WHERE kept;
COMMIT;
PRAGMA application_id = 1097890150;
PRAGMA user_version = 3;

-- How old the journal was, in seconds, and when that was: the start of the system, milliseconds since
-- then, and the time of the day.
CREATE TABLE clock (
    age  REAL NOT NULL,
    boot TEXT NOT NULL,
    up   INTEGER NOT NULL,
    day  REAL NOT NULL
) STRICT;

-- How old it was when a job or a session ended.
ALTER TABLE job ADD COLUMN age REAL;
ALTER TABLE session ADD COLUMN age REAL;

DROP INDEX job_kept;
CREATE INDEX job_kept ON job (age) WHERE kept;

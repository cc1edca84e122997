-- Whose they are, where that is known: the name of a token, "host", or "user:" and a number.
ALTER TABLE job ADD COLUMN owner TEXT;
ALTER TABLE session ADD COLUMN owner TEXT;

CREATE TABLE usage_of_owners (
    -- The length of the step.
    seconds       INTEGER NOT NULL,
    start         INTEGER NOT NULL,
    accelerator   TEXT NOT NULL,
    -- Empty where it is not known.
    owner         TEXT NOT NULL,
    jobs          INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    bytes_read    INTEGER NOT NULL,
    bytes_written INTEGER NOT NULL,
    busy          REAL NOT NULL,
    PRIMARY KEY (seconds, start, accelerator, owner)
) STRICT, WITHOUT ROWID;
INSERT INTO usage_of_owners
    SELECT seconds, start, accelerator, '', jobs, failed, bytes_read, bytes_written, busy FROM usage;
DROP TABLE usage;
ALTER TABLE usage_of_owners RENAME TO usage;

-- Tokens beside the host's own; of each only the SHA-256, in hexadecimal digits.
CREATE TABLE token (
    name    TEXT PRIMARY KEY,
    hash    TEXT NOT NULL,
    created REAL NOT NULL
) STRICT, WITHOUT ROWID;

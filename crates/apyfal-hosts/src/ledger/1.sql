-- What was asked for of providers, and what became of it.
CREATE TABLE host (
    id TEXT PRIMARY KEY,
    -- For whom it was asked.
    use TEXT NOT NULL,
    name TEXT NOT NULL,
    accelerator TEXT NOT NULL,
    provider TEXT NOT NULL,
    region TEXT,
    state TEXT NOT NULL,
    stop_mode TEXT NOT NULL,
    -- The attempt: its token, and the exact request with it.
    token TEXT NOT NULL,
    request TEXT,
    asked REAL NOT NULL,
    instance TEXT,
    -- What the first contact takes, and gave: secret, and gone once the host has ended.
    contact TEXT,
    url TEXT
) STRICT;
CREATE INDEX host_of_use ON host (use) WHERE state <> 'ended';

-- A ledger as version 3 of its schema wrote it, with a host of the simulated cloud that serves.
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
-- How people log in to its machine, where they can.
ALTER TABLE host ADD COLUMN login TEXT;
-- Until when the request may be sent, where what is in it does not last.
ALTER TABLE host ADD COLUMN good_until REAL;
-- When it was last sent: for a while after that "not found" means "not yet".
ALTER TABLE host ADD COLUMN sent REAL;
-- Whose it is at its provider.
ALTER TABLE host ADD COLUMN account TEXT;
-- What the machine waits for until it is sent by ssh.
ALTER TABLE host ADD COLUMN pushed TEXT NOT NULL DEFAULT '[]';
INSERT INTO host (id, use, name, accelerator, provider, region, state, stop_mode, token, request, asked, instance, contact, url, login, good_until, sent, account, pushed)
VALUES (
    'tsjqhuuoaodxstuk',
    'named default',
    'accelize_gzip_261128080545',
    'gzip',
    'sim',
    NULL,
    'ready',
    'term',
    'apyfal_1tvdxfhM32HLxAKz08SNomNb1kmdEx5wkPFl_TU7iPG',
    '{"name": "accelize_gzip_261128080545", "accelerator": "gzip", "installation": "apyfal_q7ARnX2JcZrV0ogDbc7MrlmPU4fyLcIlzoUiCxm290B", "instance_type": null, "image": null, "fpga_image": null, "at_shutdown": "terminate", "idle_timeout": {"secs": 1800, "nanos": 0}, "max_lifetime": {"secs": 43200, "nanos": 0}, "boot": {"files": []}}',
    1795853145.7300885,
    'sim-apyfal1tvdxfhM32HLxAKz08SNomNb1kmdEx5wkPFlTU7iPG',
    '{"token":"apyfal_I7QLsaG-coCFe_l2h6wwPCmOzND4qVjIYVOFZtFIklq","shows":{"certificate":"-----BEGIN CERTIFICATE-----\nMIIBlTCCATygAwIBAgIUFZ4j6wsc0RRjTuTXtLETA32s6pkwCgYIKoZIzj0EAwIw\nFjEUMBIGA1UEAwwLQXB5ZmFsIGhvc3QwHhcNMjYxMTI4MDcwNTQ1WhcNMjkwMzAy\nMDcwNTQ1WjAWMRQwEgYDVQQDDAtBcHlmYWwgaG9zdDBZMBMGByqGSM49AgEGCCqG\nSM49AwEHA0IABGoQsvNvFYXoeMVg1U6+UcN154X+Wh6Jw1eDh7XfFWLgyYnFV3Ou\ndR8lsaAv8Fo14PclyCoExEpAMHNMHYArRgmjaDBmMAwGA1UdEQQFMAOCASowDgYD\nVR0PAQH/BAQDAgKEMBMGA1UdJQQMMAoGCCsGAQUFBwMBMB0GA1UdDgQWBBScJkih\nyZ7ZO5zbmNX4OysqMQmhDDASBgNVHRMBAf8ECDAGAQH/AgEAMAoGCCqGSM49BAMC\nA0cAMEQCIBZTy2izkO9jgKy1IgNlfdzdTBrnxML2tvBHkIKef/ENAiBz+A/+oZSh\nuOAqEpwl0/Xn8E/Cl+aPjaZIQE/8diB4Hw==\n-----END CERTIFICATE-----\n","key":"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgde+oKgqU0Qto2IVQ\n4BDDw1qtsEQ9TNjSbWQey6J4QSyhRANCAARqELLzbxWF6HjFYNVOvlHDdeeF/loe\nicNXg4e13xVi4MmJxVdzrnUfJbGgL/BaNeD3JcgqBMRKQDBzTB2AK0YJ\n-----END PRIVATE KEY-----\n"},"host":{"token":"apyfal_Dq9WcvVAbUpGK-LweQc0_2zYMoc89FQ2NQswMrmoT5t","shows":{"certificate":"-----BEGIN CERTIFICATE-----\nMIIBlzCCATygAwIBAgIUQUB04bcyOTKtZycvYa7wdyrrxo4wCgYIKoZIzj0EAwIw\nFjEUMBIGA1UEAwwLQXB5ZmFsIGhvc3QwHhcNMjYxMTI4MDcwNTQ1WhcNMjkwMzAy\nMDcwNTQ1WjAWMRQwEgYDVQQDDAtBcHlmYWwgaG9zdDBZMBMGByqGSM49AgEGCCqG\nSM49AwEHA0IABGH0pat1XRbxC6/bOO4Cjc9RYF+D93pn7S3NX0ttfdnwKmHAUOz8\nm9ajqXjyXbTsF1W9F01fyHsPx1N5U6b52UujaDBmMAwGA1UdEQQFMAOCASowDgYD\nVR0PAQH/BAQDAgKEMBMGA1UdJQQMMAoGCCsGAQUFBwMBMB0GA1UdDgQWBBQU2tkQ\n9ihNZPSALQXnrV93XaR3XjASBgNVHRMBAf8ECDAGAQH/AgEAMAoGCCqGSM49BAMC\nA0kAMEYCIQCb6XNcIwTpNKC2FU86kPTmfoc5NhLDNnVGofcRob9BGQIhAKCM+lpR\nJThYDjcPH94hITsyDSZWN/QLANLopYohl3X3\n-----END CERTIFICATE-----\n","key":"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWzNRx5OXIOWWvjF7\nnSxmCfqrHsgo6qFWSLZZrImVc8ahRANCAARh9KWrdV0W8Quv2zjuAo3PUWBfg/d6\nZ+0tzV9LbX3Z8CphwFDs/JvWo6l48l207BdVvRdNX8h7D8dTeVOm+dlL\n-----END PRIVATE KEY-----\n"},"configuration":null}}',
    'https://127.10.119.191:8000',
    '{"user": "ubuntu", "key_pair": "key", "private_key": null}',
    1795853746.2300885,
    1795853147.2300885,
    '123456789012',
    '[{"path":"/usr/local/bin/apyfal","sha256":"2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}]'
);
PRAGMA application_id = 1097890156;
PRAGMA user_version = 3;

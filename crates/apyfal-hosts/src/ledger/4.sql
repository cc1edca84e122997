-- What it needs of what machines share, such as ports of a firewall.
ALTER TABLE host ADD COLUMN holds TEXT NOT NULL DEFAULT '[]';

-- What the machine waits for until it is sent by ssh.
ALTER TABLE host ADD COLUMN pushed TEXT NOT NULL DEFAULT '[]';

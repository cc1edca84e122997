-- How people log in to its machine, where they can.
ALTER TABLE host ADD COLUMN login TEXT;

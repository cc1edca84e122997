-- How people log in to its machine, where they can.
ALTER TABLE host ADD COLUMN login TEXT;
-- Until when the request may be sent, where what is in it does not last.
ALTER TABLE host ADD COLUMN good_until REAL;
-- When it was last sent: for a while after that "not found" means "not yet".
ALTER TABLE host ADD COLUMN sent REAL;
-- Whose it is at its provider.
ALTER TABLE host ADD COLUMN account TEXT;

-- How people log in to its machine, where they can.
ALTER TABLE host ADD COLUMN login TEXT;
-- Until when the request may be sent, where what is in it does not last.
ALTER TABLE host ADD COLUMN good_until REAL;

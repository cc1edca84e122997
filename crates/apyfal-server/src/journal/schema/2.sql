-- Jobs of before have none, so that their results are not sent to who sends the same id again.
ALTER TABLE job ADD COLUMN digest TEXT;

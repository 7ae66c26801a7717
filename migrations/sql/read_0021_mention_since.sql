-- Who was ever named by a message, and by which of its texts first: an edit tells those alone whom it adds. `dropped`: its
-- present text does not name them.

ALTER TABLE mention ADD COLUMN since bigint;
UPDATE mention SET since = seq;
ALTER TABLE mention ALTER COLUMN since SET NOT NULL;
ALTER TABLE mention ADD COLUMN dropped boolean NOT NULL DEFAULT false;

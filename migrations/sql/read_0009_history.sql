-- How much of a room those see who come later.

ALTER TABLE space ADD COLUMN history text NOT NULL DEFAULT 'all';
ALTER TABLE room ADD COLUMN history text NOT NULL DEFAULT 'as_space';

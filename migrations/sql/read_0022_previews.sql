-- Whether pages that messages of a space link to are shown beside them.
ALTER TABLE space ADD COLUMN previews boolean NOT NULL DEFAULT true;

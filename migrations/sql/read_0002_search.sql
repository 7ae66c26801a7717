-- Messages by their words. `language` is the configuration in schema `veza` that cuts them; see there.
ALTER TABLE message
    ADD COLUMN language regconfig NOT NULL DEFAULT 'veza.any_words',
    ADD COLUMN search tsvector GENERATED ALWAYS AS (to_tsvector(language, body)) STORED;
ALTER TABLE message ALTER COLUMN language DROP DEFAULT;
CREATE INDEX message_search ON message USING gin (search);
CREATE INDEX message_posted_at ON message (posted_at);

-- People by their handle, whatever its case.
CREATE INDEX account_handle ON account (lower(handle));

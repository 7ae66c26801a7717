-- Files of messages. `about` is what was sealed in the log, NULL once the key of the author is gone.
CREATE TABLE attachment (
    attachment uuid    PRIMARY KEY,
    message    uuid    NOT NULL,
    place      integer NOT NULL,
    room       uuid    NOT NULL,
    space      uuid    NOT NULL,
    author     uuid    NOT NULL,
    kind       text    NOT NULL,
    size       bigint  NOT NULL,
    about      text,
    seq        bigint  NOT NULL,
    -- The event that took the message away; the bytes are removed behind it.
    removed    bigint
);
CREATE INDEX attachment_removed ON attachment (removed) WHERE removed IS NOT NULL;
CREATE INDEX attachment_message ON attachment (message, place);

-- How many files a message has: those without any need no second look.
ALTER TABLE message ADD COLUMN attachments integer NOT NULL DEFAULT 0;

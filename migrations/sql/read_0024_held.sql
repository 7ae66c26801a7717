-- Messages that a rule holds back until a moderator has seen them (`body` was sealed in the log under the key of `author`), and
-- members who came during a raid.

CREATE TABLE held (
    message  uuid        PRIMARY KEY,
    space    uuid        NOT NULL,
    room     uuid        NOT NULL,
    gate     uuid        NOT NULL,
    author   uuid        NOT NULL,
    body     text,
    shown_as text,
    reply_to uuid,
    rule     text        NOT NULL,
    held_at  timestamptz NOT NULL,
    seq      bigint      NOT NULL
);
CREATE INDEX held_gate ON held (gate, held_at, message);
CREATE INDEX held_author ON held (author, held_at, message);

ALTER TABLE member ADD COLUMN held_since timestamptz, ADD COLUMN held_until timestamptz;
ALTER TABLE space ADD COLUMN raid_released_at timestamptz;

-- What becomes of messages. A deletion is final: nothing else of a message is kept or comes back.

ALTER TABLE message
    ADD COLUMN mentions   jsonb,
    ADD COLUMN edited_at  timestamptz,
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN deleted_by uuid,
    ADD COLUMN pinned_by  uuid,
    -- Sequence at which it was pinned; pins are listed by it.
    ADD COLUMN pinned     bigint,
    -- Sequence of the last event about it that counted; 0 while there is none.
    ADD COLUMN changed    bigint NOT NULL DEFAULT 0;
CREATE INDEX message_pinned ON message (room, pinned) WHERE pinned IS NOT NULL;
CREATE INDEX message_changed ON message (room, changed) WHERE changed > 0;

-- All texts of a message that was edited, the first one too.
CREATE TABLE message_edit (
    message    uuid        NOT NULL,
    seq        bigint      NOT NULL,
    body       text,
    written_at timestamptz NOT NULL,
    PRIMARY KEY (message, seq)
);

CREATE TABLE reaction (
    message uuid   NOT NULL,
    emoji   text   NOT NULL,
    account uuid   NOT NULL,
    seq     bigint NOT NULL,
    PRIMARY KEY (message, emoji, account)
);

-- Timelines that hang on a message of a room.
CREATE TABLE thread (
    thread        uuid        PRIMARY KEY,
    message       uuid        NOT NULL,
    room          uuid        NOT NULL,
    space         uuid        NOT NULL,
    opened_at     timestamptz NOT NULL,
    replies       bigint      NOT NULL,
    last_reply_at timestamptz,
    seq           bigint      NOT NULL
);
CREATE UNIQUE INDEX thread_message ON thread (message);
CREATE INDEX thread_room ON thread (room);

-- Who is spoken of where. The target is an account, a role, or for `everyone` and `here` the space.
CREATE TABLE mention (
    message   uuid        NOT NULL,
    target    uuid        NOT NULL,
    kind      text        NOT NULL,
    room      uuid        NOT NULL,
    space     uuid        NOT NULL,
    author    uuid        NOT NULL,
    posted_at timestamptz NOT NULL,
    PRIMARY KEY (message, target, kind)
);
CREATE INDEX mention_target ON mention (target, posted_at, message);

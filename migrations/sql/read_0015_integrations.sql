-- Ways into a room for programs that only post, and what bots offer to be called by a name.

CREATE TABLE webhook (
    webhook    uuid        PRIMARY KEY,
    space      uuid        NOT NULL,
    room       uuid        NOT NULL,
    created_by uuid        NOT NULL,
    created_at timestamptz NOT NULL,
    seq        bigint      NOT NULL
);
CREATE INDEX webhook_room ON webhook (room);

CREATE TABLE slash_command (
    space       uuid   NOT NULL,
    name        text   NOT NULL,
    bot         uuid   NOT NULL,
    description text   NOT NULL,
    options     jsonb  NOT NULL,
    seq         bigint NOT NULL,
    PRIMARY KEY (space, name)
);

-- The name that a webhook went by with one message. NULL once the message is gone, or the key of the webhook.
ALTER TABLE message ADD COLUMN shown_as text;

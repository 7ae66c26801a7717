-- Read models. `seq` is the sequence of the event that last changed a row, in the row's own stream.
-- No foreign keys: streams are projected side by side, and each alone is in order. Texts that were sealed
-- in the log are NULL once the key of their subject is gone.

CREATE TABLE account (
    account       uuid        PRIMARY KEY,
    handle        text,
    email         text,
    display_name  text,
    roles         text[]      NOT NULL,
    registered_at timestamptz NOT NULL,
    seq           bigint      NOT NULL
);

CREATE TABLE session (
    session    uuid        PRIMARY KEY,
    account    uuid        NOT NULL,
    device     text,
    started_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    seq        bigint      NOT NULL
);
CREATE INDEX session_account ON session (account);

CREATE TABLE space (
    space      uuid        PRIMARY KEY,
    name       text        NOT NULL,
    owner      uuid        NOT NULL,
    created_at timestamptz NOT NULL,
    seq        bigint      NOT NULL
);

CREATE TABLE role (
    space       uuid    NOT NULL,
    role        uuid    NOT NULL,
    name        text    NOT NULL,
    permissions text[]  NOT NULL,
    rank        integer NOT NULL,
    seq         bigint  NOT NULL,
    PRIMARY KEY (space, role)
);

CREATE TABLE room (
    room       uuid        PRIMARY KEY,
    space      uuid        NOT NULL,
    name       text        NOT NULL,
    topic      text        NOT NULL,
    kind       text        NOT NULL,
    archived   boolean     NOT NULL,
    created_at timestamptz NOT NULL,
    seq        bigint      NOT NULL
);
CREATE INDEX room_space ON room (space);

-- Who is in or banned; who is out has no row.
CREATE TABLE member (
    space    uuid        NOT NULL,
    account  uuid        NOT NULL,
    standing text        NOT NULL,
    roles    uuid[]      NOT NULL,
    muted    boolean     NOT NULL,
    since    timestamptz NOT NULL,
    seq      bigint      NOT NULL,
    PRIMARY KEY (space, account)
);
CREATE INDEX member_account ON member (account, space);

CREATE TABLE invite (
    invite     uuid        PRIMARY KEY,
    space      uuid        NOT NULL,
    created_by uuid        NOT NULL,
    max_uses   bigint,
    uses       bigint      NOT NULL,
    expires_at timestamptz,
    created_at timestamptz NOT NULL,
    seq        bigint      NOT NULL
);
CREATE INDEX invite_space ON invite (space);

-- A message id is derived from the command that posted it, so its key also keeps a command from posting
-- twice after the log's own window for that is over.
CREATE TABLE message (
    message   uuid        PRIMARY KEY,
    room      uuid        NOT NULL,
    space     uuid        NOT NULL,
    author    uuid        NOT NULL,
    body      text,
    reply_to  uuid,
    posted_at timestamptz NOT NULL,
    seq       bigint      NOT NULL
);
CREATE UNIQUE INDEX message_timeline ON message (room, seq);

-- The last event of each room's timeline, of whatever type.
CREATE TABLE timeline (
    room uuid   PRIMARY KEY,
    head bigint NOT NULL
) WITH (fillfactor = 50);

-- How far each stream has been applied. Moves in the transaction that writes the rows.
CREATE TABLE projection (
    name       text        NOT NULL,
    stream     text        NOT NULL,
    seq        bigint      NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, stream)
) WITH (fillfactor = 10);

-- Events that could not be applied, and all later ones of their aggregates.
CREATE TABLE parked (
    stream    text        NOT NULL,
    seq       bigint      NOT NULL,
    subject   text        NOT NULL,
    kind      text        NOT NULL,
    reason    text        NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, seq)
);
CREATE INDEX parked_subject ON parked (stream, subject);

-- What is unread, found without counting a timeline: how many messages a room has, and how many it had at some
-- of them.
CREATE TABLE message_count (
    room     uuid   PRIMARY KEY,
    messages bigint NOT NULL,
    -- The last one that is counted.
    last     bigint NOT NULL
) WITH (fillfactor = 50);

-- Every 64th message of a room.
CREATE TABLE message_mark (
    room    uuid   NOT NULL,
    seq     bigint NOT NULL,
    ordinal bigint NOT NULL,
    PRIMARY KEY (room, seq)
);

-- Since which event an account is in a space: what was said before is not unread.
CREATE TABLE joined (
    account uuid   NOT NULL,
    space   uuid   NOT NULL,
    seq     bigint NOT NULL,
    PRIMARY KEY (account, space)
);

-- For tables that were filled before; a rebuild says `joined` more exactly.
WITH numbered AS (
    SELECT room, seq, row_number() OVER (PARTITION BY room ORDER BY seq) AS ordinal FROM message
), marked AS (
    INSERT INTO message_mark (room, seq, ordinal) SELECT room, seq, ordinal FROM numbered WHERE ordinal % 64 = 0
)
INSERT INTO message_count (room, messages, last) SELECT room, max(ordinal), max(seq) FROM numbered GROUP BY room;
INSERT INTO joined (account, space, seq) SELECT account, space, seq FROM member WHERE standing = 'joined';

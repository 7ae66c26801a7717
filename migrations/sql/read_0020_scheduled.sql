-- Messages that wait for their time, or were not allowed when it came. `body` was sealed in the log under the key of
-- `account`; NULL once that is gone.

CREATE TABLE scheduled (
    scheduled  uuid        PRIMARY KEY,
    account    uuid        NOT NULL,
    space      uuid        NOT NULL,
    room       uuid        NOT NULL,
    body       text,
    reply_to   uuid,
    at         timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    refused    text,
    seq        bigint      NOT NULL
);
CREATE INDEX scheduled_account ON scheduled (account, at, scheduled);

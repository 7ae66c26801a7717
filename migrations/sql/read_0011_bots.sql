-- Accounts that programs act for, and the keys that those sign in with. Whether an account is a bot stands with
-- its names; here stands who answers for it, as long as it acts.

ALTER TABLE account ADD COLUMN bot boolean NOT NULL DEFAULT false;

CREATE TABLE bot (
    bot    uuid    PRIMARY KEY,
    owner  uuid    NOT NULL,
    public boolean NOT NULL,
    seq    bigint  NOT NULL
);
CREATE INDEX bot_owner ON bot (owner);

CREATE TABLE bot_key (
    key        uuid        PRIMARY KEY,
    bot        uuid        NOT NULL,
    name       text,
    scopes     text[]      NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    seq        bigint      NOT NULL
);
CREATE INDEX bot_key_bot ON bot_key (bot);

-- Conversations between a few, which are spaces without a row in `space`; and who does not want to hear from whom.

CREATE TABLE direct (
    space     uuid        PRIMARY KEY,
    kind      text        NOT NULL,
    opened_at timestamptz NOT NULL,
    seq       bigint      NOT NULL
);

CREATE TABLE account_block (
    account uuid   NOT NULL,
    blocked uuid   NOT NULL,
    seq     bigint NOT NULL,
    PRIMARY KEY (account, blocked)
);

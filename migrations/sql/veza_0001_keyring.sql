-- Keys of people's data, wrapped. The only tables that the log cannot give back.
CREATE TABLE keyring (
    id         uuid        PRIMARY KEY,
    account    uuid        NOT NULL UNIQUE,
    wrapped    bytea,                              -- NULL: destroyed for good, the account gets no other
    kek        text        NOT NULL,               -- fingerprint of the key that wraps it
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX keyring_kek ON keyring (kek);         -- finds what an older key still wraps

CREATE TABLE installation_key (
    id         boolean     PRIMARY KEY DEFAULT true CHECK (id),   -- one row
    wrapped    bytea       NOT NULL,
    kek        text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

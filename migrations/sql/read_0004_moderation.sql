-- Time-outs, slow rooms, who did what to whom, and members by a part of their name.

ALTER TABLE member ADD COLUMN timed_out_until timestamptz;
ALTER TABLE room ADD COLUMN slow_mode_s integer NOT NULL DEFAULT 0;

-- `reason` was sealed in the log under the key of `actor`.
CREATE TABLE audit (
    space       uuid        NOT NULL,
    seq         bigint      NOT NULL,
    at          timestamptz NOT NULL,
    actor       uuid,
    action      text        NOT NULL,
    target_kind text        NOT NULL,
    target      uuid        NOT NULL,
    reason      text,
    detail      jsonb       NOT NULL,
    PRIMARY KEY (space, seq)
);
CREATE INDEX audit_actor ON audit (space, actor, seq);
CREATE INDEX audit_target ON audit (space, target, seq);

CREATE INDEX account_names ON account
    USING gin (lower(handle) veza.gin_trgm_ops, lower(display_name) veza.gin_trgm_ops);

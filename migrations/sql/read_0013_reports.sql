-- What people reported. `said` is what the message said then; it stays when the message changes or goes. Notes were
-- sealed in the log under the keys of who wrote them, `said` under that of `author`.

CREATE TABLE report (
    report          uuid        PRIMARY KEY,
    space           uuid        NOT NULL,
    room            uuid        NOT NULL,
    gate            uuid        NOT NULL,
    message         uuid        NOT NULL,
    posted          bigint      NOT NULL,
    author          uuid        NOT NULL,
    reporter        uuid        NOT NULL,
    reason          text        NOT NULL,
    note            text,
    said            text,
    filed_at        timestamptz NOT NULL,
    seq             bigint      NOT NULL,
    resolved_by     uuid,
    action          text,
    resolution_note text,
    resolved_at     timestamptz
);
CREATE INDEX report_space ON report (space, filed_at, report);

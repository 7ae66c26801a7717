-- How rooms are listed, and what differs in them.

ALTER TABLE room ADD COLUMN category uuid, ADD COLUMN position integer NOT NULL DEFAULT 0;

CREATE TABLE category (
    category uuid    PRIMARY KEY,
    space    uuid    NOT NULL,
    name     text    NOT NULL,
    position integer NOT NULL,
    seq      bigint  NOT NULL
);
CREATE INDEX category_space ON category (space);

-- `place` is a room or a category, `whom` a role or an account.
CREATE TABLE permission_override (
    place     uuid   NOT NULL,
    whom_kind text   NOT NULL,
    whom      uuid   NOT NULL,
    space     uuid   NOT NULL,
    allow     text[] NOT NULL,
    deny      text[] NOT NULL,
    seq       bigint NOT NULL,
    PRIMARY KEY (place, whom_kind, whom)
);
CREATE INDEX permission_override_role ON permission_override (space, whom);

-- Up to which event of each stream the files of deleted messages are gone from the object store. The read models
-- say which ones those are, and a rebuild of them must not begin anew.
CREATE TABLE swept (
    stream text   PRIMARY KEY,
    seq    bigint NOT NULL
);

-- The messages of one author in a space, to take them back.

CREATE INDEX message_space_author ON message (space, author, seq);

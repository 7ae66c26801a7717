-- How much of what is new concerns somebody: mentions behind a marker, one's own messages, those that are gone, and
-- the threads that one takes part in.

ALTER TABLE mention ADD COLUMN seq bigint;
UPDATE mention n SET seq = m.seq FROM message m WHERE m.message = n.message;
DELETE FROM mention WHERE seq IS NULL;
ALTER TABLE mention ALTER COLUMN seq SET NOT NULL;
CREATE INDEX mention_room ON mention (target, room, seq);

CREATE INDEX message_author ON message (author, room, seq);
CREATE INDEX message_deleted ON message (room, seq) WHERE deleted_at IS NOT NULL;

-- Who wrote the message that a thread is about, answered in it, or was called into it by name.
CREATE TABLE participant (
    account uuid   NOT NULL,
    thread  uuid   NOT NULL,
    -- What stands in the thread up to here is not new to them.
    since   bigint NOT NULL,
    PRIMARY KEY (account, thread)
);
CREATE INDEX participant_thread ON participant (thread);

-- For tables that were filled before; nobody was called into a thread then.
INSERT INTO participant (account, thread, since)
    SELECT m.author, t.thread, 0 FROM thread t JOIN message m ON m.message = t.message;
INSERT INTO participant (account, thread, since)
    SELECT m.author, t.thread, min(m.seq) FROM thread t JOIN message m ON m.room = t.thread
    GROUP BY m.author, t.thread ON CONFLICT DO NOTHING;

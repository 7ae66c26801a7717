-- How a message was first said, if that was elsewhere: source, author, time, reactions. NULL once the key of who
-- brought it is gone, or the message.
ALTER TABLE message ADD COLUMN imported jsonb;

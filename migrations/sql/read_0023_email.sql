-- Whether somebody has said that they read the mail of the address.
ALTER TABLE account ADD COLUMN email_confirmed boolean NOT NULL DEFAULT false;

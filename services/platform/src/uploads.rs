//! Files that were brought and are not in a message yet: bucket `UPLOADS`. One message can take each, and
//! what none has taken is swept away.

use serde::{Deserialize, Serialize};
use veza_events::attachment::Attachment;
use veza_events::{AccountId, AttachmentId, KeyId, MessageId, RoomId, SealedField, Timestamp};

use crate::contract::{Problem, ProblemKind};
use crate::event_log::EventLog;
use crate::keyring::{Aad, Keyring};
use crate::kv::{Change, Kv, KvError, Watch};

/// How often an entry that changes meanwhile is looked at again.
const TAKE_TRIES: u32 = 3;
/// The bucket.
const BUCKET: &str = "UPLOADS";

/// A file that waits for its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Who brought it.
    pub by: AccountId,
    /// For which room.
    pub room: RoomId,
    /// When.
    pub made_at: Timestamp,
    /// The message that takes it.
    pub taken_by: Option<MessageId>,
    /// The file.
    pub attachment: Attachment,
}

/// As it lies in the bucket: sealed like an event.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    by: AccountId,
    room: RoomId,
    made_at: Timestamp,
    taken_by: Option<MessageId>,
    key: KeyId,
    attachment: Attachment,
}

/// What the names of all files in the object store begin with.
pub const FILES: &str = "files/";

/// The file that an object is, or is a thumbnail of.
pub fn attachment_of(name: &str) -> Option<AttachmentId> {
    let name = name.strip_prefix(FILES)?;
    name.split_once('.').map_or(name, |(id, _)| id).parse().ok()
}

/// The name of a file in the object store.
pub fn blob_name(attachment: AttachmentId) -> String {
    format!("{FILES}{attachment}")
}

/// The name of its thumbnail of this number.
pub fn thumbnail_name(attachment: AttachmentId, number: usize) -> String {
    format!("{FILES}{attachment}.{number}")
}

/// Thumbnails that a file has at most.
pub const MAX_THUMBNAILS: usize = 2;

/// The files that wait. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Uploads {
    entries: Kv<Stored>,
    keys: Keyring,
}

impl Uploads {
    /// The bucket in `log`. Makes no request.
    pub fn new(log: &EventLog, keys: Keyring) -> Self {
        Self {
            entries: Kv::open(log, BUCKET),
            keys,
        }
    }

    /// Adds a file whose bytes are stored. One that is there already stays as it is.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub async fn add(&self, upload: Upload) -> Result<(), Problem> {
        let (key, data_key) = self.keys.ensure(upload.by).await?;
        let Upload {
            by,
            room,
            made_at,
            taken_by,
            mut attachment,
        } = upload;
        let id = attachment.attachment;
        let bound = bound(id, key);
        attachment.seal(&mut |clear| data_key.seal(&bound, clear));
        let stored = Stored {
            by,
            room,
            made_at,
            taken_by,
            key,
            attachment,
        };
        match self.entries.create(&id.to_string(), &stored).await {
            Ok(_) | Err(KvError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A file that waits, or was taken a moment ago.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub async fn get(&self, id: AttachmentId) -> Result<Option<Upload>, Problem> {
        let Some(found) = self.entries.get_consistent(&id.to_string()).await? else {
            return Ok(None);
        };
        let Stored {
            by,
            room,
            made_at,
            taken_by,
            key,
            mut attachment,
        } = found.value;
        if let Some(data_key) = self.keys.get(key).await? {
            let bound = bound(id, key);
            attachment.open(&mut |text| data_key.open(&bound, text));
        }
        Ok(Some(Upload {
            by,
            room,
            made_at,
            taken_by,
            attachment,
        }))
    }

    /// Gives the file to a message, and to no other. Taking it again for the same one changes nothing.
    ///
    /// # Errors
    /// `attachment.used` when another message has it, `attachment.not_found` when it is gone;
    /// `platform.unavailable`.
    pub async fn take(&self, id: AttachmentId, message: MessageId) -> Result<(), Problem> {
        let key = id.to_string();
        for _ in 0..TAKE_TRIES {
            let Some(found) = self.entries.get_consistent(&key).await? else {
                return Err(not_found());
            };
            let mut stored = found.value;
            match stored.taken_by {
                Some(taken) if taken == message => return Ok(()),
                Some(_) => return Err(used()),
                None => stored.taken_by = Some(message),
            }
            match self.entries.update(&key, &stored, found.revision).await {
                Ok(_) => return Ok(()),
                // It may be another try of the same command.
                Err(KvError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(used())
    }

    /// It waits no more.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub async fn remove(&self, id: AttachmentId) -> Result<(), Problem> {
        Ok(self.entries.remove(&id.to_string()).await?)
    }

    /// All files that wait, and every change.
    pub fn watch(&self) -> Waiting {
        Waiting(self.entries.watch())
    }
}

/// What a sweeper sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A file waits since then.
    Waits(AttachmentId, Timestamp),
    /// It waits no more.
    Gone(AttachmentId),
    /// Nothing of note.
    Nothing,
}

/// The files that wait, as they come and go.
#[derive(Debug)]
pub struct Waiting(Watch<Stored>);

impl Waiting {
    /// What happened next.
    ///
    /// # Errors
    /// `platform.unavailable`, or an entry that cannot be read; asking again goes on behind it.
    pub async fn next(&mut self) -> Result<Seen, Problem> {
        Ok(match self.0.next().await? {
            Change::Put { key, entry } => key
                .parse()
                .map_or(Seen::Nothing, |id| Seen::Waits(id, entry.value.made_at)),
            Change::Removed { key, .. } => key.parse().map_or(Seen::Nothing, Seen::Gone),
            Change::Current => Seen::Nothing,
        })
    }
}

fn bound(id: AttachmentId, key: KeyId) -> Aad {
    Aad::framed(&[b"veza.upload", id.uuid().as_bytes(), key.uuid().as_bytes()])
}

fn not_found() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "attachment.not_found",
        "there is no such file, or not for you",
    )
}

fn used() -> Problem {
    Problem::new(
        ProblemKind::Conflict,
        "attachment.used",
        "the file is in another message already; upload it again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_says_whose_it_is() {
        let id = AttachmentId::new(uuid::Uuid::from_u128(7));
        assert_eq!(attachment_of(&blob_name(id)), Some(id));
        assert_eq!(attachment_of(&thumbnail_name(id, 1)), Some(id));
        for foreign in [
            "files/readme.txt",
            "exports/00000000-0000-0000-0000-000000000007",
            "files/",
            "",
        ] {
            assert_eq!(attachment_of(foreign), None, "{foreign}");
        }
    }
}

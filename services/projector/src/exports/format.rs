//! What stands in the files of an export. `schemas/export/` has it for those who read them; what is absent here
//! was not there, or its owner's key is gone.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::attachment::{AboutAttachment, AttachmentKind};
use veza_events::room::Imported;

/// Declares a part of a file: absent fields are `None` or empty, unknown ones an error.
macro_rules! parts {
    ($($(#[$doc:meta])+ $name:ident { $($(#[$field_doc:meta])+ $field:ident: $type:ty,)+ })+) => {$(
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])+ pub $field: $type,)+ }
    )+};
}

parts! {
    /// `manifest.json`, the last file: an archive without it is cut off.
    Manifest {
        /// `veza.export.account.v1` or `veza.export.space.v1`.
        format: String,
        /// The account or the space.
        of: Uuid,
        /// As of when.
        #[serde(with = "time::serde::rfc3339")]
        #[schemars(with = "String")]
        made_at: OffsetDateTime,
        /// Up to which event of each stream it tells.
        positions: BTreeMap<String, u64>,
        /// Lines of each file of lines.
        lines: BTreeMap<String, u64>,
        /// Files that are in `files/`.
        files: u64,
        /// Files whose bytes are gone.
        missing: Vec<Uuid>,
    }
    /// `account.json`
    Account {
        /// The account.
        account: Uuid,
        /// What others call it by.
        #[serde(default)]
        handle: Option<String>,
        /// Where it gets mail.
        #[serde(default)]
        email: Option<String>,
        /// Whether somebody has said that they read there.
        #[serde(default)]
        email_confirmed: bool,
        /// The name shown.
        #[serde(default)]
        display_name: Option<String>,
        /// What it is in the whole installation.
        roles: Vec<String>,
        /// Since when it is there.
        registered_at: String,
        /// Where it is signed in.
        sessions: Vec<Session>,
        /// From whom it does not want to hear.
        blocked: Vec<Uuid>,
    }
    /// Where somebody is signed in.
    Session {
        /// The session.
        session: Uuid,
        /// How the device calls itself.
        #[serde(default)]
        device: Option<String>,
        /// Since when.
        started_at: String,
        /// Until when.
        expires_at: String,
    }
    /// A line of `spaces.jsonl`: where an account is.
    Membership {
        /// The space.
        space: Uuid,
        /// `space`, or `direct` or `group` for conversations between a few.
        kind: String,
        /// What it is called; conversations have no name.
        #[serde(default)]
        name: Option<String>,
        /// Since when.
        since: String,
        /// What it is there.
        roles: Vec<String>,
    }
    /// A line of `rooms.jsonl`: a room that messages of the export are in.
    Room {
        /// The room.
        room: Uuid,
        /// Its space.
        space: Uuid,
        /// What it is called.
        #[serde(default)]
        name: Option<String>,
        /// What it is about.
        #[serde(default)]
        topic: Option<String>,
        /// `text` or `voice`.
        #[serde(default)]
        kind: Option<String>,
        /// Whether it takes nothing new.
        #[serde(default)]
        archived: Option<bool>,
    }
    /// A line of `messages.jsonl`, or of `rooms/<room>.jsonl`.
    Message {
        /// The message.
        message: Uuid,
        /// Its place in the log.
        seq: u64,
        /// In which space.
        space: Uuid,
        /// In which room.
        room: Uuid,
        /// The message whose thread it is in.
        #[serde(default)]
        thread_of: Option<Uuid>,
        /// Who wrote it.
        author: Uuid,
        /// What the author is called by now.
        #[serde(default)]
        author_handle: Option<String>,
        /// What it says; absent once it was deleted.
        #[serde(default)]
        body: Option<String>,
        /// Which message it answers.
        #[serde(default)]
        reply_to: Option<Uuid>,
        /// When it was posted.
        posted_at: String,
        /// When it got its present text.
        #[serde(default)]
        edited_at: Option<String>,
        /// When it was taken back.
        #[serde(default)]
        deleted_at: Option<String>,
        /// Whether it is pinned.
        pinned: bool,
        /// All its texts, oldest first, if there were several.
        edits: Vec<Edit>,
        /// Reactions to it; an account's export has its own in `reactions.jsonl`.
        reactions: Vec<ReactionOf>,
        /// Files with it.
        attachments: Vec<File>,
        /// How it was first said, if that was elsewhere.
        #[serde(default)]
        imported: Option<Imported>,
    }
    /// A text that a message had.
    Edit {
        /// The text.
        #[serde(default)]
        body: Option<String>,
        /// Since when.
        written_at: String,
    }
    /// Who reacted how.
    ReactionOf {
        /// How.
        emoji: String,
        /// Who.
        account: Uuid,
    }
    /// A file with a message.
    File {
        /// The file.
        attachment: Uuid,
        /// How it is shown.
        kind: AttachmentKind,
        /// Its bytes.
        size: u64,
        /// Where it is in the archive, unless the manifest misses it.
        path: String,
        /// What is known of it.
        #[serde(default)]
        about: Option<AboutAttachment>,
    }
    /// A line of `reactions.jsonl`.
    Reaction {
        /// To which message.
        message: Uuid,
        /// In which room.
        room: Uuid,
        /// How.
        emoji: String,
    }
    /// A line of `scheduled.jsonl`: what is to be said later.
    Scheduled {
        /// Which one.
        scheduled: Uuid,
        /// In which space.
        space: Uuid,
        /// In which room.
        room: Uuid,
        /// What it says.
        #[serde(default)]
        body: Option<String>,
        /// Which message it answers.
        #[serde(default)]
        reply_to: Option<Uuid>,
        /// When.
        at: String,
        /// When it was written.
        created_at: String,
        /// Why it was not said when its time came.
        #[serde(default)]
        refused: Option<String>,
    }
    /// A line of `held.jsonl`: what a rule holds back until a moderator has seen it.
    Held {
        /// The message that it will be.
        message: Uuid,
        /// In which space.
        space: Uuid,
        /// In which room.
        room: Uuid,
        /// What it says.
        #[serde(default)]
        body: Option<String>,
        /// Which message it answers.
        #[serde(default)]
        reply_to: Option<Uuid>,
        /// When it was written.
        held_at: String,
    }
    /// `settings.json`
    Settings {
        /// Up to which event of each room the account has read.
        read: BTreeMap<Uuid, u64>,
        /// Of what it is told.
        #[serde(default)]
        notifications: Option<Value>,
    }
    /// `space.json`
    Space {
        /// The space.
        space: Uuid,
        /// What it is called.
        name: String,
        /// Who owns it.
        owner: Uuid,
        /// Since when it is there.
        created_at: String,
        /// Its roles, highest first.
        roles: Vec<Role>,
    }
    /// A role.
    Role {
        /// The role.
        role: Uuid,
        /// What it is called.
        name: String,
        /// Higher ranks act on lower ones.
        rank: i64,
        /// What it allows.
        permissions: Vec<String>,
    }
    /// A line of `members.jsonl`: who is in a space, or banned.
    Member {
        /// Who.
        account: Uuid,
        /// What they are called by.
        #[serde(default)]
        handle: Option<String>,
        /// The name shown.
        #[serde(default)]
        display_name: Option<String>,
        /// `joined` or `banned`.
        standing: String,
        /// Their roles.
        roles: Vec<Uuid>,
        /// Since when.
        since: String,
    }
}

/// All parts, by the names of their schemas.
pub fn schemas() -> Vec<(&'static str, Value)> {
    fn of<T: JsonSchema>() -> Value {
        schemars::schema_for!(T).to_value()
    }
    vec![
        ("manifest", of::<Manifest>()),
        ("account", of::<Account>()),
        ("membership", of::<Membership>()),
        ("room", of::<Room>()),
        ("message", of::<Message>()),
        ("reaction", of::<Reaction>()),
        ("scheduled", of::<Scheduled>()),
        ("held", of::<Held>()),
        ("settings", of::<Settings>()),
        ("space", of::<Space>()),
        ("member", of::<Member>()),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_committed_schemas_are_those_of_the_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/export");
        for (name, schema) in schemas() {
            let path = folder.join(format!("{name}.v1.json"));
            let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            #[expect(clippy::disallowed_methods, reason = "a switch of the one who runs the tests")]
            if std::env::var("VEZA_BLESS").is_ok() {
                std::fs::write(&path, &text).unwrap();
            }
            let committed = std::fs::read(&path).unwrap_or_default();
            // As values: the order of keys depends on which features other crates switch on.
            assert!(
                serde_json::from_slice(&committed).ok() == Some(schema),
                "{} is out of date: run the tests with VEZA_BLESS=1 and commit it",
                path.display()
            );
        }
    }
}

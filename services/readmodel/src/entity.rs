//! The tables as sea-orm sees them. Always named with their schema: a rebuild swaps schemas under open
//! connections, and a prepared statement follows the name.

/// Declares the entity of one table; its primary key comes first.
macro_rules! table {
    ($(#[$doc:meta])+ $module:ident, $table:literal, { $($key:ident: $key_type:ty),+ }, { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])+
        pub mod $module {
            #![allow(missing_docs, reason = "columns are described in the migration")]
            use sea_orm::entity::prelude::*;
            #[allow(unused_imports, reason = "not every table has a time")]
            use time::OffsetDateTime;

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(schema_name = "read", table_name = $table)]
            pub struct Model {
                $(#[sea_orm(primary_key, auto_increment = false)] pub $key: $key_type,)+
                $(pub $field: $type,)*
            }

            #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

table!(
    /// People.
    account, "account", { account: Uuid }, {
        handle: Option<String>,
        email: Option<String>,
        display_name: Option<String>,
        roles: Vec<String>,
        registered_at: OffsetDateTime,
        bot: bool,
        seq: i64,
        email_confirmed: bool,
    }
);

table!(
    /// Their open sessions.
    session, "session", { session: Uuid }, {
        account: Uuid,
        device: Option<String>,
        started_at: OffsetDateTime,
        expires_at: OffsetDateTime,
        seq: i64,
    }
);

table!(
    /// Spaces.
    space, "space", { space: Uuid }, {
        name: String,
        owner: Uuid,
        created_at: OffsetDateTime,
        seq: i64,
        history: String,
        previews: bool,
    }
);

table!(
    /// Roles of spaces.
    role, "role", { space: Uuid, role: Uuid }, {
        name: String,
        permissions: Vec<String>,
        rank: i32,
        seq: i64,
    }
);

table!(
    /// Rooms of spaces.
    room, "room", { room: Uuid }, {
        space: Uuid,
        name: String,
        topic: String,
        kind: String,
        archived: bool,
        created_at: OffsetDateTime,
        seq: i64,
        category: Option<Uuid>,
        position: i32,
        slow_mode_s: i32,
        history: String,
    }
);

table!(
    /// Groups of rooms.
    category, "category", { category: Uuid }, {
        space: Uuid,
        name: String,
        position: i32,
        seq: i64,
    }
);

table!(
    /// What differs in a room or a category.
    permission_override, "permission_override", { place: Uuid, whom_kind: String, whom: Uuid }, {
        space: Uuid,
        allow: Vec<String>,
        deny: Vec<String>,
        seq: i64,
    }
);

table!(
    /// Who is in a space, or banned from it.
    member, "member", { space: Uuid, account: Uuid }, {
        standing: String,
        roles: Vec<Uuid>,
        muted: bool,
        since: OffsetDateTime,
        seq: i64,
        timed_out_until: Option<OffsetDateTime>,
        held_since: Option<OffsetDateTime>,
        held_until: Option<OffsetDateTime>,
    }
);

table!(
    /// Invitations that are not revoked.
    invite, "invite", { invite: Uuid }, {
        space: Uuid,
        created_by: Uuid,
        max_uses: Option<i64>,
        uses: i64,
        expires_at: Option<OffsetDateTime>,
        created_at: OffsetDateTime,
        seq: i64,
    }
);

table!(
    /// Messages.
    message, "message", { message: Uuid }, {
        room: Uuid,
        space: Uuid,
        author: Uuid,
        body: Option<String>,
        reply_to: Option<Uuid>,
        posted_at: OffsetDateTime,
        seq: i64,
        attachments: i32,
        mentions: Option<Json>,
        edited_at: Option<OffsetDateTime>,
        deleted_at: Option<OffsetDateTime>,
        deleted_by: Option<Uuid>,
        pinned_by: Option<Uuid>,
        pinned: Option<i64>,
        changed: i64,
    }
);

table!(
    /// All texts of messages that were edited.
    message_edit, "message_edit", { message: Uuid, seq: i64 }, {
        body: Option<String>,
        written_at: OffsetDateTime,
    }
);

table!(
    /// Reactions to messages.
    reaction, "reaction", { message: Uuid, emoji: String, account: Uuid }, { seq: i64 }
);

table!(
    /// Timelines that hang on a message.
    thread, "thread", { thread: Uuid }, {
        message: Uuid,
        room: Uuid,
        space: Uuid,
        opened_at: OffsetDateTime,
        replies: i64,
        last_reply_at: Option<OffsetDateTime>,
        seq: i64,
    }
);

table!(
    /// Who is spoken of where.
    mention, "mention", { message: Uuid, target: Uuid, kind: String }, {
        room: Uuid,
        space: Uuid,
        author: Uuid,
        posted_at: OffsetDateTime,
        seq: i64,
    }
);

table!(
    /// The last event of each room's timeline.
    timeline, "timeline", { room: Uuid }, { head: i64 }
);

table!(
    /// How far each stream has been applied.
    projection, "projection", { name: String, stream: String }, {
        seq: i64,
        updated_at: OffsetDateTime,
    }
);

table!(
    /// Events that could not be applied.
    parked, "parked", { stream: String, seq: i64 }, {
        subject: String,
        kind: String,
        reason: String,
        parked_at: OffsetDateTime,
    }
);

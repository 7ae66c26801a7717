//! Messages as one row each: what was said, and all that became of it.

use sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult};
use time::OffsetDateTime;
use veza_events::{AccountId, MessageId, RoomId, SpaceId, room::Mentions};

use crate::queries::{rows, sequence, statement};
use crate::rows::{Message, MessageText, PlacedMessage, Reaction, Reactor, ThreadSummary};

/// Columns of a message row, for a query in which the message is `m`, joined with [`joins`].
pub const COLUMNS: &str = "m.message, m.room, m.space, m.author, m.body, m.reply_to, m.posted_at, m.seq,
    m.attachments, m.mentions, m.imported, m.shown_as, m.edited_at, m.deleted_at, m.pinned, re.reactions, th.thread, th.replies, th.last_reply_at";

/// What a query of messages `m` in `schema` joins for [`COLUMNS`]. Few messages have reactions, and none of
/// those that nothing happened to.
pub fn joins(schema: &str) -> String {
    let named = Reaction::NAMED;
    format!(
        "LEFT JOIN LATERAL (SELECT jsonb_agg(jsonb_build_object('e', g.emoji, 'c', g.count, 'a', g.accounts)
                ORDER BY g.first) AS reactions
            FROM (SELECT r.emoji, count(*) AS count, min(r.seq) AS first,
                    (array_agg(r.account ORDER BY r.seq))[1:{named}] AS accounts
                FROM {schema}.reaction r WHERE r.message = m.message AND m.changed > 0 GROUP BY r.emoji) g
        ) re ON true
        LEFT JOIN {schema}.thread th ON th.message = m.message "
    )
}

/// Reads a row with [`COLUMNS`]. Names of the author are read if they are there.
///
/// # Errors
/// When the row is none.
pub fn read(row: &QueryResult) -> Result<Message, DbErr> {
    let time = |name| row.try_get::<Option<OffsetDateTime>>("", name);
    let json = |name| row.try_get::<Option<Json>>("", name);
    let reactions = json("reactions")?.map_or(Ok(Vec::new()), serde_json::from_value);
    let mentions = json("mentions")?.map_or(Ok(Mentions::default()), serde_json::from_value);
    let defect = |error: serde_json::Error| DbErr::Type(error.to_string());
    let imported = json("imported")?.map(serde_json::from_value).transpose();
    let thread = row.try_get::<Option<Uuid>>("", "thread")?;
    let thread = thread.map(|thread| {
        Ok::<_, DbErr>(ThreadSummary {
            room: thread.into(),
            replies: row.try_get::<i64>("", "replies")?.max(0).cast_unsigned(),
            last_reply_at: time("last_reply_at")?.map(Into::into),
        })
    });
    Ok(Message {
        id: row.try_get::<Uuid>("", "message")?.into(),
        seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
        author: row.try_get::<Uuid>("", "author")?.into(),
        author_handle: row.try_get("", "handle").unwrap_or(None),
        author_display_name: row.try_get("", "display_name").unwrap_or(None),
        author_bot: row.try_get("", "author_bot").unwrap_or(None).unwrap_or(false),
        body: row.try_get("", "body")?,
        reply_to: row.try_get::<Option<Uuid>>("", "reply_to")?.map(Into::into),
        posted_at: row.try_get::<OffsetDateTime>("", "posted_at")?.into(),
        files: u16::try_from(row.try_get::<i32>("", "attachments")?).unwrap_or(u16::MAX),
        attachments: Vec::new(),
        mentions: mentions.map_err(defect)?,
        imported: imported.map_err(defect)?,
        shown_as: row.try_get("", "shown_as")?,
        edited_at: time("edited_at")?.map(Into::into),
        deleted_at: time("deleted_at")?.map(Into::into),
        pinned: row.try_get::<Option<i64>>("", "pinned")?.is_some(),
        reactions: reactions.map_err(defect)?,
        thread: thread.transpose()?,
    })
}

/// Messages in place, out of `from`, in which they are `m`.
pub(crate) fn placed_sql(columns: &str, from: &str) -> String {
    format!(
        "SELECT {COLUMNS}, a.handle, a.display_name, a.bot AS author_bot, COALESCE(own.room, m.room) AS gate{columns} FROM {from}
        {}
        LEFT JOIN read.thread own ON own.thread = m.room
        LEFT JOIN read.account a ON a.account = m.author",
        joins("read")
    )
}

pub(crate) fn placed(row: &QueryResult) -> Result<PlacedMessage, DbErr> {
    Ok(PlacedMessage {
        space: row.try_get::<Uuid>("", "space")?.into(),
        room: row.try_get::<Uuid>("", "room")?.into(),
        gate: row.try_get::<Uuid>("", "gate")?.into(),
        message: read(row)?,
    })
}

/// The space of a room or thread, and the room whose rights count there.
pub(crate) async fn place(db: &DatabaseConnection, id: RoomId) -> Result<Option<(SpaceId, RoomId)>, DbErr> {
    let sql = "SELECT space, room FROM read.room WHERE room = $1
        UNION ALL SELECT space, room FROM read.thread WHERE thread = $1 LIMIT 1";
    let row = db.query_one_raw(statement(sql, [id.uuid().into()])).await?;
    let place = |row: QueryResult| {
        let (space, room) = (
            row.try_get::<Uuid>("", "space")?,
            row.try_get::<Uuid>("", "room")?,
        );
        Ok((space.into(), room.into()))
    };
    row.map(place).transpose()
}

pub(crate) async fn message(db: &DatabaseConnection, id: MessageId) -> Result<Option<PlacedMessage>, DbErr> {
    let sql = format!("{} WHERE m.message = $1", placed_sql("", "read.message m"));
    let row = db.query_one_raw(statement(&sql, [id.uuid().into()])).await?;
    row.as_ref().map(placed).transpose()
}

pub(crate) async fn texts(
    db: &DatabaseConnection,
    id: MessageId,
    after: u64,
    limit: usize,
) -> Result<Vec<MessageText>, DbErr> {
    let sql = "SELECT seq, body, written_at FROM read.message_edit WHERE message = $1 AND seq > $2
        ORDER BY seq LIMIT $3";
    let values = [id.uuid().into(), sequence(after).into(), rows(limit)];
    let found = db.query_all_raw(statement(sql, values)).await?;
    let text = |row: &QueryResult| {
        Ok(MessageText {
            seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
            body: row.try_get("", "body")?,
            written_at: row.try_get::<OffsetDateTime>("", "written_at")?.into(),
        })
    };
    found.iter().map(text).collect()
}

pub(crate) async fn reactors(
    db: &DatabaseConnection,
    id: MessageId,
    emoji: &str,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Reactor>, DbErr> {
    let sql = "SELECT r.account, a.handle, a.display_name
        FROM read.reaction r LEFT JOIN read.account a ON a.account = r.account
        WHERE r.message = $1 AND r.emoji = $2 AND ($3::uuid IS NULL OR r.account > $3)
        ORDER BY r.account LIMIT $4";
    let values = [id.uuid().into(), emoji.into(), after.into(), rows(limit)];
    let found = db.query_all_raw(statement(sql, values)).await?;
    let reactor = |row: &QueryResult| {
        Ok(Reactor {
            account: row.try_get::<Uuid>("", "account")?.into(),
            handle: row.try_get("", "handle")?,
            display_name: row.try_get("", "display_name")?,
        })
    };
    found.iter().map(reactor).collect()
}

/// Which of these reactions are of `account`: message and emoji.
pub(crate) async fn own_reactions(
    db: &DatabaseConnection,
    account: AccountId,
    messages: Vec<Uuid>,
) -> Result<Vec<(MessageId, String)>, DbErr> {
    let sql = "SELECT message, emoji FROM read.reaction WHERE message = ANY($1) AND account = $2";
    let found = db
        .query_all_raw(statement(sql, [messages.into(), account.uuid().into()]))
        .await?;
    let own = |row: &QueryResult| {
        let message = row.try_get::<Uuid>("", "message")?;
        Ok((message.into(), row.try_get("", "emoji")?))
    };
    found.iter().map(own).collect()
}

/// Pinned messages of a room, newest pin first, and the sequence of each pin.
pub(crate) async fn pins(
    db: &DatabaseConnection,
    room: RoomId,
    before: u64,
    hidden: u64,
    limit: usize,
) -> Result<Vec<(u64, Message)>, DbErr> {
    let sql = format!(
        "{} WHERE m.room = $1 AND m.pinned IS NOT NULL AND m.pinned < $2 AND m.seq > $3
            ORDER BY m.pinned DESC LIMIT $4",
        placed_sql("", "read.message m")
    );
    let values = [
        room.uuid().into(),
        sequence(before).into(),
        sequence(hidden).into(),
        rows(limit),
    ];
    let found = db.query_all_raw(statement(&sql, values)).await?;
    let pin = |row: &QueryResult| Ok((row.try_get::<i64>("", "pinned")?.cast_unsigned(), read(row)?));
    found.iter().map(pin).collect()
}

/// How many messages of a room are pinned, apart from one.
pub(crate) async fn count_pins(
    db: &DatabaseConnection,
    room: RoomId,
    apart: MessageId,
) -> Result<usize, DbErr> {
    let sql = "SELECT count(*) AS count FROM read.message
        WHERE room = $1 AND pinned IS NOT NULL AND message <> $2";
    let values = [room.uuid().into(), apart.uuid().into()];
    let row = db.query_one_raw(statement(sql, values)).await?;
    let count = row.map_or(Ok(0), |row| row.try_get::<i64>("", "count"))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Whether messages of a room up to `until` have changed behind it.
pub(crate) async fn changed_behind(db: &DatabaseConnection, room: RoomId, until: u64) -> Result<bool, DbErr> {
    let sql = "SELECT EXISTS (SELECT FROM read.message WHERE room = $1 AND changed > $2 AND seq <= $2
        AND changed > 0) AS changed";
    let values = [room.uuid().into(), sequence(until).into()];
    let row = db.query_one_raw(statement(sql, values)).await?;
    row.map_or(Ok(false), |row| row.try_get("", "changed"))
}

/// Those of `messages` that were taken back.
pub(crate) async fn deleted(db: &DatabaseConnection, messages: Vec<Uuid>) -> Result<Vec<MessageId>, DbErr> {
    let sql = "SELECT message FROM read.message WHERE message = ANY($1) AND deleted_at IS NOT NULL";
    let found = db.query_all_raw(statement(sql, [messages.into()])).await?;
    let id = |row: &QueryResult| Ok(row.try_get::<Uuid>("", "message")?.into());
    found.iter().map(id).collect()
}

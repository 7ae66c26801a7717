//! Messages by their words, newest first, in the rooms that somebody may read.

mod words;

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult, TransactionTrait};
use uuid::Uuid;
use veza_events::{RoomId, SpaceId};

use crate::messages::{self, COLUMNS, joins};
use crate::queries::{rows, sequence, statement};
use crate::rows::Message;

pub use words::{FILTERS, Has, MAX_CHARS, SearchWords, WordsError};

/// Marks that Postgres puts around what was found. Messages hold no such characters.
const BEGIN: char = '\u{2}';
const END: char = '\u{3}';

/// A message that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The message.
    pub message: Message,
    /// In which room.
    pub room: RoomId,
    /// In which space.
    pub space: SpaceId,
    /// The part of its text around what was found; all of it when it is short.
    pub snippet: Snippet,
}

/// A piece of text, and what in it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snippet {
    /// The text.
    pub text: String,
    /// What was found: where it begins and where it ends, in characters of `text`.
    pub marks: Vec<(usize, usize)>,
}

impl Snippet {
    fn parse(marked: &str) -> Self {
        let mut snippet = Self::default();
        let (mut at, mut begin) = (0, None);
        for character in marked.chars() {
            match character {
                BEGIN => begin = Some(at),
                END => snippet.marks.extend(begin.take().map(|begin| (begin, at))),
                _ => {
                    snippet.text.push(character);
                    at += 1;
                }
            }
        }
        snippet
    }
}

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchedRooms {
    /// The rooms; their threads are looked in too.
    pub rooms: Vec<RoomId>,
    /// Those of which nothing is found up to a sequence, and that sequence.
    pub hidden: Vec<(RoomId, u64)>,
}

/// At most `limit` messages of `rooms`, behind the message `after` in the order of the answer.
pub(crate) async fn find(
    db: &DatabaseConnection,
    search: &SearchWords,
    place: &SearchedRooms,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Hit>, DbErr> {
    let transaction = db.begin().await?;
    // How common the words are decides how to look for them, so every search is planned for itself.
    transaction
        .execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan")
        .await?;
    let sql = format!(
        "WITH q AS (SELECT veza.search_query($1, $2, $3) AS words),
        hit AS (
            SELECT m.* FROM read.message m
            WHERE (m.room = ANY($4) OR m.room IN (SELECT thread FROM read.thread WHERE room = ANY($4)))
            AND m.body IS NOT NULL
            AND ($12::uuid[] = '{{}}' OR NOT EXISTS (
                SELECT FROM unnest($12::uuid[], $13::int8[]) AS h (room, seq) WHERE m.seq <= h.seq
                AND (m.room = h.room OR m.room IN (SELECT t.thread FROM read.thread t WHERE t.room = h.room))))
            AND (veza.search_query($1, $2, $3) IS NULL OR m.search @@ veza.search_query($1, $2, $3))
            AND ($5::text[] = '{{}}' OR m.author IN
                (SELECT account FROM read.account WHERE lower(handle) = ANY($5) OR account::text = ANY($5)))
            AND ($6::text[] = '{{}}' OR m.room IN
                (SELECT room FROM read.room WHERE room = ANY($4) AND (lower(name) = ANY($6) OR room::text = ANY($6))))
            AND (NOT $7 OR m.body ~* '\\mhttps?://\\S')
            AND ($8::timestamptz IS NULL OR m.posted_at >= $8)
            AND ($9::timestamptz IS NULL OR m.posted_at < $9)
            AND ($10::uuid IS NULL OR (m.posted_at, m.message) <
                (SELECT l.posted_at, l.message FROM read.message l WHERE l.message = $10))
            ORDER BY m.posted_at DESC, m.message DESC LIMIT $11)
        SELECT {COLUMNS}, a.handle, a.display_name, a.bot AS author_bot, ts_headline(m.language, m.body, COALESCE(q.words, ''),
            'MaxWords=40, MinWords=15, StartSel=\"' || chr(2) || '\", StopSel=\"' || chr(3) || '\"') AS snippet
        FROM hit m CROSS JOIN q {} LEFT JOIN read.account a ON a.account = m.author
        ORDER BY m.posted_at DESC, m.message DESC",
        joins("read")
    );
    let lower = |texts: &[String]| texts.iter().map(|text| text.to_lowercase()).collect::<Vec<_>>();
    let ids = |rooms: &mut dyn Iterator<Item = RoomId>| rooms.map(RoomId::uuid).collect::<Vec<_>>();
    let values: [Value; 13] = [
        search.words.clone().into(),
        search.phrases.clone().into(),
        search.without.clone().into(),
        ids(&mut place.rooms.iter().copied()).into(),
        lower(&search.from).into(),
        lower(&search.rooms).into(),
        search.has.contains(&Has::Link).into(),
        search.since.into(),
        search.until.into(),
        after.into(),
        rows(limit),
        ids(&mut place.hidden.iter().map(|(room, _)| *room)).into(),
        place
            .hidden
            .iter()
            .map(|(_, seq)| sequence(*seq))
            .collect::<Vec<_>>()
            .into(),
    ];
    let found = transaction.query_all_raw(statement(&sql, values)).await?;
    transaction.commit().await?;
    found.iter().map(hit).collect()
}

fn hit(row: &QueryResult) -> Result<Hit, DbErr> {
    Ok(Hit {
        message: messages::read(row)?,
        room: row.try_get::<Uuid>("", "room")?.into(),
        space: row.try_get::<Uuid>("", "space")?.into(),
        snippet: Snippet::parse(&row.try_get::<String>("", "snippet")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_count_characters_and_leave_the_text() {
        let snippet = Snippet::parse("à la \u{2}réunion\u{3} de \u{2}demain\u{3}");
        assert_eq!(snippet.text, "à la réunion de demain");
        assert_eq!(snippet.marks, [(5, 12), (16, 22)]);
    }
}

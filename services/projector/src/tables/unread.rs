//! Tables `message_count`, `message_mark` and `joined`: how many messages a room has, how many it had at a
//! sequence, and from where on a member has something to read. Marks are sparse, so that what was read is
//! found by one look and a short count.

use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use uuid::Uuid;
use veza_events::Event;
use veza_events::member::{MemberEvent, Standing};
use veza_events::room::RoomEvent;
use veza_readmodel::MESSAGES_PER_MARK;

use super::{Schema, SqlError};

#[derive(Default)]
pub(super) struct Unread {
    /// Sequences of the messages of each room.
    messages: BTreeMap<Uuid, Vec<i64>>,
    /// Who is in a space, since which event if the batch says so, or out.
    joined: BTreeMap<(Uuid, Uuid), Joined>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Joined {
    At(i64),
    /// As the table has it; since this event if it has nothing.
    Kept(i64),
    Out,
}

impl Unread {
    pub(super) fn take(&mut self, seq: i64, event: &Event) {
        match event {
            Event::Room(RoomEvent::MessagePosted(event)) => {
                self.messages.entry(event.room.uuid()).or_default().push(seq);
            }
            Event::Member(event) => {
                let (space, account) = event.of();
                let key = (space.uuid(), account.uuid());
                let stays = !matches!(event, MemberEvent::Joined(_));
                let joined = match self.joined.get(&key) {
                    _ if event.membership().standing != Standing::Joined => Joined::Out,
                    Some(before) if stays && *before != Joined::Out => *before,
                    None if stays => Joined::Kept(seq),
                    Some(_) | None => Joined::At(seq),
                };
                self.joined.insert(key, joined);
            }
            Event::Account(_)
            | Event::Handle(_)
            | Event::Space(_)
            | Event::Room(_)
            | Event::Report(_)
            | Event::Schedule(_)
            | Event::Call(_)
            | Event::Held(_) => {}
        }
    }

    /// Writes behind the messages. `repeated`: some of the batch's messages were there before.
    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        schema: Schema,
        repeated: bool,
    ) -> Result<u64, SqlError> {
        let mut rows = 0;
        if !self.messages.is_empty() {
            rows += if repeated {
                self.count_again(connection, schema).await?
            } else {
                self.count_on(connection, schema).await?
            };
        }
        if !self.joined.is_empty() {
            rows += self.write_joined(connection, schema).await?;
        }
        Ok(rows)
    }

    async fn count_on(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut rooms, mut seqs, mut numbers) = (vec![], vec![], vec![]);
        for (room, all) in &self.messages {
            for (number, seq) in (1_i64..).zip(all) {
                rooms.push(*room);
                seqs.push(*seq);
                numbers.push(number);
            }
        }
        let sql = "WITH numbered AS (
                SELECT u.room, u.seq, COALESCE(c.messages, 0) + u.number AS ordinal
                FROM unnest($1::uuid[], $2::int8[], $3::int8[]) AS u (room, seq, number)
                LEFT JOIN {s}.message_count c ON c.room = u.room
                WHERE COALESCE(c.last, 0) < u.seq
            ), marked AS (
                INSERT INTO {s}.message_mark (room, seq, ordinal)
                SELECT room, seq, ordinal FROM numbered WHERE ordinal % $4 = 0
                ON CONFLICT DO NOTHING
            )
            INSERT INTO {s}.message_count (room, messages, last)
            SELECT room, max(ordinal), max(seq) FROM numbered GROUP BY room
            ON CONFLICT (room) DO UPDATE SET messages = excluded.messages, last = excluded.last";
        let query = schema.query(sql).bind(rooms).bind(seqs).bind(numbers);
        let done = query.bind(MESSAGES_PER_MARK).execute(connection).await?;
        Ok(done.rows_affected())
    }

    /// Counts the rooms of the batch from their rows.
    async fn count_again(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let rooms: Vec<Uuid> = self.messages.keys().copied().collect();
        let sql = "DELETE FROM {s}.message_mark WHERE room = ANY($1)";
        schema
            .query(sql)
            .bind(rooms.clone())
            .execute(&mut *connection)
            .await?;
        let sql = "WITH numbered AS (
                SELECT room, seq, row_number() OVER (PARTITION BY room ORDER BY seq) AS ordinal
                FROM {s}.message WHERE room = ANY($1)
            ), marked AS (
                INSERT INTO {s}.message_mark (room, seq, ordinal)
                SELECT room, seq, ordinal FROM numbered WHERE ordinal % $2 = 0
            )
            INSERT INTO {s}.message_count (room, messages, last)
            SELECT room, max(ordinal), max(seq) FROM numbered GROUP BY room
            ON CONFLICT (room) DO UPDATE SET messages = excluded.messages, last = excluded.last";
        let query = schema.query(sql).bind(rooms).bind(MESSAGES_PER_MARK);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn write_joined(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut spaces, mut accounts, mut seqs, mut known) = (vec![], vec![], vec![], vec![]);
        let (mut left_spaces, mut left) = (vec![], vec![]);
        for ((space, account), joined) in &self.joined {
            let (seq, is_known) = match joined {
                Joined::At(seq) => (*seq, true),
                Joined::Kept(seq) => (*seq, false),
                Joined::Out => {
                    left_spaces.push(*space);
                    left.push(*account);
                    continue;
                }
            };
            spaces.push(*space);
            accounts.push(*account);
            seqs.push(seq);
            known.push(is_known);
        }
        let sql = "INSERT INTO {s}.joined AS j (account, space, seq)
            SELECT u.account, u.space, CASE WHEN u.known THEN u.seq ELSE COALESCE(o.seq, u.seq) END
            FROM unnest($1::uuid[], $2::uuid[], $3::int8[], $4::bool[]) AS u (account, space, seq, known)
            LEFT JOIN {s}.joined o ON o.account = u.account AND o.space = u.space
            ON CONFLICT (account, space) DO UPDATE SET seq = excluded.seq WHERE j.seq < excluded.seq";
        let query = schema.query(sql).bind(accounts).bind(spaces);
        let done = query.bind(seqs).bind(known).execute(&mut *connection).await?;
        let sql = "DELETE FROM {s}.joined AS j USING unnest($1::uuid[], $2::uuid[]) AS u (account, space)
            WHERE j.account = u.account AND j.space = u.space";
        let query = schema.query(sql).bind(left).bind(left_spaces);
        Ok(done.rows_affected() + query.execute(connection).await?.rows_affected())
    }
}

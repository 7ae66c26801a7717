//! Table `participant`: who takes part in which thread, and from where on something in it is new to them. Whoever
//! takes part once does so for good; the first event that says so counts.

use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use uuid::Uuid;
use veza_events::Sealed;
use veza_events::room::{Mentions, RoomEvent};

use super::{Schema, SqlError};

#[derive(Default)]
pub(super) struct Participants {
    /// Threads that were opened, with the message that each is about: its author takes part.
    opened: BTreeMap<Uuid, Uuid>,
    /// By account and thread, the sequence up to which nothing is new.
    came: BTreeMap<(Uuid, Uuid), i64>,
}

impl Participants {
    pub(super) fn take(&mut self, seq: i64, event: &RoomEvent) {
        if event.parent().is_none() {
            return;
        }
        let thread = event.room().uuid();
        match event {
            RoomEvent::Opened(event) => {
                self.opened
                    .extend(event.about.map(|about| (thread, about.uuid())));
            }
            RoomEvent::MessagePosted(event) => {
                self.comes(event.author.uuid(), thread, seq);
                // What calls somebody in is new to them.
                self.called(thread, event.mentions.as_ref(), seq - 1);
            }
            RoomEvent::MessageEdited(event) => {
                self.called(thread, event.mentions.as_ref(), event.posted.cast_signed() - 1);
            }
            RoomEvent::MessageDeleted(_)
            | RoomEvent::ReactionAdded(_)
            | RoomEvent::ReactionRemoved(_)
            | RoomEvent::MessagePinned(_)
            | RoomEvent::MessageUnpinned(_) => {}
        }
    }

    fn called(&mut self, thread: Uuid, mentions: Option<&Sealed<Mentions>>, since: i64) {
        let mentions = mentions.and_then(Sealed::clear);
        for account in mentions.into_iter().flat_map(|mentions| &mentions.accounts) {
            self.comes(account.uuid(), thread, since);
        }
    }

    fn comes(&mut self, account: Uuid, thread: Uuid, since: i64) {
        self.came.entry((account, thread)).or_insert(since);
    }

    /// To be called when what was posted is in the tables.
    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let mut rows = 0;
        if !self.opened.is_empty() {
            let (threads, messages): (Vec<Uuid>, Vec<Uuid>) = self.opened.iter().unzip();
            let sql = "INSERT INTO {s}.participant (account, thread, since)
                SELECT m.author, u.thread, 0 FROM unnest($1::uuid[], $2::uuid[]) AS u (thread, message)
                JOIN {s}.message m ON m.message = u.message
                ON CONFLICT (account, thread) DO NOTHING";
            let query = schema.query(sql).bind(threads).bind(messages);
            rows += query.execute(&mut *connection).await?.rows_affected();
        }
        if !self.came.is_empty() {
            let (mut accounts, mut threads, mut since) = (vec![], vec![], vec![]);
            for ((account, thread), seq) in &self.came {
                accounts.push(*account);
                threads.push(*thread);
                since.push(*seq);
            }
            let sql = "INSERT INTO {s}.participant (account, thread, since)
                SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int8[])
                ON CONFLICT (account, thread) DO NOTHING";
            let query = schema.query(sql).bind(accounts).bind(threads).bind(since);
            rows += query.execute(connection).await?.rows_affected();
        }
        Ok(rows)
    }
}

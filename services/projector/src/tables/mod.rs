//! What events do to the tables. One module per group of tables, each the same two steps: fold the events
//! of a batch into one change per row, then write all rows of a table with one statement.
//!
//! Folding makes the outcome independent of where batches begin and end. Writing is idempotent: rows carry
//! the sequence of their last change, and nothing older overwrites it.

mod account;
mod attachment;
mod audit;
mod bot;
mod direct;
mod held;
mod integration;
mod member;
mod message;
mod overrides;
mod participant;
mod report;
mod room;
mod schedule;
mod space;
mod unread;

use std::borrow::Cow;

use sea_orm::sqlx::{AssertSqlSafe, PgConnection, Postgres, postgres::PgArguments, query::Query};
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::{AccountId, Event, Subject};
use veza_platform::ledger::Recorded;
use veza_readmodel::cache::CacheChanges;

pub(crate) type SqlError = sea_orm::sqlx::Error;

/// A schema that holds read models: the one in use, or the one that a rebuild fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schema(&'static str);

impl Schema {
    /// In use.
    pub(crate) const LIVE: Self = Self("read");
    /// Being rebuilt.
    pub(crate) const NEXT: Self = Self("read_next");
    /// In use before the last rebuild.
    pub(crate) const PREVIOUS: Self = Self("read_prev");

    pub(crate) const fn name(self) -> &'static str {
        self.0
    }

    /// A statement on this schema, which `template` calls `{s}`.
    pub(crate) fn query<'q>(self, template: &str) -> Query<'q, Postgres, PgArguments> {
        sea_orm::sqlx::query(AssertSqlSafe(self.sql(template)))
    }

    pub(crate) fn sql(self, template: &str) -> String {
        template.replace("{s}", self.0)
    }
}

/// One event as the tables see it.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// Its sequence.
    pub(crate) seq: u64,
    pub(crate) subject: &'a Subject,
    /// `None`: of a type that is unknown here; it still moves the head of a timeline.
    pub(crate) recorded: Option<&'a Recorded>,
}

/// When and where something happened.
#[derive(Clone, Copy)]
struct Moment {
    seq: i64,
    at: OffsetDateTime,
}

/// What a batch does to all tables.
#[derive(Default)]
pub(crate) struct Changes<'a> {
    accounts: account::Accounts<'a>,
    spaces: space::Spaces<'a>,
    overrides: overrides::Overrides<'a>,
    members: member::Members<'a>,
    audit: audit::Audit<'a>,
    bots: bot::Bots<'a>,
    integrations: integration::Integrations<'a>,
    directs: direct::Directs,
    rooms: room::Rooms<'a>,
    attachments: attachment::Attachments<'a>,
    reports: report::Reports<'a>,
    schedules: schedule::Schedules<'a>,
    held: held::HeldMessages<'a>,
    unread: unread::Unread,
    participants: participant::Participants,
}

/// What writing came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowsWritten {
    /// Rows inserted, changed or deleted.
    pub(crate) rows: u64,
    /// Messages that were there before and therefore left out.
    pub(crate) repeated_messages: u64,
}

impl<'a> Changes<'a> {
    pub(crate) fn fold(entries: impl IntoIterator<Item = Entry<'a>>) -> Self {
        let mut changes = Self::default();
        for entry in entries {
            changes.take(entry);
        }
        changes
    }

    fn take(&mut self, entry: Entry<'a>) {
        let seq = entry.seq.cast_signed();
        if let Subject::Room(_, room) = entry.subject {
            self.rooms.moved(*room, seq);
        }
        let Some(recorded) = entry.recorded else { return };
        let moment = Moment {
            seq,
            at: to_micros(recorded.envelope.time.time()),
        };
        self.unread.take(seq, &recorded.event);
        match (&recorded.event, entry.subject) {
            (Event::Account(event), Subject::Account(account)) => {
                self.accounts.take(*account, moment, event);
                self.directs.account(*account, moment, event);
                self.bots.take(*account, moment, event);
            }
            (Event::Space(event), Subject::Space(_, space)) => {
                self.spaces.take(*space, moment, event);
                self.integrations.take(*space, moment, event);
                self.overrides.take(space.uuid(), seq, event);
                self.directs.space(space.uuid(), moment, event);
                self.audit.space(*space, moment, recorded.envelope.actor, event);
            }
            (Event::Member(event), _) => {
                self.members.take(moment, event);
                self.audit.member(moment, event);
            }
            (Event::Room(event), _) => {
                self.rooms.take(moment, event);
                self.participants.take(seq, event);
                self.audit.room(moment, event);
                self.attachments.take(moment, event);
            }
            (Event::Report(event), _) => {
                self.reports.take(moment, event);
                self.audit.report(moment, event);
            }
            (Event::Held(event), _) => {
                self.held.take(moment, event);
                self.audit.held(moment, event);
            }
            (Event::Schedule(event), _) => self.schedules.take(moment, event),
            // Who holds a name is decided in the log and asked of nobody here. An event that lies under
            // another aggregate than its type's says nothing that could be shown. Who is in a call is asked of the
            // worker that carries it.
            (Event::Call(_) | Event::Handle(_) | Event::Account(_) | Event::Space(_), _) => {}
        }
    }

    pub(crate) async fn write(
        &self,
        connection: &mut PgConnection,
        schema: Schema,
    ) -> Result<RowsWritten, SqlError> {
        let mut written = RowsWritten::default();
        written.rows += self.accounts.write(connection, schema).await?;
        written.rows += self.bots.write(connection, schema).await?;
        written.rows += self.spaces.write(connection, schema).await?;
        written.rows += self.overrides.write(connection, schema).await?;
        written.rows += self.integrations.write(connection, schema).await?;
        written.rows += self.members.write(connection, schema).await?;
        written.rows += self.directs.write(connection, schema).await?;
        written.rows += self.audit.write(connection, schema).await?;
        written.rows += self.schedules.write(connection, schema).await?;
        written.rows += self.held.write(connection, schema).await?;
        written.rows += self.attachments.write(connection, schema).await?;
        let rooms = self.rooms.write(connection, schema, &self.reports).await?;
        written.rows += rooms.rows;
        written.repeated_messages = rooms.repeated_messages;
        let repeated = rooms.repeated_messages > 0;
        written.rows += self.unread.write(connection, schema, repeated).await?;
        written.rows += self.participants.write(connection, schema).await?;
        Ok(written)
    }

    /// What caches must hear once it is committed at `position`. To be asked where it was written.
    pub(crate) async fn cache_changes(
        &self,
        connection: &mut PgConnection,
        schema: Schema,
        position: u64,
    ) -> Result<CacheChanges, SqlError> {
        let changed = self.rooms.changed_rows(connection, schema).await?;
        Ok(CacheChanges {
            position,
            rooms: self.rooms.cache_changes(position, changed),
            accounts: self.accounts.renamed(),
        })
    }
}

/// `items` as a Postgres array literal. Only for names and ids of ours, which need no quoting.
fn array_literal<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::from("{");
    for item in items {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&item.to_string());
    }
    text.push('}');
    text
}

/// A text that Postgres takes: it stores no NUL. What people write must never keep their room from being
/// shown, however it came into the log.
pub(crate) fn text(text: &(impl AsRef<str> + ?Sized)) -> Cow<'_, str> {
    let text = text.as_ref();
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A time as exact as Postgres keeps it, so that caches say the same as tables.
fn to_micros(time: OffsetDateTime) -> OffsetDateTime {
    let micros = time.microsecond();
    time.replace_microsecond(micros).unwrap_or(time)
}

/// The name that a value has in events.
fn wire_name(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("enums of events are stored by name, not as {other:?}"),
    }
}

fn uuid_of(account: AccountId) -> Uuid {
    account.uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_literal_holds_names_in_order() {
        assert_eq!(array_literal(["view", "post"]), "{view,post}");
        assert_eq!(array_literal(Vec::<Uuid>::new()), "{}");
    }

    #[test]
    fn a_statement_names_its_schema() {
        assert_eq!(
            Schema::NEXT.sql("SELECT 1 FROM {s}.room"),
            "SELECT 1 FROM read_next.room"
        );
    }
}

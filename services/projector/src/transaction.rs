//! One batch, one transaction: rows, what is parked, and the position, all or nothing.

use std::collections::{BTreeSet, HashSet};

use sea_orm::sqlx::{Connection, PgConnection, Row};
use veza_readmodel::PROJECTION;
use veza_readmodel::cache::CacheChanges;

use crate::batch::{Batch, Content, Item};
use crate::postgres::blames_data;
use crate::tables::{Changes, RowsWritten, Schema, SqlError, text};

/// Held shared by every transaction that writes, and exclusively while schemas change their names.
pub(crate) const NAMES_LOCK: i64 = 0x7665_7a61_6e61_6d65;

/// Where and from which position a batch is applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) schema: Schema,
    pub(crate) stream: &'a str,
    /// What the tables must be at.
    pub(crate) from: u64,
    /// Whether events that cannot be applied are parked, or stop everything.
    pub(crate) park: bool,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Outcome {
    Applied(Applied),
    /// The tables are not at the position any more: another owner, or other tables under the name.
    Moved,
    /// An event cannot be applied, and parking was not wanted.
    Refused(Parked),
}

/// A batch that is in the tables.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) written: RowsWritten,
    pub(crate) parked: Vec<Parked>,
    pub(crate) cache: CacheChanges,
    /// Identity of the tables: another number after the schemas have changed their names.
    pub(crate) tables: i64,
}

/// An event that is put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    pub(crate) seq: u64,
    pub(crate) subject: String,
    pub(crate) kind: String,
    pub(crate) reason: String,
}

impl Parked {
    fn new(item: &Item, reason: impl Into<String>) -> Self {
        Self {
            seq: item.seq,
            subject: item.subject.clone(),
            kind: item.kind.clone(),
            reason: reason.into(),
        }
    }
}

/// Applies a batch. Almost always all of it at once; when that fails for what an event holds, once more in
/// halves, until it is known which events are to blame.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    target: Target<'_>,
    batch: &Batch,
) -> Result<Outcome, SqlError> {
    match attempt(connection, target, batch, false).await {
        Err(error) if blames_data(&error) => {
            tracing::warn!(%error, log.stream = target.stream, "a batch was refused; looking for the event");
            attempt(connection, target, batch, true).await
        }
        outcome => outcome,
    }
}

async fn attempt(
    connection: &mut PgConnection,
    target: Target<'_>,
    batch: &Batch,
    careful: bool,
) -> Result<Outcome, SqlError> {
    let mut transaction = connection.begin().await?;
    if target.schema == Schema::LIVE {
        hold_names(&mut transaction).await?;
    }
    let Some((tables, any_parked)) = move_position(&mut transaction, target, batch.last).await? else {
        transaction.rollback().await?;
        return Ok(Outcome::Moved);
    };
    let blocked = if any_parked {
        parked_subjects(&mut transaction, target, &batch.items).await?
    } else {
        HashSet::new()
    };
    let mut sorted = Sorted::new(&batch.items, blocked);
    let mut written = RowsWritten::default();
    if careful {
        written = sorted.search(&mut transaction, target.schema).await?;
    }
    let changes = sorted.changes();
    if !careful {
        written = changes.write(&mut transaction, target.schema).await?;
    }
    let Sorted { parked, .. } = &sorted;
    if let (false, Some(first)) = (target.park, parked.first()) {
        let refused = Outcome::Refused(first.clone());
        transaction.rollback().await?;
        return Ok(refused);
    }
    insert_parked(&mut transaction, target, parked).await?;
    // Nobody reads through a cache what is still being rebuilt.
    let cache = if target.schema == Schema::LIVE {
        let reading = changes.cache_changes(&mut transaction, target.schema, batch.last);
        reading.await?
    } else {
        CacheChanges::default()
    };
    transaction.commit().await?;
    Ok(Outcome::Applied(Applied {
        written,
        parked: sorted.parked,
        cache,
        tables,
    }))
}

/// The events of a batch: those that are applied, and those that are put aside.
struct Sorted<'a> {
    free: Vec<&'a Item>,
    parked: Vec<Parked>,
    /// Aggregates of which something is parked.
    blocked: HashSet<String>,
}

impl<'a> Sorted<'a> {
    /// Puts aside what cannot be read, and whatever comes behind something parked of its aggregate.
    fn new(items: &'a [Item], blocked: HashSet<String>) -> Self {
        let mut sorted = Self {
            free: Vec::with_capacity(items.len()),
            parked: Vec::new(),
            blocked,
        };
        for item in items {
            match &item.content {
                _ if sorted.blocked.contains(&item.subject) => sorted.follow(item),
                Content::Unreadable(reason) => sorted.park(item, reason.clone()),
                Content::Event(_) | Content::Unknown(_) => sorted.free.push(item),
            }
        }
        sorted
    }

    fn changes(&self) -> Changes<'a> {
        Changes::fold(self.free.iter().filter_map(|item| item.entry()))
    }

    /// Writes in ever smaller parts until only the events to blame are left, and puts those aside.
    async fn search(
        &mut self,
        transaction: &mut PgConnection,
        schema: Schema,
    ) -> Result<RowsWritten, SqlError> {
        let mut written = RowsWritten::default();
        let mut parts = vec![std::mem::take(&mut self.free)];
        while let Some(part) = parts.pop() {
            let (behind, part): (Vec<&Item>, Vec<&Item>) = part
                .into_iter()
                .partition(|item| self.blocked.contains(&item.subject));
            for item in behind {
                self.follow(item);
            }
            let mut savepoint = transaction.begin().await?;
            let changes = Changes::fold(part.iter().filter_map(|item| item.entry()));
            match changes.write(&mut savepoint, schema).await {
                Ok(rows) => {
                    savepoint.commit().await?;
                    written.rows += rows.rows;
                    written.repeated_messages += rows.repeated_messages;
                    self.free.extend(part);
                }
                Err(error) if blames_data(&error) => {
                    savepoint.rollback().await?;
                    if let [item] = part[..] {
                        self.park(item, error.to_string());
                    } else {
                        let (left, right) = part.split_at(part.len() / 2);
                        parts.extend([right.to_vec(), left.to_vec()]);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    fn park(&mut self, item: &Item, reason: String) {
        self.blocked.insert(item.subject.clone());
        self.parked.push(Parked::new(item, reason));
    }

    fn follow(&mut self, item: &Item) {
        self.parked
            .push(Parked::new(item, "an earlier event of its aggregate is parked"));
    }
}

/// Keeps schemas from changing their names until the transaction is over.
pub(crate) async fn hold_names(connection: &mut PgConnection) -> Result<(), SqlError> {
    let sql = "SELECT pg_advisory_xact_lock_shared($1)";
    sea_orm::sqlx::query(sql)
        .bind(NAMES_LOCK)
        .execute(connection)
        .await
        .map(drop)
}

/// Moves the position, if it is where it should be. Also says which table that was, and whether anything
/// of the stream is parked.
async fn move_position(
    connection: &mut PgConnection,
    target: Target<'_>,
    to: u64,
) -> Result<Option<(i64, bool)>, SqlError> {
    let sql =
        "UPDATE {s}.projection SET seq = $4, updated_at = now() WHERE name = $1 AND stream = $2 AND seq = $3
        RETURNING tableoid::int8, EXISTS (SELECT FROM {s}.parked WHERE stream = $2)";
    let query = target
        .schema
        .query(sql)
        .bind(PROJECTION)
        .bind(target.stream.to_owned());
    let row = query
        .bind(target.from.cast_signed())
        .bind(to.cast_signed())
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

async fn parked_subjects(
    connection: &mut PgConnection,
    target: Target<'_>,
    items: &[Item],
) -> Result<HashSet<String>, SqlError> {
    let subjects: BTreeSet<&str> = items.iter().map(|item| item.subject.as_str()).collect();
    let subjects: Vec<String> = subjects.into_iter().map(str::to_owned).collect();
    let sql = "SELECT DISTINCT subject FROM {s}.parked WHERE stream = $1 AND subject = ANY($2)";
    let rows = target
        .schema
        .query(sql)
        .bind(target.stream.to_owned())
        .bind(subjects)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

async fn insert_parked(
    connection: &mut PgConnection,
    target: Target<'_>,
    parked: &[Parked],
) -> Result<(), SqlError> {
    if parked.is_empty() {
        return Ok(());
    }
    let (mut seqs, mut subjects, mut kinds, mut reasons) = (vec![], vec![], vec![], vec![]);
    for one in parked {
        seqs.push(one.seq.cast_signed());
        subjects.push(text(&one.subject));
        kinds.push(text(&one.kind));
        reasons.push(text(&one.reason));
    }
    let sql = "INSERT INTO {s}.parked (stream, seq, subject, kind, reason)
        SELECT $1, u.* FROM unnest($2::int8[], $3::text[], $4::text[], $5::text[]) AS u
        ON CONFLICT (stream, seq) DO UPDATE SET reason = excluded.reason";
    let query = target
        .schema
        .query(sql)
        .bind(target.stream.to_owned())
        .bind(seqs)
        .bind(subjects);
    query
        .bind(kinds)
        .bind(reasons)
        .execute(connection)
        .await
        .map(drop)
}

/// Where the tables of a stream are; the row is made when it is missing.
pub(crate) async fn position(
    connection: &mut PgConnection,
    schema: Schema,
    stream: &str,
) -> Result<(u64, i64), SqlError> {
    let mut transaction = connection.begin().await?;
    if schema == Schema::LIVE {
        hold_names(&mut transaction).await?;
    }
    let sql = "INSERT INTO {s}.projection (name, stream, seq) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";
    schema
        .query(sql)
        .bind(PROJECTION)
        .bind(stream.to_owned())
        .execute(&mut *transaction)
        .await?;
    let sql = "SELECT seq, tableoid::int8 FROM {s}.projection WHERE name = $1 AND stream = $2";
    let query = schema.query(sql).bind(PROJECTION).bind(stream.to_owned());
    let row = query.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok((row.try_get::<i64, _>(0)?.cast_unsigned(), row.try_get(1)?))
}

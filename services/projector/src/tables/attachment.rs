//! Table `attachment`.

use sea_orm::sqlx::PgConnection;
use veza_events::room::{MessagePosted, RoomEvent};

use super::{Moment, Schema, SqlError, text};

#[derive(Default)]
pub(super) struct Attachments<'a> {
    posted: Vec<(i64, &'a MessagePosted)>,
}

impl<'a> Attachments<'a> {
    pub(super) fn take(&mut self, moment: Moment, event: &'a RoomEvent) {
        if let RoomEvent::MessagePosted(event) = event
            && !event.attachments.is_empty()
        {
            self.posted.push((moment.seq, event));
        }
    }

    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        if self.posted.is_empty() {
            return Ok(0);
        }
        let (mut ids, mut messages, mut places, mut rooms) = (vec![], vec![], vec![], vec![]);
        let (mut spaces, mut authors, mut kinds, mut sizes) = (vec![], vec![], vec![], vec![]);
        let (mut abouts, mut seqs) = (vec![], vec![]);
        for (seq, event) in &self.posted {
            for (place, file) in event.attachments.iter().enumerate() {
                ids.push(file.attachment.uuid());
                messages.push(event.message.uuid());
                places.push(i32::try_from(place).unwrap_or(i32::MAX));
                rooms.push(event.room.uuid());
                spaces.push(event.space.uuid());
                authors.push(event.author.uuid());
                kinds.push(super::wire_name(&file.kind));
                sizes.push(i64::try_from(file.size).unwrap_or(i64::MAX));
                let about = file.about.clear().map(|about| {
                    let json = serde_json::to_string(about).expect("sealed values are plain data");
                    text(&json).into_owned()
                });
                abouts.push(about);
                seqs.push(*seq);
            }
        }
        let sql = "INSERT INTO {s}.attachment
                (attachment, message, place, room, space, author, kind, size, about, seq)
            SELECT a, m, p, r, s, w, k, z, b, q FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::uuid[],
                $5::uuid[], $6::uuid[], $7::text[], $8::int8[], $9::text[], $10::int8[])
                AS files (a, m, p, r, s, w, k, z, b, q)
            ON CONFLICT (attachment) DO NOTHING";
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(messages)
            .bind(places)
            .bind(rooms)
            .bind(spaces)
            .bind(authors)
            .bind(kinds)
            .bind(sizes);
        Ok(query
            .bind(abouts)
            .bind(seqs)
            .execute(connection)
            .await?
            .rows_affected())
    }
}

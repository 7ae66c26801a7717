//! Messages that wait for their time, as `veza.v1.Chat` has them.

use time::OffsetDateTime;
use veza_events::RoomId;
use veza_events::room::Mentions;
use veza_platform::contract::Problem;
use veza_platform::contract::chat::ScheduleMessage;
use veza_platform::event_log::StreamName;
use veza_readmodel::{PageOf, rows};

use super::chat::Chat;
use super::messages::timestamp;
use super::wire::{
    CancelScheduledRequest, ChangeScheduledRequest, ListScheduledReply, ListScheduledRequest, Position,
    ScheduleReply, ScheduleRequest, Scheduled,
};
use super::{command, limit_of, optional, uuid_of};
use crate::http::Identity;
use crate::problems::of_read_model;

impl Chat {
    pub(super) async fn plan(
        &self,
        identity: Identity,
        request: ScheduleRequest,
    ) -> Result<ScheduleReply, Problem> {
        let room: RoomId = uuid_of(&request.room, "room")?;
        let caller = command(identity, &request.command_id)?;
        let planned = ScheduleMessage {
            space: self.0.rooms.place(room).await?.space,
            room,
            body: request.body,
            reply_to: optional(&request.reply_to, "reply_to")?,
            mentions: Mentions::default(),
            at: time_of(request.at)?
                .ok_or_else(|| Problem::field("request.malformed", "at", "say when"))?
                .into(),
        };
        let done = self.0.schedule(&caller, planned).await?;
        Ok(ScheduleReply {
            scheduled: done.scheduled.to_string(),
            position: Some(done.position.into()),
        })
    }

    pub(super) async fn planned(
        &self,
        identity: Identity,
        request: ListScheduledRequest,
    ) -> Result<ListScheduledReply, Problem> {
        self.is_as_new(request.min_position).await?;
        let room = optional(&request.room, "room")?;
        let page = PageOf {
            cursor: Some(request.cursor).filter(|cursor| !cursor.is_empty()),
            limit: limit_of(request.limit)?,
        };
        let list = self.0.read.scheduled(identity.account(), room, &page).await;
        let list = list.map_err(of_read_model)?;
        Ok(ListScheduledReply {
            scheduled: list.items.into_iter().map(Scheduled::from).collect(),
            next: list.next.unwrap_or_default(),
        })
    }

    pub(super) async fn change_plan(
        &self,
        identity: Identity,
        request: ChangeScheduledRequest,
    ) -> Result<ScheduleReply, Problem> {
        let caller = command(identity, &request.command_id)?;
        let (id, at) = (uuid_of(&request.scheduled, "scheduled")?, time_of(request.at)?);
        self.is_as_new(request.min_position).await?;
        let author = identity.account();
        let change = self.0.scheduled_change(author, id, request.body, at).await?;
        let position = self.0.chat(&caller, &change).await?.position;
        Ok(ScheduleReply {
            scheduled: id.to_string(),
            position: Some(position.into()),
        })
    }

    pub(super) async fn cancel_plan(
        &self,
        identity: Identity,
        request: CancelScheduledRequest,
    ) -> Result<ScheduleReply, Problem> {
        let caller = command(identity, &request.command_id)?;
        let id = uuid_of(&request.scheduled, "scheduled")?;
        self.is_as_new(request.min_position).await?;
        let cancel = self.0.scheduled_cancel(identity.account(), id).await?;
        let position = self.0.chat(&caller, &cancel).await?.position;
        Ok(ScheduleReply {
            scheduled: id.to_string(),
            position: Some(position.into()),
        })
    }

    /// Waits until the read model has what the caller wants to see.
    async fn is_as_new(&self, wanted: Option<Position>) -> Result<(), Problem> {
        let Some(wanted) = wanted else { return Ok(()) };
        let stream = StreamName::from(wanted.stream.as_str());
        // A position in a stream that is not there would never be reached.
        if !self.0.log.streams().contains(&stream) {
            let detail = "this is no position; pass one of an earlier reply";
            return Err(Problem::field("request.min_seq", "min_position", detail));
        }
        self.0.reached(&stream, wanted.seq).await
    }
}

/// The time that a message of protobuf names.
fn time_of(at: Option<prost_types::Timestamp>) -> Result<Option<OffsetDateTime>, Problem> {
    let Some(at) = at else { return Ok(None) };
    let nanos = u32::try_from(at.nanos).ok();
    let time = OffsetDateTime::from_unix_timestamp(at.seconds).ok();
    let time = nanos.and_then(|nanos| time?.replace_nanosecond(nanos).ok());
    let wrong = || Problem::field("request.malformed", "at", "this is no time");
    time.map(Some).ok_or_else(wrong)
}

impl From<rows::Scheduled> for Scheduled {
    fn from(row: rows::Scheduled) -> Self {
        Self {
            id: row.id.to_string(),
            space: row.space.to_string(),
            room: row.room.to_string(),
            body: row.body,
            reply_to: row.reply_to.map(|id| id.to_string()).unwrap_or_default(),
            at: Some(timestamp(row.at)),
            created_at: Some(timestamp(row.created_at)),
            refused: row.refused,
            seq: row.seq,
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    #[test]
    fn times_are_read_and_what_is_none_is_refused() {
        let read = |seconds, nanos| time_of(Some(Timestamp { seconds, nanos }));
        assert_eq!(time_of(None), Ok(None));
        let early = read(1_700_000_000, 5).unwrap().unwrap();
        assert_eq!((early.unix_timestamp(), early.nanosecond()), (1_700_000_000, 5));
        for (seconds, nanos) in [(i64::MAX, 0), (0, -1), (0, 1_000_000_000)] {
            let refused = read(seconds, nanos).unwrap_err();
            assert_eq!(refused.code, "request.malformed", "{seconds} {nanos}");
        }
    }
}

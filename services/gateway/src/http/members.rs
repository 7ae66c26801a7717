//! `/v1/spaces/{space}/members`

use std::collections::BTreeSet;
use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_platform::contract::Problem;
use veza_platform::contract::chat::{ChangeMember, RemoveMember};
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::page::{self, Items};
use super::problem::Failure;
use super::reason::Reason;
use super::reply::{Changed, Found};
use super::seen::Seen;
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Longest time of which messages are deleted with a ban: 7 days.
const MAX_DELETE_S: u32 = 7 * 24 * 60 * 60;

/// Operations on memberships.
pub(super) struct Members(pub(super) Arc<Gateway>);

/// How an account stands to a space.
#[derive(Clone, Copy, Enum)]
#[oai(remote = "veza_events::member::Standing", rename_all = "snake_case")]
enum Standing {
    /// Was never in, left, or was removed.
    Out,
    /// Is in.
    Joined,
    /// Must stay out.
    Banned,
}

/// What is to change; absent fields stay.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct MemberChange {
    /// All roles beside everyone's.
    roles: Option<Vec<Uuid>>,
    /// May read but not post.
    muted: Option<bool>,
    /// Must stay out; `false` lifts a ban.
    banned: Option<bool>,
    /// May only read for so many seconds from now on, at most 28 days; 0 lifts that.
    time_out_s: Option<u32>,
    /// With a ban: also take back what the account said in the last so many seconds, at most 7 days, in all rooms in
    /// which the caller may `manage_messages`.
    delete_messages_s: Option<u32>,
}

/// A membership was changed.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct MemberChanged {
    /// The sequence of the change.
    seq: u64,
    /// How many messages were taken back with it.
    messages_deleted: Option<u64>,
    /// Whether there are more; they are taken back by and by.
    more_messages: Option<bool>,
}

/// A membership.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Member {
    /// Who.
    account: Uuid,
    /// In, out or banned.
    standing: Standing,
    /// Roles beside everyone's.
    roles: Vec<Uuid>,
    /// Whether it may only read.
    muted: bool,
    /// Until when it may only read, also when that is over.
    timed_out_until: Option<OffsetDateTime>,
    /// Until when it may only read since it came during a raid, also when that is over; absent once it was let go.
    held_until: Option<OffsetDateTime>,
    /// Since when.
    joined_at: OffsetDateTime,
    /// The name others call it by; absent for an erased account.
    handle: Option<String>,
    /// The name shown; absent for an erased account.
    display_name: Option<String>,
    /// Whether a program acts for it.
    bot: bool,
    /// Last change.
    seq: u64,
}

impl From<rows::Member> for Member {
    fn from(row: rows::Member) -> Self {
        Self {
            account: row.account.uuid(),
            standing: row.standing.into(),
            roles: row.roles.into_iter().map(veza_events::RoleId::uuid).collect(),
            muted: row.muted,
            timed_out_until: row.timed_out_until.map(veza_events::Timestamp::time),
            held_until: row.held_until.map(veza_events::Timestamp::time),
            joined_at: row.joined_at.time(),
            handle: row.handle,
            display_name: row.display_name,
            bot: row.bot,
            seq: row.seq,
        }
    }
}

#[OpenApi(tag = "Chapter::Spaces")]
impl Members {
    /// Who is in a space.
    #[oai(
        path = "/v1/spaces/:space/members",
        method = "get",
        operation_id = "list_members"
    )]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        space: Path<Uuid>,
        /// Only those with this in their handle or shown name, whatever its case.
        #[oai(validator(min_length = 1, max_length = 100))]
        q: Query<Option<String>>,
        /// Only holders of this role.
        role: Query<Option<Uuid>>,
        cursor: Query<Option<String>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u16>>,
    ) -> Result<Found<Items<Member>>, Failure> {
        let space = (*space).into();
        self.0.access.joined(session.account(), space).await?;
        let page = page::part(cursor.0, limit.0);
        let filter = rows::MemberFilter {
            name: q.0,
            role: role.0.map(Into::into),
        };
        let list = self
            .0
            .read
            .members(space, &filter, &page)
            .await
            .map_err(of_read_model)?;
        Ok(Found::new(Items::part(list, Member::from)))
    }

    /// Change a membership: roles, mute, time-out, ban. Each needs its permission in the space, and a higher rank.
    #[oai(
        path = "/v1/spaces/:space/members/:account",
        method = "put",
        operation_id = "change_member"
    )]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn change(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "If-Match")] seen: Seen,
        space: Path<Uuid>,
        #[oai(name = "Veza-Reason")] reason: Reason,
        account: Path<Uuid>,
        Json(body): Json<MemberChange>,
    ) -> Result<Found<MemberChanged>, Failure> {
        let seconds = match body.delete_messages_s {
            Some(seconds) if body.banned != Some(true) || seconds > MAX_DELETE_S => {
                let detail = "messages are deleted with a ban, at most those of 7 days";
                return Err(
                    Problem::field("member.delete_messages_invalid", "delete_messages_s", detail).into(),
                );
            }
            seconds => seconds.filter(|seconds| *seconds > 0),
        };
        let roles = body
            .roles
            .map(|roles| roles.into_iter().map(Into::into).collect::<BTreeSet<_>>());
        let command = ChangeMember {
            space: (*space).into(),
            account: (*account).into(),
            roles,
            muted: body.muted,
            banned: body.banned,
            time_out_s: body.time_out_s,
            reason: reason.0,
        };
        let caller = once.caller(&self.0, &session).await?;
        let done = self.0.chat(&seen.by(caller), &command).await?;
        let about = (command.space, command.account);
        let purged = match seconds {
            Some(seconds) => Some(self.0.purge(&caller, about, seconds, &done.position).await?),
            None => None,
        };
        let changed = MemberChanged {
            seq: done.position.seq,
            messages_deleted: purged.map(|purged| purged.messages as u64),
            more_messages: purged.map(|purged| purged.more),
        };
        Ok(Found::written(changed, done.position))
    }

    /// Leave a space, or show somebody the door.
    #[oai(
        path = "/v1/spaces/:space/members/:account",
        method = "delete",
        operation_id = "remove_member"
    )]
    async fn remove(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "If-Match")] seen: Seen,
        space: Path<Uuid>,
        #[oai(name = "Veza-Reason")] reason: Reason,
        account: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = RemoveMember {
            space: (*space).into(),
            account: (*account).into(),
            reason: reason.0,
        };
        once.change_seen(&self.0, &session, seen, &command).await
    }
}

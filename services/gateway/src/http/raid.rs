//! `/v1/spaces/{space}/raid`

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::Timestamp;
use veza_platform::contract::Caller;
use veza_platform::contract::chat::{GetRaid, ReleaseMember, SetRaidBrake, SwitchRaid};

use super::body::Json;
use super::problem::Failure;
use super::reason::Reason;
use super::reply::{Changed, Found};
use super::seen::Seen;
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::state::Gateway;

/// Operations on raids.
pub(super) struct Raid(pub(super) Arc<Gateway>);

/// When it is a raid.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct RaidBrake {
    /// More joins than this within a minute, at most 1,000; 0 to count none.
    joins_per_minute: u32,
    /// How many seconds those who come then may only read, 60 to 604,800.
    hold_s: u32,
}

/// Whether there is a raid.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct RaidSwitch {
    /// `true`: who comes from now on may only read for the time of the brake, an hour by default. `false`: who came
    /// during the raid may speak.
    active: bool,
}

/// How a space minds raids.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct RaidState {
    /// More joins than this within a minute are one; 0 when none are counted.
    joins_per_minute: u32,
    /// How many seconds those who come then may only read.
    hold_s: u32,
    /// Whether there is one.
    active: bool,
    /// Until when, if nobody ends it.
    until: Option<OffsetDateTime>,
}

#[OpenApi(tag = "Chapter::Moderation")]
impl Raid {
    /// Whether there is a raid, and when it would be one; for those who may `mute` or `manage_space`.
    #[oai(path = "/v1/spaces/:space/raid", method = "get", operation_id = "get_raid")]
    async fn get(&self, session: Session, space: Path<Uuid>) -> Result<Found<RaidState>, Failure> {
        let caller = Caller::asking(session.account());
        let space = (*space).into();
        let found = self.0.chat(&caller, &GetRaid { space }).await?;
        let state = RaidState {
            joins_per_minute: found.joins_per_minute,
            hold_s: found.hold_s,
            active: found.until.is_some(),
            until: found.until.map(Timestamp::time),
        };
        Ok(Found::viewed(state, found.seq))
    }

    /// Say that there is a raid, or that it is over. Needs `mute`.
    #[oai(path = "/v1/spaces/:space/raid", method = "put", operation_id = "switch_raid")]
    async fn switch(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        Json(body): Json<RaidSwitch>,
    ) -> Result<Changed, Failure> {
        let command = SwitchRaid {
            space: (*space).into(),
            active: body.active,
        };
        once.change(&self.0, &session, &command).await
    }

    /// Say from how many joins a minute on it is a raid: those who may `mute` are told of one by an `account` frame,
    /// `space.raid_begun.v1`. Needs `manage_space`.
    #[oai(
        path = "/v1/spaces/:space/raid/brake",
        method = "put",
        operation_id = "set_raid_brake"
    )]
    async fn set(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "If-Match")] seen: Seen,
        space: Path<Uuid>,
        Json(body): Json<RaidBrake>,
    ) -> Result<Changed, Failure> {
        let command = SetRaidBrake {
            space: (*space).into(),
            joins_per_minute: body.joins_per_minute,
            hold_s: body.hold_s,
        };
        once.change_seen(&self.0, &session, seen, &command).await
    }

    /// Let a member speak who came during a raid. Needs `mute`.
    #[oai(
        path = "/v1/spaces/:space/members/:account/release",
        method = "post",
        operation_id = "release_member"
    )]
    async fn release(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        #[oai(name = "Veza-Reason")] reason: Reason,
        account: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = ReleaseMember {
            space: (*space).into(),
            account: (*account).into(),
            reason: reason.0,
        };
        once.change(&self.0, &session, &command).await
    }
}

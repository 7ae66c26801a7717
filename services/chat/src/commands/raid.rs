//! The brake against raids.

use std::sync::Arc;

use veza_domain::{
    member::MemberCommand,
    space::{RaidCommand, SpaceCommand, may_watch_raids},
};
use veza_platform::contract::{
    Caller, Problem,
    chat::{Changed, GetRaid, RaidFound, ReleaseMember, SetRaidBrake, SwitchRaid},
};

use super::{asked, member, now, space::changed};
use crate::worker::{Parties, Worker};

pub(super) async fn set(
    worker: Arc<Worker>,
    caller: Caller,
    command: SetRaidBrake,
) -> Result<Changed, Problem> {
    let set = RaidCommand::Set {
        joins_per_minute: command.joins_per_minute,
        hold_s: command.hold_s,
    };
    changed(&worker, &caller, &command, &SpaceCommand::Raid(set)).await
}

pub(super) async fn switch(
    worker: Arc<Worker>,
    caller: Caller,
    command: SwitchRaid,
) -> Result<Changed, Problem> {
    let active = command.active;
    let switch = SpaceCommand::Raid(RaidCommand::Switch { active });
    changed(&worker, &caller, &command, &switch).await
}

pub(super) async fn release(
    worker: Arc<Worker>,
    caller: Caller,
    command: ReleaseMember,
) -> Result<Changed, Problem> {
    let about = (command.account, command.reason.as_deref());
    member::membership(&worker, &caller, &command, about, &[MemberCommand::Release]).await
}

pub(super) async fn get(worker: Arc<Worker>, caller: Caller, command: GetRaid) -> Result<RaidFound, Problem> {
    let account = caller.account()?;
    let parties = Parties {
        space: command.space,
        actor: account,
        target: account,
    };
    let view = worker.view_anew(parties).await?;
    may_watch_raids(view.structure(), &asked(&view, account))?;
    let brake = &view.structure().brake;
    Ok(RaidFound {
        joins_per_minute: brake.joins_per_minute,
        hold_s: brake.hold_s,
        until: brake.raid_until(now()),
        seq: view.space.seq,
    })
}

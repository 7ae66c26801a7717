//! The structure of a space.

use std::sync::Arc;

use veza_domain::{
    Decider, fold,
    member::{Member, MemberCommand, MemberContext},
    room::{Room, RoomCommand, RoomContext},
    space::{self, Space, SpaceCommand, SpaceState, event_part},
};
use veza_events::{AccountId, CommandId, Event, RoomId, SpaceId, member::Membership, space::SpaceEvent};
use veza_platform::{
    contract::{
        Caller, Command, Problem,
        chat::{
            ChangeRoom, ChangeSpace, Changed, CreateInvite, CreateRoom, CreateSpace, DefineRole, InSpace,
            InviteCreated, Preset, RemoveRole, RevokeInvite, RoomCreated, SpaceCreated,
        },
    },
    event_log::{Expect, Position},
    invite_code,
    keyring::DataKey,
    ledger::{About, Write},
};

use super::{asked, now};
use crate::worker::{Parties, Queue, View, Worker, writes};

/// One atomic batch over four aggregates: the space, its first room, its first member, the timeline.
pub(super) async fn create(
    worker: Arc<Worker>,
    caller: Caller,
    command: CreateSpace,
) -> Result<SpaceCreated, Problem> {
    let CreateSpace {
        space,
        ref name,
        preset,
    } = command;
    let owner = caller.account()?;
    if space != caller.command.derive(owner.uuid(), "space") {
        let detail = "the id of a space is derived from the command that makes it";
        return Err(Problem::field("space.id_invalid", "space", detail));
    }
    let room: RoomId = caller.command.derive(owner.uuid(), "room");
    let decide = |view: &View| {
        let name = name.clone();
        let create = SpaceCommand::Create {
            space,
            name,
            preset: preset_of(preset),
            room,
        };
        let mut structure = Space::decide(view.structure(), &asked(view, owner), create)?;
        let made = fold::<Space>(&structure);
        let rest = structure.split_off(1);
        let subject = worker.space_subject(space);
        let mut all = writes(&subject, Expect::Last(0), structure);
        all.extend(owner_in(&worker, &made, space, owner)?);
        all.extend(writes(&subject, Expect::Any, rest));
        all.extend(opened(&worker, space, room, owner)?);
        Ok(all)
    };
    let _turn = worker.turns.take(Queue::Space(space)).await;
    let parties = Parties {
        space,
        actor: owner,
        target: owner,
    };
    let subject = worker.space_subject(space);
    let position = worker
        .change(&caller, &command, &subject, parties, decide)
        .await?;
    Ok(SpaceCreated {
        space,
        room,
        position,
    })
}

fn owner_in(
    worker: &Worker,
    made: &SpaceState,
    space: SpaceId,
    owner: AccountId,
) -> Result<Vec<Write>, Problem> {
    let nobody = Membership::default();
    let context = MemberContext {
        now: now(),
        space: made,
        account: owner,
        actor: owner,
        actor_membership: &nobody,
        reason: None,
    };
    let joined = Member::decide(&nobody, &context, MemberCommand::Found)?;
    Ok(writes(
        &worker.member_subject(space, owner),
        Expect::Last(0),
        joined,
    ))
}

pub(super) fn opened(
    worker: &Worker,
    space: SpaceId,
    room: RoomId,
    actor: AccountId,
) -> Result<Vec<Write>, Problem> {
    let (nothing, nobody) = (SpaceState::default(), Membership::default());
    let context = RoomContext {
        room,
        parent: None,
        space: &nothing,
        actor,
        membership: &nobody,
        limits: worker.limits,
        now: now(),
        blocked: false,
    };
    let opened = Room::decide(&(), &context, RoomCommand::Open { space })?;
    Ok(writes(&worker.room_subject(space, room), Expect::Last(0), opened))
}

pub(super) async fn create_room(
    worker: Arc<Worker>,
    caller: Caller,
    command: CreateRoom,
) -> Result<RoomCreated, Problem> {
    let CreateRoom {
        space,
        ref name,
        kind,
        category,
        private,
    } = command;
    let actor = caller.account()?;
    let room: RoomId = caller.command.derive(actor.uuid(), "room");
    let create = SpaceCommand::CreateRoom {
        room,
        name: name.clone(),
        kind,
        category,
        private,
    };
    let timeline = |_: &[SpaceEvent]| opened(&worker, space, room, actor);
    let position = structure(&worker, &caller, &command, &create, timeline).await?;
    Ok(RoomCreated { room, position })
}

pub(super) async fn change(
    worker: Arc<Worker>,
    caller: Caller,
    command: ChangeSpace,
) -> Result<Changed, Problem> {
    let change = SpaceCommand::Change {
        name: command.name.clone(),
        history: command.history,
        previews: command.previews,
    };
    changed(&worker, &caller, &command, &change).await
}

pub(super) async fn change_room(
    worker: Arc<Worker>,
    caller: Caller,
    command: ChangeRoom,
) -> Result<Changed, Problem> {
    let ChangeRoom {
        room,
        ref name,
        ref topic,
        slow_mode_s,
        history,
        archive,
        ..
    } = command;
    let change = SpaceCommand::ChangeRoom {
        room,
        name: name.clone(),
        topic: topic.clone(),
        slow_mode_s,
        history,
        archive,
    };
    changed(&worker, &caller, &command, &change).await
}

pub(super) async fn define_role(
    worker: Arc<Worker>,
    caller: Caller,
    command: DefineRole,
) -> Result<Changed, Problem> {
    let DefineRole {
        role,
        ref name,
        permissions,
        rank,
        ..
    } = command;
    let define = SpaceCommand::DefineRole {
        role,
        name: name.clone(),
        permissions,
        rank,
    };
    changed(&worker, &caller, &command, &define).await
}

pub(super) async fn remove_role(
    worker: Arc<Worker>,
    caller: Caller,
    command: RemoveRole,
) -> Result<Changed, Problem> {
    changed(
        &worker,
        &caller,
        &command,
        &SpaceCommand::RemoveRole { role: command.role },
    )
    .await
}

/// The secret of the code is derived under the maker's key: a repeated command answers with the same
/// code, and nobody else can tell it.
pub(super) async fn create_invite(
    worker: Arc<Worker>,
    caller: Caller,
    command: CreateInvite,
) -> Result<InviteCreated, Problem> {
    let CreateInvite {
        space,
        max_uses,
        expires_at,
    } = command;
    let actor = caller.account()?;
    let key = worker.ledger.keys().of_account(actor).await?;
    let (_, key) = key.ok_or_else(|| Problem::internal(&"an account that gives commands has no key"))?;
    let code = invite_code::encode(space, secret(&key, caller.command));
    let digest = invite_code::decode(&code)
        .map_err(|error| Problem::internal(&error))?
        .digest;
    let invite = caller.command.derive(actor.uuid(), "invite");
    let create = SpaceCommand::CreateInvite {
        invite,
        digest,
        max_uses,
        expires_at,
    };
    let position = structure(&worker, &caller, &command, &create, |_| Ok(vec![])).await?;
    Ok(InviteCreated {
        invite,
        code,
        position,
    })
}

/// The first 72 bits of a keyed digest. No digest of a command is made of such an input.
fn secret(key: &DataKey, command: CommandId) -> [u8; 9] {
    let digest = key.digest(&[b"invite".as_slice(), command.uuid().as_bytes()].concat());
    std::array::from_fn(|index| {
        u8::from_str_radix(&digest[2 * index..2 * index + 2], 16).expect("a digest is 64 hex digits")
    })
}

pub(super) async fn revoke_invite(
    worker: Arc<Worker>,
    caller: Caller,
    command: RevokeInvite,
) -> Result<Changed, Problem> {
    changed(
        &worker,
        &caller,
        &command,
        &SpaceCommand::RevokeInvite {
            invite: command.invite,
        },
    )
    .await
}

pub(super) async fn changed<C: Command + InSpace>(
    worker: &Worker,
    caller: &Caller,
    command: &C,
    change: &SpaceCommand,
) -> Result<Changed, Problem> {
    let position = structure(worker, caller, command, change, |_| Ok(vec![])).await?;
    Ok(Changed { position })
}

/// Changes a space by its own sequence, together with what else must come to be.
pub(super) async fn structure<C: Command + InSpace>(
    worker: &Worker,
    caller: &Caller,
    command: &C,
    change: &SpaceCommand,
    along: impl Fn(&[SpaceEvent]) -> Result<Vec<Write>, Problem>,
) -> Result<Position, Problem> {
    let (actor, space) = (caller.account()?, command.space());
    let primary = worker.space_subject(space);
    let decide = |view: &View| {
        let facts = Space::decide(view.structure(), &asked(view, actor), change.clone())?;
        let more = along(&facts)?;
        let mut all = writes(&primary, Expect::Last(view.space.seq), facts);
        all.extend(more);
        Ok(all)
    };
    let _turn = worker.turns.take(Queue::Space(space)).await;
    let parties = Parties {
        space,
        actor,
        target: change.about().unwrap_or(actor),
    };
    let part = change.part();
    let concerns = |event: &Event| match event {
        Event::Space(event) => part.is_none_or(|part| event_part(event) == part),
        Event::Account(_)
        | Event::Handle(_)
        | Event::Member(_)
        | Event::Room(_)
        | Event::Report(_)
        | Event::Schedule(_)
        | Event::Call(_)
        | Event::Held(_) => true,
    };
    let about = About {
        primary: &primary,
        or: None,
        concerns: &concerns,
    };
    worker.change(caller, command, about, parties, decide).await
}

fn preset_of(preset: Preset) -> space::Preset {
    match preset {
        Preset::Open => space::Preset::Open,
        Preset::Team => space::Preset::Team,
        Preset::Announcement => space::Preset::Announcement,
        Preset::Private => space::Preset::Private,
    }
}

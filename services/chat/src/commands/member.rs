//! Who is in a space.

use std::sync::Arc;

use veza_domain::{
    Decider, decide_all,
    member::{Member, MemberCommand, MemberContext},
    space::{Space, SpaceCommand},
};
use veza_events::{AccountId, space::SpaceEvent};
use veza_platform::{
    contract::{
        Caller, Command, Problem, ProblemKind,
        chat::{AcceptInvite, BringBot, ChangeMember, Changed, InSpace, RemoveMember},
    },
    event_log::Expect,
    ledger::Write,
};

use super::{asked, now};
use crate::worker::{Parties, Queue, View, Worker, writes};

/// A use that counts is written together with the membership, so that no more come than may.
pub(super) async fn accept_invite(
    worker: Arc<Worker>,
    caller: Caller,
    command: AcceptInvite,
) -> Result<Changed, Problem> {
    let AcceptInvite { space, ref digest } = command;
    let account = caller.account()?;
    let (primary, structure) = (worker.member_subject(space, account), worker.space_subject(space));
    let decide = |view: &View| {
        let accept = MemberCommand::Accept {
            digest: digest.clone(),
        };
        let use_it = SpaceCommand::UseInvite {
            digest: digest.clone(),
        };
        let used = Space::decide(view.structure(), &asked(view, account), use_it)?;
        // Who comes as one too many is held already.
        let mut with = view.structure().clone();
        for begun in used
            .iter()
            .filter(|fact| matches!(fact, SpaceEvent::RaidBegun(_)))
        {
            Space::evolve(&mut with, begun);
        }
        let context = MemberContext {
            space: &with,
            ..about(view, account, account)
        };
        let joined = Member::decide(&view.target.state, &context, accept)?;
        let mut all = writes(&primary, Expect::Last(view.target.seq), joined);
        all.extend(writes(&structure, Expect::Last(view.space.seq), used));
        Ok(all)
    };
    // A use that counts is a change of the space as well.
    let _space = worker.turns.take(Queue::Space(space)).await;
    let _member = worker.turns.take(Queue::Member(space, account)).await;
    let parties = Parties {
        space,
        actor: account,
        target: account,
    };
    let position = worker
        .change(&caller, &command, &primary, parties, decide)
        .await?;
    Ok(Changed { position })
}

/// What a bot is, is seen within a second, as all that is not of the space itself.
pub(super) async fn bring_bot(
    worker: Arc<Worker>,
    caller: Caller,
    command: BringBot,
) -> Result<Changed, Problem> {
    let bot = worker.people.get(command.bot).await?.state.bot;
    let about = (command.bot, None);
    membership(&worker, &caller, &command, about, &[MemberCommand::Bring { bot }]).await
}

pub(super) async fn change(
    worker: Arc<Worker>,
    caller: Caller,
    command: ChangeMember,
) -> Result<Changed, Problem> {
    let ChangeMember {
        account,
        ref roles,
        muted,
        banned,
        time_out_s,
        ref reason,
        ..
    } = command;
    let roles = roles.clone().map(|roles| MemberCommand::ChangeRoles { roles });
    let muted = muted.map(|muted| MemberCommand::Mute { muted });
    let banned = banned.map(|banned| MemberCommand::Ban { banned });
    let time_out = time_out_s.map(|seconds| MemberCommand::TimeOut { seconds });
    // A ban comes last: after it there are no roles to change.
    let commands: Vec<_> = roles
        .into_iter()
        .chain(muted)
        .chain(time_out)
        .chain(banned)
        .collect();
    if commands.is_empty() {
        let detail = "say what to change: roles, muted, time_out_s or banned";
        return Err(Problem::new(ProblemKind::Invalid, "member.no_change", detail));
    }
    let about = (account, reason.as_deref());
    membership(&worker, &caller, &command, about, &commands).await
}

pub(super) async fn remove(
    worker: Arc<Worker>,
    caller: Caller,
    command: RemoveMember,
) -> Result<Changed, Problem> {
    let about = (command.account, command.reason.as_deref());
    membership(&worker, &caller, &command, about, &[MemberCommand::Remove]).await
}

/// Changes one membership, for a reason, by its own sequence: no two changes of it ever miss each other.
pub(super) async fn membership<C: Command + InSpace>(
    worker: &Worker,
    caller: &Caller,
    command: &C,
    (account, reason): (AccountId, Option<&str>),
    commands: &[MemberCommand],
) -> Result<Changed, Problem> {
    let (actor, space) = (caller.account()?, command.space());
    let primary = worker.member_subject(space, account);
    let decide = |view: &View| -> Result<Vec<Write>, Problem> {
        let context = MemberContext {
            reason,
            ..about(view, actor, account)
        };
        let facts = decide_all::<Member>(&view.target.state, &context, commands.iter().cloned())?;
        Ok(writes(&primary, Expect::Last(view.target.seq), facts))
    };
    let _turn = worker.turns.take(Queue::Member(space, account)).await;
    let parties = Parties {
        space,
        actor,
        target: account,
    };
    let position = worker.change(caller, command, &primary, parties, decide).await?;
    Ok(Changed { position })
}

/// What a decision about `account` looks at.
pub(super) fn about(view: &View, actor: AccountId, account: AccountId) -> MemberContext<'_> {
    MemberContext {
        now: now(),
        space: view.structure(),
        account,
        actor,
        actor_membership: view.membership(),
        reason: None,
    }
}

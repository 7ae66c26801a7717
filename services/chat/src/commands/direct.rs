//! Conversations between a few people.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::try_join_all;
use veza_domain::{
    Decider,
    member::{Member, MemberCommand, MemberContext},
    space::{Acquaintance, DirectCommand, MAX_IN_DIRECT, Space, SpaceCommand, SpaceState},
};
use veza_events::{AccountId, RoomId, SpaceId, member::Membership};
use veza_platform::{
    contract::{
        Caller, Problem,
        chat::{AddToDirect, Changed, DirectOpened, OpenDirect},
    },
    event_log::Expect,
    ledger::Write,
};

use super::{asked, now, space::opened};
use crate::worker::{Parties, Queue, View, Worker, writes};

/// One atomic batch where it is new: the space, everybody's membership, the timeline. Who left a group comes
/// back by asking for it again.
pub(super) async fn open(
    worker: Arc<Worker>,
    caller: Caller,
    command: OpenDirect,
) -> Result<DirectOpened, Problem> {
    let OpenDirect { space, ref accounts } = command;
    let actor = caller.account()?;
    let mut accounts = accounts.clone();
    accounts.insert(actor);
    if space != SpaceId::of_direct(&accounts) {
        let detail = "the id of a conversation is derived from those who take part";
        return Err(Problem::field("space.id_invalid", "accounts", detail));
    }
    let room = RoomId::of_direct(space);
    // More than may talk are refused without looking at them.
    let acquaintance = match accounts.len() {
        2..=MAX_IN_DIRECT => acquaintance(&worker, actor, &accounts).await?,
        _ => Acquaintance::Free,
    };
    let open = SpaceCommand::Direct(DirectCommand::Open {
        space,
        room,
        accounts: accounts.clone(),
        acquaintance,
    });
    let decide = |view: &View| {
        let mut structure = Space::decide(view.structure(), &asked(view, actor), open.clone())?;
        if structure.is_empty() {
            let membership = (&view.actor.state, view.actor.seq);
            return enters(&worker, view.structure(), actor, actor, membership);
        }
        let made = veza_domain::fold::<Space>(&structure);
        let rest = structure.split_off(1);
        let subject = worker.space_subject(space);
        let mut all = writes(&subject, Expect::Last(view.space.seq), structure);
        for &account in &accounts {
            all.extend(enters(
                &worker,
                &made,
                actor,
                account,
                (&Membership::default(), 0),
            )?);
        }
        all.extend(writes(&subject, Expect::Any, rest));
        all.extend(opened(&worker, space, room, actor)?);
        Ok(all)
    };
    let _turn = worker.turns.take(Queue::Space(space)).await;
    let parties = Parties {
        space,
        actor,
        target: actor,
    };
    let primary = worker.space_subject(space);
    let position = worker
        .change(&caller, &command, &primary, parties, decide)
        .await?;
    Ok(DirectOpened {
        space,
        room,
        position,
    })
}

pub(super) async fn add(
    worker: Arc<Worker>,
    caller: Caller,
    command: AddToDirect,
) -> Result<Changed, Problem> {
    let AddToDirect { space, account } = command;
    let actor = caller.account()?;
    let acquaintance = acquaintance(&worker, actor, &BTreeSet::from([account])).await?;
    let add = SpaceCommand::Direct(DirectCommand::Add {
        account,
        acquaintance,
    });
    let primary = worker.member_subject(space, account);
    let decide = |view: &View| {
        let structure = Space::decide(view.structure(), &asked(view, actor), add.clone())?;
        let mut with = view.structure().clone();
        for event in &structure {
            Space::evolve(&mut with, event);
        }
        let membership = (&view.target.state, view.target.seq);
        let mut all = enters(&worker, &with, actor, account, membership)?;
        all.extend(writes(
            &worker.space_subject(space),
            Expect::Last(view.space.seq),
            structure,
        ));
        Ok(all)
    };
    let _space = worker.turns.take(Queue::Space(space)).await;
    let _member = worker.turns.take(Queue::Member(space, account)).await;
    let parties = Parties {
        space,
        actor,
        target: account,
    };
    let position = worker
        .change(&caller, &command, &primary, parties, decide)
        .await?;
    Ok(Changed { position })
}

fn enters(
    worker: &Worker,
    structure: &SpaceState,
    actor: AccountId,
    account: AccountId,
    (membership, seq): (&Membership, u64),
) -> Result<Vec<Write>, Problem> {
    let space = structure
        .space
        .ok_or_else(|| Problem::internal(&"a conversation without an id"))?;
    let context = MemberContext {
        now: now(),
        space: structure,
        account,
        actor,
        actor_membership: membership,
        reason: None,
    };
    let joined = Member::decide(membership, &context, MemberCommand::Enter)?;
    Ok(writes(
        &worker.member_subject(space, account),
        Expect::Last(seq),
        joined,
    ))
}

/// What is known of those whom `actor` wants to talk to. A block is seen within a second, as all that is not
/// of the conversation itself.
async fn acquaintance(
    worker: &Worker,
    actor: AccountId,
    accounts: &BTreeSet<AccountId>,
) -> Result<Acquaintance, Problem> {
    let mine = worker.people.get(actor).await?;
    let others: Vec<AccountId> = accounts
        .iter()
        .copied()
        .filter(|account| *account != actor)
        .collect();
    let theirs = try_join_all(others.iter().map(|&account| worker.people.get(account))).await?;
    if theirs.iter().any(|one| !one.state.exists) {
        return Ok(Acquaintance::Unknown);
    }
    let blocked = others.iter().any(|account| mine.state.blocked.contains(account))
        || theirs.iter().any(|one| one.state.blocked.contains(&actor));
    Ok(if blocked {
        Acquaintance::Blocked
    } else {
        Acquaintance::Free
    })
}

/// Whether it is a conversation of two, and one of them has blocked the other.
pub(super) async fn is_blocked(worker: &Worker, space: SpaceId, actor: AccountId) -> Result<bool, Problem> {
    let structure = worker.spaces.get(space).await?;
    let direct = structure.state.direct.as_ref();
    let Some(other) = direct.and_then(|direct| direct.other(actor)) else {
        return Ok(false);
    };
    let (mine, theirs) = futures::try_join!(worker.people.get(actor), worker.people.get(other))?;
    Ok(mine.state.blocked.contains(&other) || theirs.state.blocked.contains(&actor))
}

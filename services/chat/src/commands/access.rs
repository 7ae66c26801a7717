//! What an account may do: the one place where doors learn it, by the same functions that decide commands.

use std::sync::Arc;

use veza_events::{Permission, member::Standing};
use veza_platform::contract::{
    Caller, Problem,
    chat::{Access, GetAccess},
};

use crate::worker::{Parties, View, Worker};

pub(super) async fn get(worker: Arc<Worker>, caller: Caller, command: GetAccess) -> Result<Access, Problem> {
    let account = caller.account()?;
    let parties = Parties {
        space: command.space,
        actor: account,
        target: account,
    };
    let mut view = worker.view(parties).await?;
    // Who has just come in must not be turned away by a memory that is behind.
    if !is_in(&view) {
        view = worker.view_anew(parties).await?;
    }
    let (space, membership) = (view.structure(), view.membership());
    let rooms = space
        .rooms
        .keys()
        .map(|&room| (room, space.room_permissions(room, membership, account)))
        .filter(|(_, allowed)| allowed.has(Permission::View));
    let categories = space
        .categories
        .keys()
        .map(|&category| {
            (
                category,
                space.category_permissions(category, membership, account),
            )
        })
        .filter(|(_, allowed)| allowed.has(Permission::View));
    let hidden = space
        .rooms
        .keys()
        .map(|&room| (room, space.hidden_up_to(room, membership, account)))
        .filter(|(_, hidden)| *hidden > 0);
    Ok(Access {
        joined: is_in(&view),
        permissions: space.permissions(membership, account),
        rooms: rooms.collect(),
        categories: categories.collect(),
        hidden: hidden.collect(),
        space_seq: view.space.seq,
        member_seq: view.actor.seq,
    })
}

fn is_in(view: &View) -> bool {
    view.structure().exists() && view.membership().standing == Standing::Joined
}

//! In which order rooms are listed, and which of them stand together.

use veza_events::{
    CategoryId, Permission, RoomId,
    space::{CategoryChanged, CategoryCreated, CategoryRemoved, RoomPlaced},
};

use super::{
    Decision, SpaceContext, SpaceRejection, SpaceState,
    overrides::{Overrides, may_turn, requires_in_category},
};
use crate::names;

#[cfg(test)]
mod tests;

/// Most categories of a space.
pub const MAX_CATEGORIES: usize = 100;

/// A group of rooms in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Category {
    /// What it is called.
    pub name: String,
    /// Lower ones stand first.
    pub position: u16,
    /// What differs in its rooms.
    pub overrides: Overrides,
}

/// What can be asked about the list of rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderCommand {
    /// Make a category.
    Create {
        /// Its id.
        category: CategoryId,
        /// As typed.
        name: String,
        /// Lower ones stand first.
        position: u16,
    },
    /// Change a category; absent fields stay.
    Change {
        /// Which one.
        category: CategoryId,
        /// As typed.
        name: Option<String>,
        /// Lower ones stand first.
        position: Option<u16>,
    },
    /// Remove a category without rooms.
    Remove {
        /// Which one.
        category: CategoryId,
    },
    /// Put a room somewhere else.
    Place {
        /// Which one.
        room: RoomId,
        /// Into which category; into none when absent.
        category: Option<CategoryId>,
        /// Lower ones stand first.
        position: u16,
    },
}

/// Whether who asks may change the list at all.
pub(super) fn may(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    command: &OrderCommand,
) -> Result<(), SpaceRejection> {
    let manage = Permission::ManageRooms;
    match command {
        OrderCommand::Create { .. } => state.requires(context.membership, context.actor, manage),
        OrderCommand::Change { category, .. } | OrderCommand::Remove { category } => {
            requires_in_category(state, context, *category, manage)
        }
        OrderCommand::Place { room, category, .. } => {
            state.requires_in_room(*room, context.membership, context.actor, manage)?;
            match category {
                Some(category) => requires_in_category(state, context, *category, manage),
                None => Ok(()),
            }
        }
    }
}

pub(super) fn decide(state: &SpaceState, context: &SpaceContext<'_>, command: OrderCommand) -> Decision {
    match command {
        OrderCommand::Create { category, .. } if state.categories.contains_key(&category) => {
            Err(SpaceRejection::CategoryExists)
        }
        OrderCommand::Create { .. } if state.categories.len() >= MAX_CATEGORIES => {
            Err(SpaceRejection::TooManyCategories)
        }
        OrderCommand::Create {
            category,
            name,
            position,
        } => {
            let name = names::shown(&name).map_err(SpaceRejection::CategoryName)?;
            Ok(vec![
                CategoryCreated {
                    category,
                    name,
                    position,
                }
                .into(),
            ])
        }
        OrderCommand::Change {
            category,
            name,
            position,
        } => change(state, category, name.as_deref(), position),
        // Its rooms would lose what it overrides, and open.
        OrderCommand::Remove { category } if has_rooms(state, category) => {
            Err(SpaceRejection::CategoryNotEmpty)
        }
        OrderCommand::Remove { category } => Ok(vec![CategoryRemoved { category }.into()]),
        OrderCommand::Place {
            room,
            category,
            position,
        } => place(state, context, room, category, position),
    }
}

fn change(state: &SpaceState, category: CategoryId, name: Option<&str>, position: Option<u16>) -> Decision {
    let old = state
        .categories
        .get(&category)
        .ok_or(SpaceRejection::CategoryNotFound)?;
    let name = name
        .map(names::shown)
        .transpose()
        .map_err(SpaceRejection::CategoryName)?;
    let name = name.filter(|name| *name != old.name);
    let position = position.filter(|position| *position != old.position);
    if name.is_none() && position.is_none() {
        return Ok(vec![]);
    }
    Ok(vec![
        CategoryChanged {
            category,
            name,
            position,
        }
        .into(),
    ])
}

fn has_rooms(state: &SpaceState, category: CategoryId) -> bool {
    state.rooms.values().any(|room| room.category == Some(category))
}

fn place(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    id: RoomId,
    category: Option<CategoryId>,
    position: u16,
) -> Decision {
    let room = state.rooms.get(&id).ok_or(SpaceRejection::RoomNotFound)?;
    if (room.category, room.position) == (category, position) {
        return Ok(vec![]);
    }
    let mut moved = room.clone();
    moved.category = category;
    let (old, new) = (state.overrides_in(room), state.overrides_in(&moved));
    // Another category may open a room, or close it: then it is a matter of permissions as well.
    if old != new {
        state.requires_in_room(id, context.membership, context.actor, Permission::ManageRoles)?;
        let mine = state.room_permissions(id, context.membership, context.actor);
        may_turn(state, context, mine, old, new)?;
    }
    Ok(vec![
        RoomPlaced {
            room: id,
            category,
            position,
        }
        .into(),
    ])
}

/// A new room of a category stands first in it.
pub(super) fn placed(room: RoomId, category: CategoryId) -> RoomPlaced {
    RoomPlaced {
        room,
        category: Some(category),
        position: 0,
    }
}

//! Who may do more or less in one room, or in the rooms of a category, than in the rest of the space.

use std::collections::{BTreeMap, BTreeSet};

use veza_events::{
    AccountId, CategoryId, Permission, Permissions, RoleId, RoomId,
    member::{Membership, Standing},
    space::{OverrideRemoved, OverrideSet, Place, SpaceEvent, Whom},
};

use super::{Decision, Rank, Room, SpaceContext, SpaceRejection, SpaceState};

#[cfg(test)]
mod tests;

/// Most overrides of one room or category.
pub const MAX_OVERRIDES: usize = 100;

/// What is allowed and denied in a place, whatever roles say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Allowed beside what roles allow.
    pub allow: Permissions,
    /// Denied although roles allow it.
    pub deny: Permissions,
}

/// All overrides of a place.
pub type Overrides = BTreeMap<Whom, Override>;

/// What can be asked about overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverrideCommand {
    /// Set what is allowed and denied, in place of what was.
    Set {
        /// Where.
        place: Place,
        /// For whom.
        whom: Whom,
        /// What.
        to: Override,
    },
    /// Let the rest of the space be the rule again.
    Remove {
        /// Where.
        place: Place,
        /// For whom.
        whom: Whom,
    },
}

impl OverrideCommand {
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Set { place, .. } | Self::Remove { place, .. } => *place,
        }
    }
}

impl SpaceState {
    /// What counts in a room: its own overrides, or those of its category while it has none.
    pub fn overrides_in<'a>(&'a self, room: &'a Room) -> &'a Overrides {
        match room.category.and_then(|category| self.categories.get(&category)) {
            Some(category) if room.overrides.is_empty() => &category.overrides,
            Some(_) | None => &room.overrides,
        }
    }

    fn own_overrides(&self, place: Place) -> Option<&Overrides> {
        match place {
            Place::Room(room) => self.rooms.get(&room).map(|room| &room.overrides),
            Place::Category(category) => self.categories.get(&category).map(|category| &category.overrides),
        }
    }

    pub(super) fn overrides_mut(&mut self, place: Place) -> Option<&mut Overrides> {
        match place {
            Place::Room(room) => self.rooms.get_mut(&room).map(|room| &mut room.overrides),
            Place::Category(category) => self
                .categories
                .get_mut(&category)
                .map(|category| &mut category.overrides),
        }
    }

    /// What an account may do in the rooms of a category that have no overrides of their own.
    pub fn category_permissions(
        &self,
        category: CategoryId,
        membership: &Membership,
        account: AccountId,
    ) -> Permissions {
        let Some(category) = self.categories.get(&category) else {
            return Permissions::NONE;
        };
        self.permissions_under(&category.overrides, membership, account)
    }
}

/// Whether who asks may change overrides there at all.
pub(super) fn may(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    place: Place,
) -> Result<(), SpaceRejection> {
    match place {
        Place::Room(room) => {
            state.requires_in_room(room, context.membership, context.actor, Permission::ManageRoles)
        }
        Place::Category(category) => requires_in_category(state, context, category, Permission::ManageRoles),
    }
}

/// Refuses who may not in a category. To those who see none of its rooms, it does not exist.
pub(super) fn requires_in_category(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    category: CategoryId,
    permission: Permission,
) -> Result<(), SpaceRejection> {
    if !state.exists() || context.membership.standing != Standing::Joined {
        return Err(SpaceRejection::NotFound);
    }
    let allowed = state.category_permissions(category, context.membership, context.actor);
    if !allowed.has(Permission::View) {
        return Err(SpaceRejection::CategoryNotFound);
    }
    if allowed.has(permission) {
        Ok(())
    } else {
        Err(SpaceRejection::NotAllowed(permission))
    }
}

pub(super) fn decide(state: &SpaceState, context: &SpaceContext<'_>, command: OverrideCommand) -> Decision {
    match command {
        OverrideCommand::Set { to, .. } if to.allow.common(to.deny) != Permissions::NONE => {
            Err(SpaceRejection::OverrideContradicts)
        }
        OverrideCommand::Set { to, .. } if !Permissions::IN_ROOMS.includes(to.allow.union(to.deny)) => {
            Err(SpaceRejection::OverrideSpaceWide)
        }
        OverrideCommand::Set { place, whom, to } => set(state, context, place, whom, to),
        OverrideCommand::Remove { place, whom } => remove(state, context, place, whom),
    }
}

fn set(state: &SpaceState, context: &SpaceContext<'_>, place: Place, whom: Whom, to: Override) -> Decision {
    if matches!(whom, Whom::Account(_)) && context.target.standing != Standing::Joined {
        return Err(SpaceRejection::MemberNotFound);
    }
    ranks_above(state, context, whom)?;
    let own = state.own_overrides(place).ok_or(SpaceRejection::RoomNotFound)?;
    let old = effective(state, place);
    let mut new = old.clone();
    new.insert(whom, to);
    may_turn(state, context, mine_in(state, context, place), old, &new)?;
    if new.len() > MAX_OVERRIDES {
        return Err(SpaceRejection::TooManyOverrides);
    }
    // A room that gets its first override of its own keeps what its category said until then, or a
    // private room would open to everybody by one more exception.
    let differs = |(whom, value): &(&Whom, &Override)| own.get(whom) != Some(value);
    let facts = new
        .iter()
        .filter(differs)
        .map(|(&whom, &Override { allow, deny })| {
            SpaceEvent::from(OverrideSet {
                place,
                whom,
                allow,
                deny,
            })
        });
    Ok(facts.collect())
}

fn remove(state: &SpaceState, context: &SpaceContext<'_>, place: Place, whom: Whom) -> Decision {
    let own = state.own_overrides(place).ok_or(SpaceRejection::RoomNotFound)?;
    if !own.contains_key(&whom) {
        return Ok(vec![]);
    }
    ranks_above(state, context, whom)?;
    let mut left = own.clone();
    left.remove(&whom);
    let new = match place {
        Place::Room(room) if left.is_empty() => inherited(state, room),
        Place::Room(_) | Place::Category(_) => left,
    };
    may_turn(state, context, mine_in(state, context, place), own, &new)?;
    Ok(vec![OverrideRemoved { place, whom }.into()])
}

fn effective(state: &SpaceState, place: Place) -> &Overrides {
    static NONE: Overrides = Overrides::new();
    match place {
        Place::Room(room) => state
            .rooms
            .get(&room)
            .map_or(&NONE, |room| state.overrides_in(room)),
        Place::Category(_) => state.own_overrides(place).unwrap_or(&NONE),
    }
}

fn inherited(state: &SpaceState, room: RoomId) -> Overrides {
    let category = state.rooms.get(&room).and_then(|room| room.category);
    let category = category.and_then(|category| state.categories.get(&category));
    category
        .map(|category| category.overrides.clone())
        .unwrap_or_default()
}

fn mine_in(state: &SpaceState, context: &SpaceContext<'_>, place: Place) -> Permissions {
    match place {
        Place::Room(room) => state.room_permissions(room, context.membership, context.actor),
        Place::Category(category) => state.category_permissions(category, context.membership, context.actor),
    }
}

/// Whether who asks ranks above those whom an override is for. About the owner there is nothing to say.
fn ranks_above(state: &SpaceState, context: &SpaceContext<'_>, whom: Whom) -> Result<(), SpaceRejection> {
    let rank = match whom {
        Whom::Role(role) => Rank::Of(state.roles.get(&role).ok_or(SpaceRejection::RoleNotFound)?.rank),
        Whom::Account(account) => state.rank(context.target, account),
    };
    if state.rank(context.membership, context.actor) > rank {
        Ok(())
    } else {
        Err(SpaceRejection::RankTooLow)
    }
}

/// Whether who asks may turn some overrides into others: nobody gives or takes what they do not have, nor
/// touches the roles above their own.
pub(super) fn may_turn(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    mine: Permissions,
    old: &Overrides,
    new: &Overrides,
) -> Result<(), SpaceRejection> {
    let touched: BTreeSet<Whom> = old.keys().chain(new.keys()).copied().collect();
    for whom in touched {
        let (was, is) = (old.get(&whom).copied(), new.get(&whom).copied());
        if was == is {
            continue;
        }
        let (was, is) = (was.unwrap_or_default(), is.unwrap_or_default());
        let changed = was.allow.difference(is.allow).union(was.deny.difference(is.deny));
        if !mine.includes(changed) {
            return Err(SpaceRejection::NotYoursToGive);
        }
        if matches!(whom, Whom::Role(_)) {
            ranks_above(state, context, whom)?;
        }
    }
    Ok(())
}

/// What closes a new room to everybody but who makes it, beside what its category says of others.
pub(super) fn closed(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    room: RoomId,
    category: Option<CategoryId>,
) -> Vec<SpaceEvent> {
    let category = category.and_then(|category| state.categories.get(&category));
    let mut all = category
        .map(|category| category.overrides.clone())
        .unwrap_or_default();
    // Nobody whom the category lets in is let in here.
    for one in all.values_mut() {
        one.allow = one.allow.without(Permissions::only(Permission::View));
    }
    if let Some(everyone) = state.space.map(RoleId::everyone) {
        let one = all.entry(Whom::Role(everyone)).or_default();
        one.deny = one.deny.union(Permissions::only(Permission::View));
    }
    if !state.is_owner(context.actor) {
        let one = all.entry(Whom::Account(context.actor)).or_default();
        one.allow = one.allow.union(Permissions::only(Permission::View));
        one.deny = one.deny.without(Permissions::only(Permission::View));
    }
    let place = Place::Room(room);
    let set = |(whom, Override { allow, deny })| OverrideSet {
        place,
        whom,
        allow,
        deny,
    };
    all.into_iter().map(|one| set(one).into()).collect()
}

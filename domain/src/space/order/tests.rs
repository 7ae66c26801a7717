use uuid::Uuid;
use veza_events::{
    Permissions, RoleId,
    space::{OverrideSet, Place, SpaceEvent, Whom},
};

use super::super::{
    SpaceCommand,
    tests::{LEADER, MEMBER, OWNER, ROOM, SPACE, by, space, space_with, stranger},
};
use super::*;

const CATEGORY: CategoryId = CategoryId::new(Uuid::from_u128(50));
const OTHER: CategoryId = CategoryId::new(Uuid::from_u128(51));

fn made(category: CategoryId) -> SpaceEvent {
    CategoryCreated {
        category,
        name: "c".into(),
        position: 1,
    }
    .into()
}

fn put(category: Option<CategoryId>, position: u16) -> SpaceCommand {
    SpaceCommand::Order(OrderCommand::Place {
        room: ROOM,
        category,
        position,
    })
}

fn create(name: &str) -> SpaceCommand {
    SpaceCommand::Order(OrderCommand::Create {
        category: CATEGORY,
        name: name.into(),
        position: 1,
    })
}

fn denied(category: CategoryId, permission: Permission) -> SpaceEvent {
    OverrideSet {
        place: Place::Category(category),
        whom: Whom::Role(RoleId::everyone(SPACE)),
        allow: Permissions::NONE,
        deny: Permissions::only(permission),
    }
    .into()
}

#[test]
fn categories_are_made_changed_and_removed_by_who_manages_rooms() {
    space().when(&by(LEADER), create(" c ")).then([made(CATEGORY)]);
    space()
        .when(&by(LEADER), create(" "))
        .then_rejected("category.name_invalid");
    space()
        .when(&by(MEMBER), create("c"))
        .then_rejected("space.not_allowed");
    space()
        .when(&by(stranger()), create("c"))
        .then_rejected("space.not_found");
    let state = space_with([made(CATEGORY)]);
    state
        .when(&by(LEADER), create("c"))
        .then_rejected("category.exists");
    let change = |category, name: &str, position| {
        SpaceCommand::Order(OrderCommand::Change {
            category,
            name: Some(name.into()),
            position,
        })
    };
    state
        .when(&by(LEADER), change(CATEGORY, "c", Some(1)))
        .then_nothing();
    state
        .when(&by(LEADER), change(CATEGORY, "d", Some(1)))
        .then([CategoryChanged {
            category: CATEGORY,
            name: Some("d".into()),
            position: None,
        }]);
    state
        .when(&by(LEADER), change(OTHER, "d", None))
        .then_rejected("category.not_found");
    let remove = SpaceCommand::Order(OrderCommand::Remove { category: CATEGORY });
    state
        .when(&by(LEADER), remove)
        .then([CategoryRemoved { category: CATEGORY }]);
}

#[test]
fn a_category_with_rooms_stays_or_they_would_open() {
    let placed = RoomPlaced {
        room: ROOM,
        category: Some(CATEGORY),
        position: 0,
    };
    space_with([made(CATEGORY), placed.into()])
        .when(
            &by(OWNER),
            SpaceCommand::Order(OrderCommand::Remove { category: CATEGORY }),
        )
        .then_rejected("category.not_empty");
}

#[test]
fn a_room_moves_freely_among_categories_that_say_the_same() {
    let state = space_with([made(CATEGORY)]);
    state.when(&by(LEADER), put(Some(CATEGORY), 4)).then([RoomPlaced {
        room: ROOM,
        category: Some(CATEGORY),
        position: 4,
    }]);
    state.when(&by(LEADER), put(None, 0)).then_nothing();
    state
        .when(&by(LEADER), put(Some(OTHER), 0))
        .then_rejected("category.not_found");
    state
        .when(&by(MEMBER), put(None, 1))
        .then_rejected("space.not_allowed");
}

#[test]
fn a_move_that_changes_permissions_takes_the_right_to_do_that() {
    let of = |permission| space_with([made(CATEGORY), denied(CATEGORY, permission)]);
    of(Permission::Post)
        .when(&by(LEADER), put(Some(CATEGORY), 0))
        .then([RoomPlaced {
            room: ROOM,
            category: Some(CATEGORY),
            position: 0,
        }]);
    of(Permission::Record)
        .when(&by(LEADER), put(Some(CATEGORY), 0))
        .then_rejected("role.not_yours_to_give");
    of(Permission::View)
        .when(&by(LEADER), put(Some(CATEGORY), 0))
        .then_rejected("category.not_found");
}

#[test]
fn a_space_has_no_more_categories_than_it_may() {
    let many = (0..MAX_CATEGORIES as u128).map(|n| made(Uuid::from_u128(1_000 + n).into()));
    space_with(many)
        .when(&by(OWNER), create("c"))
        .then_rejected("space.too_many_categories");
}

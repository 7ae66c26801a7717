//! How rooms are listed, and what differs in them.

use std::sync::Arc;

use veza_domain::space::{OrderCommand, Override, OverrideCommand, SpaceCommand};
use veza_events::CategoryId;
use veza_platform::contract::{
    Caller, Problem,
    chat::{
        CategoryCreated, ChangeCategory, Changed, CreateCategory, PlaceRoom, RemoveCategory, RemoveOverride,
        SetOverride,
    },
};

use super::space::{changed, structure};
use crate::worker::Worker;

pub(super) async fn place(
    worker: Arc<Worker>,
    caller: Caller,
    command: PlaceRoom,
) -> Result<Changed, Problem> {
    let PlaceRoom {
        room,
        category,
        position,
        ..
    } = command;
    let place = OrderCommand::Place {
        room,
        category,
        position,
    };
    changed(&worker, &caller, &command, &SpaceCommand::Order(place)).await
}

pub(super) async fn create_category(
    worker: Arc<Worker>,
    caller: Caller,
    command: CreateCategory,
) -> Result<CategoryCreated, Problem> {
    let category: CategoryId = caller.command.derive(caller.account()?.uuid(), "category");
    let create = SpaceCommand::Order(OrderCommand::Create {
        category,
        name: command.name.clone(),
        position: command.position,
    });
    let position = structure(&worker, &caller, &command, &create, |_| Ok(vec![])).await?;
    Ok(CategoryCreated { category, position })
}

pub(super) async fn change_category(
    worker: Arc<Worker>,
    caller: Caller,
    command: ChangeCategory,
) -> Result<Changed, Problem> {
    let change = OrderCommand::Change {
        category: command.category,
        name: command.name.clone(),
        position: command.position,
    };
    changed(&worker, &caller, &command, &SpaceCommand::Order(change)).await
}

pub(super) async fn remove_category(
    worker: Arc<Worker>,
    caller: Caller,
    command: RemoveCategory,
) -> Result<Changed, Problem> {
    let remove = OrderCommand::Remove {
        category: command.category,
    };
    changed(&worker, &caller, &command, &SpaceCommand::Order(remove)).await
}

pub(super) async fn set_override(
    worker: Arc<Worker>,
    caller: Caller,
    command: SetOverride,
) -> Result<Changed, Problem> {
    let SetOverride {
        place,
        whom,
        allow,
        deny,
        ..
    } = command;
    let to = Override { allow, deny };
    let set = OverrideCommand::Set { place, whom, to };
    changed(&worker, &caller, &command, &SpaceCommand::Override(set)).await
}

pub(super) async fn remove_override(
    worker: Arc<Worker>,
    caller: Caller,
    command: RemoveOverride,
) -> Result<Changed, Problem> {
    let RemoveOverride { place, whom, .. } = command;
    let remove = OverrideCommand::Remove { place, whom };
    changed(&worker, &caller, &command, &SpaceCommand::Override(remove)).await
}

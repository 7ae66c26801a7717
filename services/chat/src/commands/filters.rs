//! The rules for what is said in a space.

use std::sync::Arc;

use veza_domain::space::{SpaceCommand, may_read_filters};
use veza_platform::contract::{
    Caller, Problem,
    chat::{Changed, FiltersFound, GetFilters, SetFilters},
};

use super::{asked, space::changed};
use crate::worker::{Parties, Worker};

pub(super) async fn set(
    worker: Arc<Worker>,
    caller: Caller,
    command: SetFilters,
) -> Result<Changed, Problem> {
    let rules = command.rules.clone();
    changed(&worker, &caller, &command, &SpaceCommand::SetFilters { rules }).await
}

/// From the log itself: who changes rules must see all of them.
pub(super) async fn get(
    worker: Arc<Worker>,
    caller: Caller,
    command: GetFilters,
) -> Result<FiltersFound, Problem> {
    let account = caller.account()?;
    let parties = Parties {
        space: command.space,
        actor: account,
        target: account,
    };
    let view = worker.view_anew(parties).await?;
    may_read_filters(view.structure(), &asked(&view, account))?;
    Ok(FiltersFound {
        rules: view.structure().filters.rules().cloned().collect(),
        seq: view.space.seq,
    })
}

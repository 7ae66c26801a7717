//! Whether a space may be exported: asked by the door, decided where everything is.

use std::sync::Arc;

use veza_domain::space::may_export;
use veza_platform::contract::{
    Caller, Problem,
    chat::{ExportAllowed, MayExport},
};

use super::asked;
use crate::worker::{Parties, Worker};

/// From the log itself: what is handed out is everything that there ever was.
pub(super) async fn may(
    worker: Arc<Worker>,
    caller: Caller,
    command: MayExport,
) -> Result<ExportAllowed, Problem> {
    let account = caller.account()?;
    let parties = Parties {
        space: command.space,
        actor: account,
        target: account,
    };
    let view = worker.view_anew(parties).await?;
    may_export(view.structure(), &asked(&view, account))?;
    Ok(ExportAllowed { seq: view.space.seq })
}

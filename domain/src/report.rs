//! Reports of messages: whoever may read a message may report it once, and whoever manages messages there says
//! what came of it.

use veza_events::{
    AccountId, Permission, ReportId, RoomId, Sealed,
    member::Membership,
    report::{Filed, ReportAction, ReportEvent, ReportReason, Resolved},
};

use crate::{
    Decider, Reject, RejectionKind, names,
    room::Original,
    space::{SpaceRejection, SpaceState},
};

#[cfg(test)]
mod tests;

/// Most characters of what somebody says about a report.
pub const MAX_NOTE_CHARS: usize = 1_000;

/// Decides about one report.
pub struct Report;

/// What is known of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportState {
    /// What was filed.
    pub filed: Option<Filed>,
    /// Somebody looked at it.
    pub resolved: bool,
}

/// What else a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct ReportContext<'a> {
    /// The space of the message.
    pub space: &'a SpaceState,
    /// Who asks.
    pub actor: AccountId,
    /// The membership of who asks.
    pub membership: &'a Membership,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportCommand {
    /// Report a message.
    File {
        /// [`ReportId::of`] the message and who asks.
        report: ReportId,
        /// In which room, or thread.
        room: RoomId,
        /// The room whose rights count there.
        gate: RoomId,
        /// The message, as the log has it.
        original: Original,
        /// What is wrong with it.
        reason: ReportReason,
        /// More about that, as typed.
        note: Option<String>,
    },
    /// Say what came of it.
    Resolve {
        /// What was done.
        action: ReportAction,
        /// More about that, as typed.
        note: Option<String>,
    },
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportRejection {
    /// What the space says: no such space or room, not allowed.
    #[error(transparent)]
    Space(#[from] SpaceRejection),
    /// There is no such message, or none that who asks may know of.
    #[error("there is no such message")]
    MessageNotFound,
    /// There is no such report, or none that who asks may know of.
    #[error("there is no such report")]
    NotFound,
    /// One's own words are taken back, not reported.
    #[error("this is your own message; delete it")]
    Own,
    /// Somebody was faster.
    #[error("somebody has resolved this report already")]
    Resolved,
    /// The note cannot be kept.
    #[error("a note has at most {MAX_NOTE_CHARS} characters of plain text")]
    Note,
}

impl Reject for ReportRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Space(rejection) => rejection.code(),
            Self::MessageNotFound => "message.not_found",
            Self::NotFound => "report.not_found",
            Self::Own => "report.own_message",
            Self::Resolved => "report.resolved",
            Self::Note => "report.note_invalid",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::Space(rejection) => rejection.kind(),
            Self::MessageNotFound | Self::NotFound => RejectionKind::NotFound,
            Self::Own => RejectionKind::Forbidden,
            Self::Resolved => RejectionKind::Conflict,
            Self::Note => RejectionKind::Invalid,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Space(rejection) => rejection.field(),
            Self::Note => Some("note"),
            Self::MessageNotFound | Self::NotFound | Self::Own | Self::Resolved => None,
        }
    }
}

type Decision = Result<Vec<ReportEvent>, ReportRejection>;

impl Decider for Report {
    type State = ReportState;
    type Command = ReportCommand;
    type Context<'a> = ReportContext<'a>;
    type Event = ReportEvent;
    type Rejection = ReportRejection;

    fn decide(state: &ReportState, context: &ReportContext<'_>, command: ReportCommand) -> Decision {
        match command {
            ReportCommand::File {
                report,
                room,
                gate,
                original,
                reason,
                note,
            } => {
                let ReportContext {
                    space,
                    actor,
                    membership,
                } = *context;
                space.requires_in_room(gate, membership, actor, Permission::View)?;
                if original.posted <= space.hidden_up_to(gate, membership, actor) {
                    return Err(ReportRejection::MessageNotFound);
                }
                if original.author == actor {
                    return Err(ReportRejection::Own);
                }
                let note = note_of(note)?;
                let space = space.space.ok_or(SpaceRejection::NotFound)?;
                let filed = Filed {
                    report,
                    space,
                    room,
                    gate,
                    message: original.message,
                    posted: original.posted,
                    author: original.author,
                    by: actor,
                    reason,
                    note,
                };
                let new = state.filed.is_none();
                Ok(new.then(|| filed.into()).into_iter().collect())
            }
            ReportCommand::Resolve { action, note } => resolve(state, context, action, note),
        }
    }

    fn evolve(state: &mut ReportState, event: &ReportEvent) {
        match event {
            ReportEvent::Filed(event) => state.filed = Some(event.clone()),
            ReportEvent::Resolved(_) => state.resolved = true,
        }
    }
}

fn resolve(
    state: &ReportState,
    context: &ReportContext<'_>,
    action: ReportAction,
    note: Option<String>,
) -> Decision {
    let ReportContext {
        space,
        actor,
        membership,
    } = *context;
    let filed = state.filed.as_ref().ok_or(ReportRejection::NotFound)?;
    space
        .requires_in_room(filed.gate, membership, actor, Permission::ManageMessages)
        .map_err(|rejection| match rejection.kind() {
            // Who may not see reports does not learn which there are.
            RejectionKind::NotFound => ReportRejection::NotFound,
            RejectionKind::Forbidden
            | RejectionKind::Conflict
            | RejectionKind::Gone
            | RejectionKind::Invalid
            | RejectionKind::Limit => ReportRejection::Space(rejection),
        })?;
    if state.resolved {
        return Err(ReportRejection::Resolved);
    }
    let note = note_of(note)?;
    let Filed {
        report,
        space,
        message,
        ..
    } = *filed;
    let resolved = Resolved {
        report,
        space,
        message,
        by: actor,
        action,
        note,
    };
    Ok(vec![resolved.into()])
}

fn note_of(note: Option<String>) -> Result<Option<Sealed<String>>, ReportRejection> {
    let Some(note) = note.filter(|note| !names::is_blank(note)) else {
        return Ok(None);
    };
    if note.chars().nth(MAX_NOTE_CHARS).is_some() || names::has_foreign_control(&note) {
        return Err(ReportRejection::Note);
    }
    Ok(Some(Sealed::Clear(note)))
}

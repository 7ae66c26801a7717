//! A name or an address: at most one account holds it.

use veza_events::{
    AccountId,
    handle::{Claimed, HandleEvent, Released},
};

use crate::{Decider, Reject, RejectionKind};

/// Decides about one name.
pub struct Handle;

/// Who holds the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandleState {
    /// Its holder; nobody when free.
    pub holder: Option<AccountId>,
}

/// What sort of name it is; only words hang on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// What others call an account by.
    Handle,
    /// Where an account gets mail.
    Email,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleCommand {
    /// Take the name.
    Claim {
        /// For whom.
        account: AccountId,
    },
    /// Give the name back.
    Release {
        /// Who holds it.
        account: AccountId,
    },
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandleRejection {
    /// Another account is called so.
    #[error("this handle is taken, choose another")]
    HandleTaken,
    /// Another account gets its mail there.
    #[error("an account with this e-mail address exists")]
    EmailTaken,
    /// The name belongs to another account or to none.
    #[error("the account does not hold this name")]
    NotHeld,
}

impl Reject for HandleRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::HandleTaken => "account.handle_taken",
            Self::EmailTaken => "account.email_taken",
            Self::NotHeld => "handle.not_held",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::HandleTaken | Self::EmailTaken => RejectionKind::Conflict,
            Self::NotHeld => RejectionKind::NotFound,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::HandleTaken => Some("handle"),
            Self::EmailTaken => Some("email"),
            Self::NotHeld => None,
        }
    }
}

impl Decider for Handle {
    type State = HandleState;
    type Command = HandleCommand;
    type Context<'a> = NameKind;
    type Event = HandleEvent;
    type Rejection = HandleRejection;

    fn decide(
        state: &HandleState,
        kind: &NameKind,
        command: HandleCommand,
    ) -> Result<Vec<HandleEvent>, HandleRejection> {
        match (command, state.holder) {
            (HandleCommand::Claim { account }, Some(holder)) if holder == account => Ok(vec![]),
            (HandleCommand::Claim { .. }, Some(_)) => Err(match kind {
                NameKind::Handle => HandleRejection::HandleTaken,
                NameKind::Email => HandleRejection::EmailTaken,
            }),
            (HandleCommand::Claim { account }, None) => Ok(vec![Claimed { account }.into()]),
            (HandleCommand::Release { account }, holder) if holder != Some(account) => {
                Err(HandleRejection::NotHeld)
            }
            (HandleCommand::Release { account }, _) => Ok(vec![Released { account }.into()]),
        }
    }

    fn evolve(state: &mut HandleState, event: &HandleEvent) {
        state.holder = match event {
            HandleEvent::Claimed(event) => Some(event.account),
            HandleEvent::Released(_) => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{fold, scenario::given};

    fn account(n: u128) -> AccountId {
        Uuid::from_u128(n).into()
    }

    fn claimed(n: u128) -> HandleEvent {
        Claimed { account: account(n) }.into()
    }

    #[test]
    fn a_free_name_can_be_claimed_once() {
        let claim = |n| HandleCommand::Claim { account: account(n) };
        given::<Handle>([])
            .when(&NameKind::Handle, claim(1))
            .then([claimed(1)]);
        let taken = given::<Handle>([claimed(1)]);
        taken.when(&NameKind::Handle, claim(1)).then_nothing();
        taken
            .when(&NameKind::Handle, claim(2))
            .then_rejected("account.handle_taken");
        taken
            .when(&NameKind::Email, claim(2))
            .then_rejected("account.email_taken");
    }

    #[test]
    fn only_its_holder_gives_a_name_back_and_then_it_is_free() {
        let release = |n| HandleCommand::Release { account: account(n) };
        let released = Released { account: account(1) };
        let taken = given::<Handle>([claimed(1)]);
        taken
            .when(&NameKind::Handle, release(2))
            .then_rejected("handle.not_held");
        taken.when(&NameKind::Handle, release(1)).then([released.clone()]);
        let free = given::<Handle>([claimed(1), released.into()]);
        free.when(&NameKind::Handle, HandleCommand::Claim { account: account(2) })
            .then([claimed(2)]);
    }

    proptest! {
        #[test]
        fn a_name_never_passes_from_one_holder_to_another_without_being_free(
            commands in prop::collection::vec((any::<bool>(), 1_u128..4), 0..40)
        ) {
            let mut state = fold::<Handle>([]);
            for (claim, n) in commands {
                let account = account(n);
                let command = if claim { HandleCommand::Claim { account } } else { HandleCommand::Release { account } };
                for event in Handle::decide(&state, &NameKind::Handle, command).unwrap_or_default() {
                    let before = state.holder;
                    Handle::evolve(&mut state, &event);
                    prop_assert!(before.is_none() != state.holder.is_none());
                }
            }
        }
    }
}

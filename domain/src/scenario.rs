//! Given a history, when a command comes, then these facts or that refusal.

use std::fmt::Debug;

use crate::{Decider, Reject, fold};

/// An aggregate with a history.
pub(crate) struct Given<D: Decider>(pub(crate) D::State);

/// What came of a command.
pub(crate) struct Outcome<D: Decider>(pub(crate) Result<Vec<D::Event>, D::Rejection>);

/// Begins a scenario.
pub(crate) fn given<D: Decider>(history: impl IntoIterator<Item = D::Event>) -> Given<D> {
    let history: Vec<_> = history.into_iter().collect();
    Given(fold::<D>(&history))
}

impl<D: Decider> Given<D> {
    pub(crate) fn when(&self, context: &D::Context<'_>, command: D::Command) -> Outcome<D> {
        Outcome(D::decide(&self.0, context, command))
    }
}

impl<D: Decider<Event: Debug + PartialEq>> Outcome<D> {
    #[track_caller]
    pub(crate) fn then<E: Into<D::Event>>(self, expected: impl IntoIterator<Item = E>) {
        let expected: Vec<D::Event> = expected.into_iter().map(Into::into).collect();
        assert_eq!(self.0.expect("the command is accepted"), expected);
    }

    /// Nothing to do is not a refusal.
    #[track_caller]
    pub(crate) fn then_nothing(self) {
        self.then(Vec::<D::Event>::new());
    }

    #[track_caller]
    pub(crate) fn then_rejected(self, code: &str) {
        let rejection = self.0.expect_err("the command is refused");
        assert_eq!(rejection.code(), code);
        assert!(!rejection.to_string().is_empty());
    }
}

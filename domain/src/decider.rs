//! The shape of every aggregate: facts fold into a state, a command on a state gives facts or a reason
//! why not (Chassaing, "Functional event sourcing decider", 2021).

use std::fmt::Display;

/// One kind of aggregate.
pub trait Decider {
    /// What is known of one instance; the default is "nothing has happened yet".
    type State: Default + Clone + Send + Sync + 'static;
    /// What can be asked of it.
    type Command;
    /// What else a decision looks at: facts of other aggregates, and the time.
    type Context<'a>;
    /// What can have happened to it.
    type Event;
    /// Why a command is refused.
    type Rejection: Reject;

    /// Accepts `command` as facts, or refuses it. Looks at nothing but its arguments.
    ///
    /// # Errors
    /// The reason of the refusal; nothing happened then.
    fn decide(
        state: &Self::State,
        context: &Self::Context<'_>,
        command: Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// The state after `event`. History cannot be refused, so neither can this.
    fn evolve(state: &mut Self::State, event: &Self::Event);
}

/// A refusal that every door can show: a stable code, its kind, and words (by `Display`).
pub trait Reject: Display + std::fmt::Debug + Send + Sync + 'static {
    /// `<aggregate>.<reason>`; never changes once shipped.
    fn code(&self) -> &'static str;

    /// What a caller can do about it.
    fn kind(&self) -> RejectionKind;
}

/// What a caller can do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionKind {
    /// Mend the content and send it anew.
    Invalid,
    /// Nothing, without being given more rights.
    Forbidden,
    /// Nothing: there is no such thing, or none the caller may know of.
    NotFound,
    /// Look at the present state first.
    Conflict,
    /// Nothing: it was there and is gone for good.
    Gone,
    /// Make room first: a limit is reached.
    Limit,
}

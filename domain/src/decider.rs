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

    /// When the same would be accepted, in milliseconds from now, if it is only a matter of waiting.
    fn retry_after_ms(&self) -> Option<u64> {
        None
    }

    /// The field of the request that is at fault, if it is one.
    fn field(&self) -> Option<&'static str> {
        None
    }
}

/// The state after a history.
pub fn fold<'a, D: Decider>(history: impl IntoIterator<Item = &'a D::Event>) -> D::State
where
    D::Event: 'a,
{
    let mut state = D::State::default();
    for event in history {
        D::evolve(&mut state, event);
    }
    state
}

/// Decides several commands as one: each sees what the ones before it did, and one refusal refuses all.
///
/// # Errors
/// The first refusal.
pub fn decide_all<D: Decider>(
    state: &D::State,
    context: &D::Context<'_>,
    commands: impl IntoIterator<Item = D::Command>,
) -> Result<Vec<D::Event>, D::Rejection> {
    let mut state = state.clone();
    let mut events = Vec::new();
    for command in commands {
        let new = D::decide(&state, context, command)?;
        for event in &new {
            D::evolve(&mut state, event);
        }
        events.extend(new);
    }
    Ok(events)
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

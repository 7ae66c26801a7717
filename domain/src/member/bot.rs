//! Bots come in by the hand of somebody who may bring them.

use veza_events::{
    AccountId, Permission,
    member::{Membership, Standing},
};

use super::{MemberContext, MemberRejection};
use crate::space::SpaceRejection;

/// What is known of a bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BotFacts {
    /// Who answers for it.
    pub owner: AccountId,
    /// Whether others may bring it into their spaces.
    pub public: bool,
}

/// Whether a bot comes in; not if it is in.
pub(super) fn comes_in(
    state: &Membership,
    context: &MemberContext<'_>,
    bot: Option<BotFacts>,
) -> Result<bool, MemberRejection> {
    let MemberContext {
        space,
        actor,
        actor_membership,
        ..
    } = *context;
    space.requires(actor_membership, actor, Permission::ManageIntegrations)?;
    let bot = bot.ok_or(MemberRejection::BotNotFound)?;
    match state.standing {
        _ if space.direct.is_some() => Err(SpaceRejection::NotFound.into()),
        _ if !bot.public && bot.owner != actor => Err(MemberRejection::BotNotPublic),
        Standing::Joined => Ok(false),
        Standing::Banned => Err(MemberRejection::BotBanned),
        Standing::Out => Ok(true),
    }
}

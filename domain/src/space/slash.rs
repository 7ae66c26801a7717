//! Slash commands: what a bot offers in a space, and who may call it.

use veza_events::{
    AccountId, Permission, RoomId,
    member::{Membership, Standing},
    space::{SlashCommandDefined, SlashCommandRemoved, SlashOption, SpaceEvent},
};

use super::{SpaceContext, SpaceRejection, SpaceState};
use crate::names;

#[cfg(test)]
mod tests;

/// Most slash commands of one space.
pub const MAX_SLASH_COMMANDS: usize = 200;
/// Most options of one slash command.
pub const MAX_OPTIONS: usize = 20;
/// Most characters of a name.
const MAX_NAME_CHARS: usize = 32;
/// Most characters behind the name when it is called.
const MAX_TEXT_CHARS: usize = 4_000;

/// What a bot offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slash {
    /// Who takes it.
    pub bot: AccountId,
    /// What it does.
    pub description: String,
    /// What can stand behind its name.
    pub options: Vec<SlashOption>,
}

impl From<&SlashCommandDefined> for Slash {
    fn from(event: &SlashCommandDefined) -> Self {
        Self {
            bot: event.bot,
            description: event.description.clone(),
            options: event.options.clone(),
        }
    }
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlashCommand {
    /// Of a bot: offer something, or offer it differently.
    Define {
        /// Whether who asks is a bot.
        bot: bool,
        /// What it is called, without the `/`.
        name: String,
        /// What it does.
        description: String,
        /// What can stand behind its name.
        options: Vec<SlashOption>,
    },
    /// Offer it no more.
    Remove {
        /// Which one.
        name: String,
    },
}

/// Its bot takes a slash command away, and whoever makes integrations here.
pub(super) fn may(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    command: &SlashCommand,
) -> Result<(), SpaceRejection> {
    let (membership, actor) = (context.membership, context.actor);
    if !state.exists() || membership.standing != Standing::Joined {
        return Err(SpaceRejection::NotFound);
    }
    match command {
        SlashCommand::Define { bot: true, .. } => Ok(()),
        SlashCommand::Define { bot: false, .. } => Err(SpaceRejection::SlashForBots),
        SlashCommand::Remove { name } if state.slash.get(name).is_some_and(|slash| slash.bot == actor) => {
            Ok(())
        }
        SlashCommand::Remove { .. } => state.requires(membership, actor, Permission::ManageIntegrations),
    }
}

pub(super) fn decide(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    command: SlashCommand,
) -> Result<Vec<SpaceEvent>, SpaceRejection> {
    match command {
        SlashCommand::Define {
            name,
            description,
            options,
            ..
        } => {
            let slash = Slash {
                bot: context.actor,
                description,
                options,
            };
            define(state, name, slash)
        }
        SlashCommand::Remove { name } if !state.slash.contains_key(&name) => {
            Err(SpaceRejection::SlashNotFound)
        }
        SlashCommand::Remove { name } => Ok(vec![SlashCommandRemoved { name }.into()]),
    }
}

fn define(state: &SpaceState, name: String, mut new: Slash) -> Result<Vec<SpaceEvent>, SpaceRejection> {
    if !is_name(&name) {
        return Err(SpaceRejection::SlashName);
    }
    new.description = names::shown(&new.description).map_err(SpaceRejection::SlashDescription)?;
    if new.options.len() > MAX_OPTIONS || !new.options.iter().all(|option| is_name(&option.name)) {
        return Err(SpaceRejection::SlashOptions);
    }
    for option in &mut new.options {
        option.description = names::shown(&option.description).map_err(SpaceRejection::SlashDescription)?;
    }
    let old = state.slash.get(&name);
    if old.is_some_and(|old| old.bot != new.bot) {
        return Err(SpaceRejection::SlashTaken);
    }
    if old == Some(&new) {
        return Ok(vec![]);
    }
    if old.is_none() && state.slash.len() >= MAX_SLASH_COMMANDS {
        return Err(SpaceRejection::TooManySlashes);
    }
    let Slash {
        bot,
        description,
        options,
    } = new;
    Ok(vec![
        SlashCommandDefined {
            bot,
            name,
            description,
            options,
        }
        .into(),
    ])
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=MAX_NAME_CHARS).contains(&name.len()) && name.bytes().all(plain)
}

impl SpaceState {
    /// The bot that takes a slash command, if any does.
    pub fn slash_bot(&self, name: &str) -> Option<AccountId> {
        self.slash.get(name).map(|slash| slash.bot)
    }

    /// Who takes a slash command that somebody calls in a room: they may post there, and the bot sees it.
    ///
    /// # Errors
    /// `space.not_found`, `room.not_found`, `space.not_allowed`, `slash.not_found`, `slash.too_long`.
    pub fn calls(
        &self,
        (room, name, text): (RoomId, &str, &str),
        (actor, membership): (AccountId, &Membership),
        bots: &Membership,
    ) -> Result<AccountId, SpaceRejection> {
        self.requires_in_room(room, membership, actor, Permission::Post)?;
        let bot = self.slash_bot(name).ok_or(SpaceRejection::SlashNotFound)?;
        let sees = self.room_permissions(room, bots, bot).has(Permission::View);
        if bots.standing != Standing::Joined || !sees {
            return Err(SpaceRejection::SlashNotFound);
        }
        if text.chars().count() > MAX_TEXT_CHARS {
            return Err(SpaceRejection::SlashTooLong);
        }
        Ok(bot)
    }
}

//! Slash commands: what bots offer in a space, calling it, and answering those who called.

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::space::SlashOption;
use veza_platform::contract::chat::{DefineSlash, RemoveSlash};
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::page::Items;
use super::problem::Failure;
use super::reply::{Changed, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::calls::Answer;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on slash commands.
pub(super) struct Slashes(pub(super) Arc<Gateway>);

/// Something that can stand behind the name of a slash command.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields, rename = "SlashOption")]
struct Parameter {
    /// 1 to 32 of `a-z`, `0-9`, `-`, `_`.
    name: String,
    /// What it is for people.
    description: String,
    /// Whether the command makes no sense without it.
    #[serde(default)]
    #[oai(default)]
    required: bool,
}

/// What a bot offers.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct SlashDefinition {
    /// What it does.
    description: String,
    /// What can stand behind its name: shown to people, and for the bot to take apart.
    #[serde(default)]
    #[oai(default, validator(max_items = 20))]
    options: Vec<Parameter>,
}

/// A slash command of a space.
#[derive(Object)]
struct Slash {
    /// What it is called, without the `/`.
    name: String,
    /// Who takes it.
    bot: Uuid,
    /// What it does.
    description: String,
    /// What can stand behind its name.
    options: Vec<Parameter>,
    /// Last change.
    seq: u64,
}

/// A call.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct Call {
    /// Which command, without the `/`.
    name: String,
    /// What stands behind its name.
    #[serde(default)]
    #[oai(default)]
    text: String,
}

/// The bot has it.
#[derive(Object)]
struct Called {
    /// Names this call; the bot's answers carry it.
    invocation: Uuid,
    /// Who took it.
    bot: Uuid,
    /// Until when the bot can answer you alone.
    expires_at: OffsetDateTime,
}

/// An answer that the caller alone sees.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct Response {
    /// What the frame `invoke` brought.
    token: String,
    /// What, in Markdown.
    body: String,
}

/// What became of an answer.
#[derive(Object)]
struct Responded {
    /// Whether the caller has a socket that got it; it is kept for nobody.
    delivered: bool,
}

impl From<rows::SlashCommand> for Slash {
    fn from(row: rows::SlashCommand) -> Self {
        let parameter = |option: SlashOption| Parameter {
            name: option.name,
            description: option.description,
            required: option.required,
        };
        Self {
            name: row.name,
            bot: row.bot.uuid(),
            description: row.description,
            options: row.options.into_iter().map(parameter).collect(),
            seq: row.seq,
        }
    }
}

#[OpenApi(tag = "Chapter::Bots")]
impl Slashes {
    /// What bots offer in a space.
    #[oai(
        path = "/v1/spaces/:space/commands",
        method = "get",
        operation_id = "list_slash_commands"
    )]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        space: Path<Uuid>,
    ) -> Result<Found<Items<Slash>>, Failure> {
        let space = (*space).into();
        self.0.access.joined(session.account(), space).await?;
        let commands = self.0.read.slash_commands(space).await.map_err(of_read_model)?;
        Ok(Found::new(Items::all(commands, Slash::from)))
    }

    /// Offer a slash command, as a bot of the space.
    #[oai(
        path = "/v1/spaces/:space/commands/:name",
        method = "put",
        operation_id = "define_slash_command"
    )]
    async fn define(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        name: Path<String>,
        Json(body): Json<SlashDefinition>,
    ) -> Result<Changed, Failure> {
        let option = |parameter: Parameter| SlashOption {
            name: parameter.name,
            description: parameter.description,
            required: parameter.required,
        };
        let command = DefineSlash {
            space: (*space).into(),
            name: name.0,
            description: body.description,
            options: body.options.into_iter().map(option).collect(),
        };
        let caller = once.caller(&self.0, &session).await?;
        Ok(Changed::at(self.0.chat(&caller, &command).await?.position))
    }

    /// Offer a slash command no more: its bot may, and whoever has `manage_integrations`.
    #[oai(
        path = "/v1/spaces/:space/commands/:name",
        method = "delete",
        operation_id = "remove_slash_command"
    )]
    async fn remove(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        name: Path<String>,
    ) -> Result<Changed, Failure> {
        let command = RemoveSlash {
            space: (*space).into(),
            name: name.0,
        };
        let caller = once.caller(&self.0, &session).await?;
        Ok(Changed::at(self.0.chat(&caller, &command).await?.position))
    }

    /// Call a slash command in a room. Needs `post` there. The bot gets it on its sockets at once, or nobody does.
    #[oai(
        path = "/v1/rooms/:room/commands",
        method = "post",
        operation_id = "call_slash_command"
    )]
    async fn call(
        &self,
        session: Session,
        room: Path<Uuid>,
        Json(body): Json<Call>,
    ) -> Result<Found<Called>, Failure> {
        let called = self
            .0
            .call_slash(
                session.account(),
                session.id(),
                (*room).into(),
                body.name,
                body.text,
            )
            .await?;
        Ok(Found::new(Called {
            invocation: called.invocation,
            bot: called.bot.uuid(),
            expires_at: called.expires_at.time(),
        }))
    }

    /// Answer a call so that its caller alone sees it, as the bot that took it. To answer everybody, post in the room.
    #[oai(
        path = "/v1/commands/responses",
        method = "post",
        operation_id = "respond_to_slash_command"
    )]
    async fn respond(
        &self,
        session: Session,
        Json(body): Json<Response>,
    ) -> Result<Found<Responded>, Failure> {
        let answer = Answer {
            token: body.token,
            body: body.body,
        };
        let delivered = self.0.respond(session.account(), answer).await?;
        Ok(Found::new(Responded { delivered }))
    }
}

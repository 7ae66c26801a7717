//! Webhooks of rooms, and `/v1/hooks`, where programs post by them.

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::room::Mentions;
use veza_events::{AccountId, Permission, RoomId, SpaceId};
use veza_platform::contract::accounts::RegisterWebhook;
use veza_platform::contract::chat::{ChangeWebhookSecret, CreateWebhook, PostByWebhook, RemoveWebhook};
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::webhook_code::{self, WebhookCode};
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::page::Items;
use super::problem::Failure;
use super::rates::Rates;
use super::reply::{Changed, Created, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::access::requires;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on webhooks.
pub(super) struct Webhooks(pub(super) Arc<Gateway>);

/// A new webhook.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewWebhook {
    /// The name that is shown with what it posts.
    name: String,
}

/// A webhook's address.
#[derive(Object)]
struct WebhookMade {
    /// The webhook, and the account that it posts as.
    id: Uuid,
    /// Where programs post. It is shown this once: only the digest of its end is stored.
    url: String,
    /// Where it was written.
    seq: u64,
}

/// A webhook.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Webhook {
    /// The webhook, and the account that it posts as.
    id: Uuid,
    /// The name that is shown with what it posts.
    name: Option<String>,
    /// Who made it.
    by: Uuid,
    /// When.
    created_at: OffsetDateTime,
}

/// What a program posts. Other fields, as Slack has them, are passed over.
#[derive(Object, Deserialize)]
struct HookMessage {
    /// What, in Markdown.
    body: Option<String>,
    /// The same, as senders for Slack call it.
    text: Option<String>,
    /// The name to go by this once, instead of the webhook's own.
    #[serde(alias = "username")]
    name: Option<String>,
}

/// A message is stored.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct HookPosted {
    /// The message.
    id: Uuid,
    /// Where it stands in the timeline, or in the log while it is held.
    seq: u64,
    /// `true`: a rule of the space holds it back until a moderator has let it.
    held: Option<bool>,
}

impl From<rows::Webhook> for Webhook {
    fn from(row: rows::Webhook) -> Self {
        Self {
            id: row.id.uuid(),
            name: row.name,
            by: row.by.uuid(),
            created_at: row.created_at.time(),
        }
    }
}

#[OpenApi(tag = "Chapter::Bots")]
impl Webhooks {
    /// Let programs post into a room by an address. Needs `manage_integrations` in the room. What is posted there is shown
    /// under an account of the webhook's own, which may nothing else.
    #[oai(
        path = "/v1/rooms/:room/webhooks",
        method = "post",
        operation_id = "create_webhook"
    )]
    async fn create(
        &self,
        session: Session,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        Json(body): Json<NewWebhook>,
    ) -> Result<Created<WebhookMade>, Failure> {
        let (room, space) = self.managed(&session, *room).await?;
        rates.registration()?;
        let caller = once.caller(&self.0, &session).await?;
        // The account first: nothing refers to it until the space does.
        let account = RegisterWebhook {
            space,
            name: body.name,
        };
        let webhook = self.0.accounts(&caller, &account).await?.account;
        let command = CreateWebhook { space, room, webhook };
        let made = self.0.chat(&caller, &command).await?;
        Ok(Created::written(
            self.made(webhook, &made.code, made.position.seq),
            made.position,
        ))
    }

    /// The webhooks of a room, without their addresses. Needs `manage_integrations` in the room.
    #[oai(
        path = "/v1/rooms/:room/webhooks",
        method = "get",
        operation_id = "list_webhooks"
    )]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        room: Path<Uuid>,
    ) -> Result<Found<Items<Webhook>>, Failure> {
        let (room, _) = self.managed(&session, *room).await?;
        let webhooks = self.0.read.webhooks(room).await.map_err(of_read_model)?;
        Ok(Found::new(Items::all(webhooks, Webhook::from)))
    }

    /// Give a webhook another address; the old one is good no more, within a second. Needs `manage_integrations` in its room.
    #[oai(
        path = "/v1/rooms/:room/webhooks/:webhook/address",
        method = "post",
        operation_id = "change_webhook_address"
    )]
    async fn change_address(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        webhook: Path<Uuid>,
    ) -> Result<Created<WebhookMade>, Failure> {
        let (room, space) = self.managed(&session, *room).await?;
        let webhook: AccountId = (*webhook).into();
        let caller = once.caller(&self.0, &session).await?;
        let made = self
            .0
            .chat(&caller, &ChangeWebhookSecret { space, room, webhook })
            .await?;
        Ok(Created::written(
            self.made(webhook, &made.code, made.position.seq),
            made.position,
        ))
    }

    /// Take a webhook away. What it posted stays. Needs `manage_integrations` in its room.
    #[oai(
        path = "/v1/rooms/:room/webhooks/:webhook",
        method = "delete",
        operation_id = "remove_webhook"
    )]
    async fn remove(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        webhook: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let (room, space) = self.managed(&session, *room).await?;
        let command = RemoveWebhook {
            space,
            room,
            webhook: (*webhook).into(),
        };
        let caller = once.caller(&self.0, &session).await?;
        Ok(Changed::at(self.0.chat(&caller, &command).await?.position))
    }

    /// Post by a webhook: the address is the key. `{"text":…}` is taken as well, as Slack has it.
    #[oai(
        path = "/v1/hooks/:webhook/:code",
        method = "post",
        operation_id = "post_by_webhook"
    )]
    async fn post(
        &self,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        webhook: Path<Uuid>,
        code: Path<String>,
        Json(message): Json<HookMessage>,
    ) -> Result<Created<HookPosted>, Failure> {
        let webhook: AccountId = (*webhook).into();
        let WebhookCode { room, digest } = webhook_code::decode(&code).ok_or_else(no_such_webhook)?;
        rates.webhook(&digest)?;
        let space = match self.0.rooms.place(room).await {
            Ok(place) => place.space,
            Err(problem) if problem.kind == ProblemKind::NotFound => return Err(no_such_webhook().into()),
            Err(problem) => return Err(problem.into()),
        };
        let command = PostByWebhook {
            space,
            room,
            webhook,
            digest,
            body: message.body.or(message.text).unwrap_or_default(),
            shown_as: message.name,
            mentions: Mentions::default(),
        };
        let caller = once.webhook(&self.0, webhook).await?;
        let posted = self.0.say_by_webhook(&caller, command).await?;
        let (id, seq) = (posted.message.uuid(), posted.position.seq);
        let held = posted.held.then_some(true);
        Ok(Created::written(HookPosted { id, seq, held }, posted.position))
    }
}

impl Webhooks {
    /// The room and its space, for those who manage integrations there. The workers decide again on what is written.
    async fn managed(&self, session: &Session, room: Uuid) -> Result<(RoomId, SpaceId), Failure> {
        let room = room.into();
        let place = self.0.rooms.place(room).await?;
        let allowed = self
            .0
            .access
            .in_room(session.account(), place.space, place.gate)
            .await?;
        requires(allowed, Permission::ManageIntegrations)?;
        Ok((place.gate, place.space))
    }

    fn made(&self, webhook: AccountId, code: &str, seq: u64) -> WebhookMade {
        let base = self.0.config.gateway.public_url.trim_end_matches('/');
        WebhookMade {
            id: webhook.uuid(),
            url: format!("{base}/v1/hooks/{webhook}/{code}"),
            seq,
        }
    }
}

fn no_such_webhook() -> Problem {
    let detail = "there is no such webhook, or its address is another now";
    Problem::new(ProblemKind::NotFound, "webhook.not_found", detail)
}

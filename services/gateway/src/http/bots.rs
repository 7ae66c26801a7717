//! `/v1/bots`

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_platform::contract::accounts::{ChangeBot, CreateBotKey, RegisterBot, RetireBot, RevokeBotKey};
use veza_platform::contract::chat::BringBot;
use veza_platform::contract::{Problem, ProblemKind};
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::page::Items;
use super::problem::Failure;
use super::rates::Rates;
use super::reply::{Changed, Created, Found};
use super::scopes::{self, Scope};
use super::seen::Seen;
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on bots.
pub(super) struct Bots(pub(super) Arc<Gateway>);

/// A new bot.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewBot {
    /// The name others call it by; unique among people and bots.
    handle: String,
    /// The name shown; the handle when absent.
    display_name: Option<String>,
    /// Whether others than you may bring it into their spaces.
    #[serde(default)]
    #[oai(default)]
    public: bool,
}

/// A bot exists.
#[derive(Object)]
struct BotMade {
    /// Its account; the `client_id` of its tokens.
    id: Uuid,
    /// Where it was written.
    seq: u64,
}

/// What is to change; absent fields stay.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct BotChange {
    /// The new name shown.
    display_name: Option<String>,
    /// Whether others than you may bring it into their spaces.
    public: Option<bool>,
}

/// A bot of one's own.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Bot {
    /// Its account; the `client_id` of its tokens.
    id: Uuid,
    /// The name others call it by.
    handle: Option<String>,
    /// The name shown.
    display_name: Option<String>,
    /// Whether others than you may bring it into their spaces.
    public: bool,
    /// Last change.
    seq: u64,
}

/// A new key.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewKey {
    /// What you call it: where it is used, for example.
    name: Option<String>,
    /// What its tokens are good for.
    #[oai(validator(max_items = 32))]
    scopes: Vec<Scope>,
    /// Until when it is good; until it is revoked when absent.
    #[serde(default, with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

/// A key exists.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct KeyMade {
    /// The key.
    id: Uuid,
    /// The `client_secret` of its tokens. It is shown this once: only its digest is stored.
    secret: String,
    /// Where it was written.
    seq: Option<u64>,
}

/// A key of a bot.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Key {
    /// The key.
    id: Uuid,
    /// What it is called.
    name: Option<String>,
    /// What its tokens are good for.
    scopes: Vec<Scope>,
    /// When it was made.
    created_at: OffsetDateTime,
    /// Until when it is good.
    expires_at: Option<OffsetDateTime>,
}

impl From<rows::Bot> for Bot {
    fn from(row: rows::Bot) -> Self {
        Self {
            id: row.account.id.uuid(),
            handle: row.account.handle,
            display_name: row.account.display_name,
            public: row.public,
            seq: row.seq,
        }
    }
}

impl From<rows::BotKey> for Key {
    fn from(row: rows::BotKey) -> Self {
        Self {
            id: row.id.uuid(),
            name: row.name,
            scopes: scopes::shown(row.scopes),
            created_at: row.created_at.time(),
            expires_at: row.expires_at.map(veza_events::Timestamp::time),
        }
    }
}

#[OpenApi(tag = "Chapter::Bots")]
impl Bots {
    /// Make a bot: an account that a program acts for, and that you answer for. It signs in by keys alone, is shown
    /// as a bot, owns no space and makes no bots.
    #[oai(path = "/v1/bots", method = "post", operation_id = "create_bot")]
    async fn create(
        &self,
        session: Session,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<NewBot>,
    ) -> Result<Created<BotMade>, Failure> {
        rates.registration()?;
        let command = RegisterBot {
            handle: body.handle,
            display_name: body.display_name,
            public: body.public,
        };
        let caller = once.caller(&self.0, &session).await?;
        let made = self.0.accounts(&caller, &command).await?;
        let (id, seq) = (made.account.uuid(), made.position.seq);
        Ok(Created::written(BotMade { id, seq }, made.position))
    }

    /// The bots that you answer for.
    #[oai(path = "/v1/bots", method = "get", operation_id = "list_bots")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
    ) -> Result<Found<Items<Bot>>, Failure> {
        let bots = self.0.read.bots_of(session.account()).await;
        Ok(Found::new(Items::all(bots.map_err(of_read_model)?, Bot::from)))
    }

    /// Change a bot of yours.
    #[oai(path = "/v1/bots/:bot", method = "patch", operation_id = "change_bot")]
    async fn change(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "If-Match")] seen: Seen,
        bot: Path<Uuid>,
        Json(body): Json<BotChange>,
    ) -> Result<Changed, Failure> {
        let command = ChangeBot {
            bot: (*bot).into(),
            display_name: body.display_name,
            public: body.public,
        };
        let caller = seen.by(once.caller(&self.0, &session).await?);
        Ok(Changed::at(self.0.accounts(&caller, &command).await?.position))
    }

    /// Let a bot of yours act no more, for good. Its tokens are refused within a second; what it said stays.
    #[oai(path = "/v1/bots/:bot", method = "delete", operation_id = "retire_bot")]
    async fn retire(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        bot: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = RetireBot { bot: (*bot).into() };
        let caller = once.caller(&self.0, &session).await?;
        Ok(Changed::at(self.0.accounts(&caller, &command).await?.position))
    }

    /// Give a bot of yours a key. Several at once make it easy to replace one.
    #[oai(path = "/v1/bots/:bot/keys", method = "post", operation_id = "create_bot_key")]
    async fn create_key(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        bot: Path<Uuid>,
        Json(body): Json<NewKey>,
    ) -> Result<Created<KeyMade>, Failure> {
        let command = CreateBotKey {
            bot: (*bot).into(),
            name: body.name,
            scopes: scopes::set(body.scopes),
            expires_at: body.expires_at.map(Into::into),
        };
        let caller = once.caller(&self.0, &session).await?;
        let made = self.0.accounts(&caller, &command).await?;
        let key = KeyMade {
            id: made.key.uuid(),
            secret: made.secret.expose().to_owned(),
            seq: made.position.as_ref().map(|position| position.seq),
        };
        Ok(match made.position {
            Some(position) => Created::written(key, position),
            None => Created::new(key),
        })
    }

    /// The keys of a bot of yours, without their secrets.
    #[oai(path = "/v1/bots/:bot/keys", method = "get", operation_id = "list_bot_keys")]
    async fn keys(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        bot: Path<Uuid>,
    ) -> Result<Found<Items<Key>>, Failure> {
        let keys = self.0.read.bot_keys(session.account(), (*bot).into()).await;
        let keys = keys.map_err(of_read_model)?.ok_or_else(|| {
            let detail = "there is no such bot of yours";
            Problem::new(ProblemKind::NotFound, "bot.not_found", detail)
        })?;
        Ok(Found::new(Items::all(keys, Key::from)))
    }

    /// Take a key away. Its tokens are refused within a second, and sockets of them are closed.
    #[oai(
        path = "/v1/bots/:bot/keys/:key",
        method = "delete",
        operation_id = "revoke_bot_key"
    )]
    async fn revoke_key(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        bot: Path<Uuid>,
        key: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = RevokeBotKey {
            bot: (*bot).into(),
            key: (*key).into(),
        };
        let caller = once.caller(&self.0, &session).await?;
        Ok(Changed::at(self.0.accounts(&caller, &command).await?.position))
    }

    /// Bring a bot into a space: a public one, or one of yours. Needs `manage_integrations`. It is a member like
    /// others, with the roles that it is given, and leaves as others do.
    #[oai(
        path = "/v1/spaces/:space/bots/:bot",
        method = "put",
        operation_id = "bring_bot"
    )]
    async fn bring(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        bot: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = BringBot {
            space: (*space).into(),
            bot: (*bot).into(),
        };
        let caller = once.caller(&self.0, &session).await?;
        Ok(Changed::at(self.0.chat(&caller, &command).await?.position))
    }
}

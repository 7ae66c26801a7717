//! Calls of slash commands, and answers to them that one person sees. They go from gateway to gateway to the sockets
//! of an account as plain requests: nothing of them is stored, so whoever is not there gets nothing, and is told so.

use std::time::Duration;

use async_nats::RequestErrorKind;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use veza_events::{AccountId, RoomId, Scope, SessionId, SpaceId, Timestamp};
use veza_platform::ambient;
use veza_platform::contract::chat::CallSlash;
use veza_platform::contract::{Caller, Problem, ProblemKind};

use crate::state::Gateway;

/// Where what is meant for the sockets of an account is sent, before its id.
pub(crate) const PREFIX: &str = "live.direct.";
/// Longest wait for a gateway that has a socket of the account.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long a bot can answer.
const ANSWER_TIME: Duration = Duration::from_mins(15);
/// Most characters of an answer.
const MAX_ANSWER_CHARS: usize = 4_000;
/// What the MAC of a token is made over first, so that it is good for nothing else.
const PURPOSE: &[u8] = b"slash response\0";

/// What the sockets of an account are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direct {
    /// Somebody called a slash command of the bot.
    Invoke {
        invocation: Uuid,
        space: SpaceId,
        room: RoomId,
        by: AccountId,
        name: String,
        text: String,
        token: String,
        expires_at: Timestamp,
    },
    /// A bot answers, to be seen by the account alone.
    Whisper {
        invocation: Uuid,
        room: RoomId,
        by: AccountId,
        body: String,
    },
}

impl Direct {
    /// What a bot's socket must be good for to be told.
    pub(crate) fn scope(&self) -> Option<Scope> {
        match self {
            Self::Invoke { .. } => Some(Scope::Commands),
            Self::Whisper { .. } => None,
        }
    }
}

/// The MAC of the installation.
type Mac<'a> = &'a (dyn Fn(&[u8]) -> [u8; 32] + Sync);

/// What a token says: who may answer whom, where, until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Right {
    #[serde(rename = "i")]
    invocation: Uuid,
    #[serde(rename = "b")]
    bot: AccountId,
    #[serde(rename = "c")]
    caller: AccountId,
    #[serde(rename = "r")]
    room: RoomId,
    #[serde(rename = "e")]
    expires_at: Timestamp,
}

impl Right {
    fn token(&self, mac: Mac<'_>) -> String {
        let body = serde_json::to_vec(self).expect("rights are plain data");
        let mac = mac(&[PURPOSE, &body].concat());
        format!("{}.{}", BASE64URL.encode(body), BASE64URL.encode(mac))
    }

    /// Reads a token that this installation made.
    fn read(mac: Mac<'_>, token: &str) -> Option<Self> {
        let (body, shown) = token.split_once('.')?;
        let (body, shown) = (BASE64URL.decode(body).ok()?, BASE64URL.decode(shown).ok()?);
        let expected = mac(&[PURPOSE, &body].concat());
        aws_lc_rs::constant_time::verify_slices_are_equal(&shown, &expected).ok()?;
        serde_json::from_slice(&body).ok()
    }
}

/// A call that a bot has got.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) invocation: Uuid,
    pub(crate) bot: AccountId,
    pub(crate) expires_at: Timestamp,
}

/// What a bot answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) token: String,
    pub(crate) body: String,
}

impl Gateway {
    /// Calls a slash command in a room.
    ///
    /// # Errors
    /// The worker's refusal; `slash.bot_offline` when the bot has no socket that takes commands.
    pub(crate) async fn call_slash(
        &self,
        account: AccountId,
        session: SessionId,
        room: RoomId,
        name: String,
        text: String,
    ) -> Result<Called, Problem> {
        let place = self.rooms.place(room).await?;
        let invocation = ambient::new_uuid();
        let caller = Caller {
            command: invocation.into(),
            account: Some(account),
            session: Some(session),
            seen: None,
        };
        let command = CallSlash {
            space: place.space,
            room: place.gate,
            name: name.clone(),
            text: text.clone(),
        };
        let bot = self.chat(&caller, &command).await?.bot;
        let expires_at: Timestamp = (ambient::now() + ANSWER_TIME).into();
        let right = Right {
            invocation,
            bot,
            caller: account,
            room,
            expires_at,
        };
        let key = self.ledger.keys().installation_key().await?;
        let invoke = Direct::Invoke {
            invocation,
            space: place.space,
            room,
            by: account,
            name,
            text,
            token: right.token(&|bytes| key.mac(bytes)),
            expires_at,
        };
        if self.tell(bot, &invoke).await? {
            return Ok(Called {
                invocation,
                bot,
                expires_at,
            });
        }
        let detail = "the bot that takes this command is not there; try again later";
        Err(Problem {
            retry_after_ms: Some(5_000),
            ..Problem::new(ProblemKind::Unavailable, "slash.bot_offline", detail)
        })
    }

    /// Lets a bot answer who called it. Says whether they have got it.
    ///
    /// # Errors
    /// `slash.token`, `slash.answer`; `room.not_found` when one of them may not see the room any more.
    pub(crate) async fn respond(&self, bot: AccountId, answer: Answer) -> Result<bool, Problem> {
        let key = self.ledger.keys().installation_key().await?;
        let right = Right::read(&|bytes| key.mac(bytes), &answer.token)
            .filter(|right| right.bot == bot && right.expires_at.time() > ambient::now());
        let right = right.ok_or_else(|| {
            let detail = "the token is none, of another bot, or older than a quarter of an hour";
            Problem::new(ProblemKind::Forbidden, "slash.token", detail)
        })?;
        let length = answer.body.chars().count();
        if answer.body.trim().is_empty() || length > MAX_ANSWER_CHARS {
            let detail = format!("an answer has 1 to {MAX_ANSWER_CHARS} characters");
            return Err(Problem::field("slash.answer", "body", detail));
        }
        let place = self.rooms.place(right.room).await?;
        for account in [bot, right.caller] {
            self.access.in_room(account, place.space, place.gate).await?;
        }
        let whisper = Direct::Whisper {
            invocation: right.invocation,
            room: right.room,
            by: bot,
            body: answer.body,
        };
        self.tell(right.caller, &whisper).await
    }

    /// Tells the sockets of an account, wherever they are. Says whether there are any.
    async fn tell(&self, account: AccountId, direct: &Direct) -> Result<bool, Problem> {
        let body = serde_json::to_vec(direct).map_err(|error| Problem::internal(&error))?;
        let request = async_nats::Request::new()
            .payload(body.into())
            .timeout(Some(PATIENCE));
        let subject = format!("{PREFIX}{account}");
        let answer = self.nats.send_request(subject, request).await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                RequestErrorKind::TimedOut | RequestErrorKind::NoResponders => Ok(false),
                _ => Err(Problem::unavailable(
                    "gateways cannot hear each other; try again",
                    1_000,
                )),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(key: u8) -> impl Fn(&[u8]) -> [u8; 32] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[key; 32]);
        move |bytes| {
            let tag = aws_lc_rs::hmac::sign(&key, bytes);
            *tag.as_ref().first_chunk().unwrap()
        }
    }

    #[test]
    fn a_token_is_good_as_it_was_made_and_under_its_key_alone() {
        let (key, other) = (keyed(1), keyed(2));
        let right = |bot| Right {
            invocation: Uuid::from_u128(1),
            bot: Uuid::from_u128(bot).into(),
            caller: Uuid::from_u128(3).into(),
            room: Uuid::from_u128(4).into(),
            expires_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        let (token, foreign) = (right(2).token(&key), right(9).token(&key));
        assert_eq!(Right::read(&key, &token), Some(right(2)));
        assert_eq!(Right::read(&other, &token), None);
        let (body, _) = token.split_once('.').unwrap();
        let (_, mac) = foreign.split_once('.').unwrap();
        assert_eq!(Right::read(&key, &format!("{body}.{mac}")), None);
        for wrong in ["", ".", "a.b", body] {
            assert_eq!(Right::read(&key, wrong), None, "{wrong}");
        }
    }
}

//! One function per command: take it apart, let `domain` decide, write, answer.

mod administrator;
mod blocks;
mod bot_tokens;
mod bots;
mod email;
mod password;
mod profile;
mod refresh;
mod register;
mod sign_in;
mod sign_out;

use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use veza_platform::bus::Router;
use veza_platform::contract::accounts::{
    AskEmailLink, AskPasswordReset, Block, ChangeBot, ChangeEmail, ChangePassword, ChangeProfile,
    ConfirmEmail, ConfirmPassword, CreateBotKey, EndSession, InviteAdministrator, IssueBotToken, Refresh,
    Register, RegisterBot, RegisterWebhook, ResetPassword, RetireBot, RevokeBotKey, SignIn, SignInByLink,
    Unblock,
};
use veza_platform::contract::{Caller, Command, Problem, ProblemKind};

use crate::worker::Worker;

/// Which function takes which command.
pub(crate) fn router(worker: Arc<Worker>) -> Router<Worker> {
    Router::new(worker)
        .on(async |worker: Arc<Worker>, caller: Caller, command: Register| {
            register::register(&worker, &caller, command).await
        })
        .on(async |worker: Arc<Worker>, caller: Caller, command: SignIn| {
            sign_in::by_password(&worker, &caller, command).await
        })
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: SignInByLink| {
                sign_in::by_link(&worker, &caller, command).await
            },
        )
        .on(async |worker: Arc<Worker>, caller: Caller, command: Refresh| {
            refresh::refresh(&worker, &caller, command).await
        })
        .on(async |worker: Arc<Worker>, caller: Caller, command: EndSession| {
            sign_out::end_session(&worker, &caller, command).await
        })
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: ChangeProfile| {
                profile::change(&worker, &caller, command).await
            },
        )
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: ChangePassword| {
                password::change(&worker, &caller, command).await
            },
        )
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: ConfirmPassword| {
                password::confirm(&worker, &caller, &command).await
            },
        )
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: AskEmailLink| {
                email::ask_link(&worker, &caller, command).await
            },
        )
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: ChangeEmail| {
                email::change(&worker, &caller, command).await
            },
        )
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: ConfirmEmail| {
                email::confirm(&worker, &caller, command).await
            },
        )
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: AskPasswordReset| {
                email::ask_reset(&worker, &caller, command).await
            },
        )
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: ResetPassword| {
                email::reset(&worker, &caller, command).await
            },
        )
        .on(async |worker: Arc<Worker>, caller: Caller, command: Block| {
            blocks::block(&worker, &caller, command).await
        })
        .on(async |worker: Arc<Worker>, caller: Caller, command: Unblock| {
            blocks::unblock(&worker, &caller, command).await
        })
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: RegisterBot| {
                bots::register(&worker, &caller, command).await
            },
        )
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: RegisterWebhook| {
                bots::register_webhook(&worker, &caller, command).await
            },
        )
        .on(async |worker: Arc<Worker>, caller: Caller, command: ChangeBot| {
            bots::change(&worker, &caller, command).await
        })
        .on(async |worker: Arc<Worker>, caller: Caller, command: RetireBot| {
            bots::retire(&worker, &caller, command).await
        })
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: CreateBotKey| {
                bots::create_key(&worker, &caller, command).await
            },
        )
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: RevokeBotKey| {
                bots::revoke_key(&worker, &caller, command).await
            },
        )
        .on(
            async |worker: Arc<Worker>, caller: Caller, command: IssueBotToken| {
                bot_tokens::issue(&worker, &caller, command).await
            },
        )
        .on(
            async |worker: Arc<Worker>, caller: Caller, _: InviteAdministrator| {
                administrator::invite(&worker, &caller).await
            },
        )
}

/// What is remembered of a command, so that its id with another content is noticed: everything but its
/// secrets. The log keeps a digest of it that is quick to compute, and a password must not be tried against
/// anything quicker than its own hash.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Remembered<C> {
    content: serde_json::Value,
    #[serde(skip)]
    of: PhantomData<fn() -> C>,
}

impl<C: Command> Remembered<C> {
    /// `content` without passwords and tokens.
    fn new(content: serde_json::Value) -> Self {
        Self {
            content,
            of: PhantomData,
        }
    }
}

impl<C: Command> Command for Remembered<C> {
    const NAME: &'static str = C::NAME;
    type Reply = C::Reply;
}

/// The session is over, whatever token comes.
pub(crate) fn session_ended() -> Problem {
    Problem::new(
        ProblemKind::Unauthenticated,
        "session.ended",
        "the session has ended, sign in again",
    )
}

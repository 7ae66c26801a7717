//! Webhooks and slash commands.

use std::sync::Arc;

use veza_domain::{
    room::RoomCommand,
    space::{SlashCommand, SpaceCommand, WebhookCommand},
};
use veza_events::{CommandId, MessageId, room::Mentions};
use veza_platform::{
    contract::{
        Caller, Problem,
        chat::{
            CallSlash, ChangeWebhookSecret, Changed, CreateWebhook, DefineSlash, PostByWebhook, Posted,
            RemoveSlash, RemoveWebhook, SlashTaker, WebhookAddress,
        },
    },
    keyring::DataKey,
    webhook_code,
};

use super::{
    space::{changed, structure},
    timeline::{Place, Timeline},
};
use crate::worker::{Parties, Worker};

pub(super) async fn create_webhook(
    worker: Arc<Worker>,
    caller: Caller,
    command: CreateWebhook,
) -> Result<WebhookAddress, Problem> {
    let CreateWebhook { room, webhook, .. } = command;
    let secret = secret(&worker, &caller).await?;
    let create = WebhookCommand::Create {
        webhook,
        room,
        digest: webhook_code::digest_of(&secret),
    };
    let create = SpaceCommand::Webhook(create);
    let position = structure(&worker, &caller, &command, &create, |_| Ok(vec![])).await?;
    let code = webhook_code::encode(room, &secret);
    Ok(WebhookAddress { code, position })
}

pub(super) async fn change_secret(
    worker: Arc<Worker>,
    caller: Caller,
    command: ChangeWebhookSecret,
) -> Result<WebhookAddress, Problem> {
    let ChangeWebhookSecret { room, webhook, .. } = command;
    let secret = secret(&worker, &caller).await?;
    let digest = webhook_code::digest_of(&secret);
    let change = SpaceCommand::Webhook(WebhookCommand::ChangeSecret {
        webhook,
        room,
        digest,
    });
    let position = structure(&worker, &caller, &command, &change, |_| Ok(vec![])).await?;
    let code = webhook_code::encode(room, &secret);
    Ok(WebhookAddress { code, position })
}

pub(super) async fn remove_webhook(
    worker: Arc<Worker>,
    caller: Caller,
    command: RemoveWebhook,
) -> Result<Changed, Problem> {
    let remove = SpaceCommand::Webhook(WebhookCommand::Remove {
        webhook: command.webhook,
        room: command.room,
    });
    changed(&worker, &caller, &command, &remove).await
}

/// The secret of an address, derived under its maker's key: a repeated command answers with the same, and nobody
/// else can tell it.
async fn secret(worker: &Worker, caller: &Caller) -> Result<[u8; webhook_code::SECRET_BYTES], Problem> {
    let key = worker.ledger.keys().of_account(caller.account()?).await?;
    let (_, key) = key.ok_or_else(|| Problem::internal(&"an account that gives commands has no key"))?;
    Ok(derived(&key, caller.command))
}

fn derived(key: &DataKey, command: CommandId) -> [u8; webhook_code::SECRET_BYTES] {
    let mac = key.mac(&[b"webhook".as_slice(), command.uuid().as_bytes()].concat());
    *mac.first_chunk().expect("32 bytes are more than a secret has")
}

/// The author is the webhook's own account, and all that a message hangs on counts for it.
pub(super) async fn post(
    worker: Arc<Worker>,
    caller: Caller,
    command: PostByWebhook,
) -> Result<Posted, Problem> {
    let PostByWebhook {
        space, room, webhook, ..
    } = command;
    opened(&worker, &command).await?;
    // Names may mean others when a command is repeated; it is the same command all the same.
    let (mentions, essence) = (
        command.mentions.clone(),
        PostByWebhook {
            mentions: Mentions::default(),
            ..command
        },
    );
    let caller = Caller {
        account: Some(webhook),
        session: None,
        ..caller
    };
    let message: MessageId = caller.command.derive(webhook.uuid(), "message");
    let say = |attachments| RoomCommand::Post {
        message,
        body: essence.body.clone(),
        reply_to: None,
        mentions: mentions.clone(),
        attachments,
        shown_as: essence.shown_as.clone(),
    };
    let timeline = Timeline::of(&worker, Place { space, room }, webhook).await?;
    timeline.say(&caller, &essence, message, &[], say).await
}

/// A secret that is not known is looked for in the log: it may have been changed just now.
async fn opened(worker: &Worker, command: &PostByWebhook) -> Result<(), Problem> {
    let PostByWebhook {
        space,
        room,
        webhook,
        ref digest,
        ..
    } = *command;
    let known = worker.spaces.get(space).await?;
    if known.state.opens_webhook(webhook, room, digest).is_ok() {
        return Ok(());
    }
    let known = worker.spaces.get_anew(space).await?;
    Ok(known.state.opens_webhook(webhook, room, digest)?)
}

pub(super) async fn define(
    worker: Arc<Worker>,
    caller: Caller,
    command: DefineSlash,
) -> Result<Changed, Problem> {
    let bot = worker.people.get(caller.account()?).await?.state.bot.is_some();
    let define = SpaceCommand::Slash(SlashCommand::Define {
        bot,
        name: command.name.clone(),
        description: command.description.clone(),
        options: command.options.clone(),
    });
    changed(&worker, &caller, &command, &define).await
}

pub(super) async fn remove(
    worker: Arc<Worker>,
    caller: Caller,
    command: RemoveSlash,
) -> Result<Changed, Problem> {
    let remove = SpaceCommand::Slash(SlashCommand::Remove {
        name: command.name.clone(),
    });
    changed(&worker, &caller, &command, &remove).await
}

/// Decided on what is in memory, and on the log before it is refused.
pub(super) async fn call(
    worker: Arc<Worker>,
    caller: Caller,
    command: CallSlash,
) -> Result<SlashTaker, Problem> {
    let actor = caller.account()?;
    let CallSlash {
        space,
        room,
        ref name,
        ref text,
    } = command;
    let mut refusal = None;
    for anew in [false, true] {
        let structure = if anew {
            worker.spaces.get_anew(space).await?
        } else {
            worker.spaces.get(space).await?
        };
        let target = structure.state.slash_bot(name).unwrap_or(actor);
        let parties = Parties { space, actor, target };
        let view = if anew {
            worker.view_anew(parties).await?
        } else {
            worker.view(parties).await?
        };
        let asked = (room, name.as_str(), text.as_str());
        match view
            .structure()
            .calls(asked, (actor, view.membership()), &view.target.state)
        {
            Ok(bot) => return Ok(SlashTaker { bot }),
            Err(rejection) => refusal = Some(rejection.into()),
        }
    }
    Err(refusal.unwrap_or_else(|| Problem::internal(&"a slash command was neither taken nor refused")))
}

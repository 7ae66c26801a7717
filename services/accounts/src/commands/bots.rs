//! Accounts that programs act for, and the keys that those sign in with.

use veza_domain::account::{Account, AccountCommand, AccountRejection, BotCommand, changes_profile};
use veza_domain::handle::{HandleRejection, NameKind};
use veza_domain::{Decider, names};
use veza_events::{AccountId, Event, SessionId, Subject};
use veza_platform::contract::accounts::{
    BotKeyCreated, ChangeBot, CreateBotKey, Done, RegisterBot, RegisterWebhook, Registered, RetireBot,
    RevokeBotKey, WebhookRegistered,
};
use veza_platform::contract::{Caller, Command, Problem, Sensitive};
use veza_platform::ledger::{About, Write, Written};
use veza_platform::{ambient, bot_secret};

use super::register::claimed;
use crate::account::writes;
use crate::names::is_reserved;
use crate::worker::Worker;

/// Digits of its id that the handle of a webhook ends with.
const WEBHOOK_DIGITS: usize = 12;

/// Takes [`RegisterBot`]: that its owner answers for it, the bot and the claim on its name are one batch.
pub(super) async fn register(
    worker: &Worker,
    caller: &Caller,
    command: RegisterBot,
) -> Result<Registered, Problem> {
    let owner = caller.account()?;
    let handle = names::handle(&command.handle).map_err(AccountRejection::Handle)?;
    if is_reserved(&handle) {
        return Err(HandleRejection::HandleTaken.into());
    }
    let name = worker.names.subject(NameKind::Handle, &handle).await?;
    let bot: AccountId = caller.command.derive(owner.uuid(), "bot");
    worker.ledger.keys().ensure(bot).await?;
    let decide = async |race| {
        let mine = worker.accounts.known_after(owner, race).await?;
        let its = worker.accounts.known_after(bot, race).await?;
        let context = &worker.settings.context;
        let taken_on = BotCommand::TakeOn { bot };
        let made = BotCommand::Register {
            account: bot,
            owner,
            handle: command.handle.clone(),
            display_name: command.display_name.clone(),
            public: command.public,
        };
        let taken_on = Account::decide(&mine.state, context, AccountCommand::Bot(taken_on))?;
        let made = Account::decide(&its.state, context, AccountCommand::Bot(made))?;
        let claim = worker.names.claim(name.clone(), race > 0).await?;
        let mut all = writes(owner, mine.seq, taken_on);
        all.extend(writes(bot, its.seq, made));
        all.extend(claimed(&claim, NameKind::Handle, bot)?);
        Ok(all)
    };
    let primary = Subject::Account(owner);
    let written = worker.ledger.execute(caller, &command, &primary, decide).await?;
    let position = written.last().cloned();
    let position = position.ok_or_else(|| Problem::internal(&"a bot was made without an event"))?;
    Ok(Registered {
        account: bot,
        position,
    })
}

/// Takes [`RegisterWebhook`]. Its handle is derived from its id and claimed by nobody: it is only shown.
pub(super) async fn register_webhook(
    worker: &Worker,
    caller: &Caller,
    command: RegisterWebhook,
) -> Result<WebhookRegistered, Problem> {
    let owner = caller.account()?;
    let account: AccountId = caller.command.derive(owner.uuid(), "webhook");
    worker.ledger.keys().ensure(account).await?;
    let id = account.uuid().simple().to_string();
    let register = BotCommand::RegisterWebhook {
        account,
        owner,
        space: command.space,
        handle: format!("webhook.{}", &id[id.len() - WEBHOOK_DIGITS..]),
        display_name: command.name.clone(),
    };
    decided(worker, caller, &command, account, &register).await?;
    Ok(WebhookRegistered { account })
}

/// Takes [`ChangeBot`].
pub(super) async fn change(worker: &Worker, caller: &Caller, command: ChangeBot) -> Result<Done, Problem> {
    let by = caller.account()?;
    let change = BotCommand::Change {
        by,
        display_name: command.display_name.clone(),
        public: command.public,
    };
    let written = decided(worker, caller, &command, command.bot, &change).await?;
    Ok(Done {
        position: written.last().cloned(),
    })
}

/// Takes [`RetireBot`]. Its tokens are refused within a second, its name stays with what it said.
pub(super) async fn retire(worker: &Worker, caller: &Caller, command: RetireBot) -> Result<Done, Problem> {
    let (by, bot) = (caller.account()?, command.bot);
    let decide = async |race| {
        let mine = worker.accounts.known_after(by, race).await?;
        let its = worker.accounts.known_after(bot, race).await?;
        let context = &worker.settings.context;
        let retire = AccountCommand::Bot(BotCommand::Retire { by });
        let let_go = AccountCommand::Bot(BotCommand::LetGo { bot });
        let retired = Account::decide(&its.state, context, retire)?;
        worker.sessions.end_those_of(&retired).await?;
        let mut all = writes(bot, its.seq, retired);
        all.extend(writes(
            by,
            mine.seq,
            Account::decide(&mine.state, context, let_go)?,
        ));
        Ok(all)
    };
    let primary = Subject::Account(bot);
    let written = worker.ledger.execute(caller, &command, &primary, decide).await?;
    Ok(Done {
        position: written.last().cloned(),
    })
}

/// Takes [`CreateBotKey`]. The secret is derived under its maker's key: a repeated command answers with the same
/// secret, and nobody else can tell it.
pub(super) async fn create_key(
    worker: &Worker,
    caller: &Caller,
    command: CreateBotKey,
) -> Result<BotKeyCreated, Problem> {
    let by = caller.account()?;
    let own = worker.ledger.keys().of_account(by).await?;
    let (_, own) = own.ok_or_else(|| Problem::internal(&"an account that gives commands has no key"))?;
    let secret = own.digest(&[b"bot key".as_slice(), caller.command.uuid().as_bytes()].concat());
    let key: SessionId = caller.command.derive(by.uuid(), "bot key");
    let create = BotCommand::CreateKey {
        by,
        key,
        name: command.name.clone(),
        digest: bot_secret::digest_of(&secret),
        scopes: command.scopes,
        expires_at: command.expires_at,
        now: ambient::now().into(),
    };
    let written = decided(worker, caller, &command, command.bot, &create).await?;
    Ok(BotKeyCreated {
        key,
        secret: Sensitive::new(bot_secret::encode(key, &secret)),
        position: written.last().cloned(),
    })
}

/// Takes [`RevokeBotKey`]: its tokens are refused within a second.
pub(super) async fn revoke_key(
    worker: &Worker,
    caller: &Caller,
    command: RevokeBotKey,
) -> Result<Done, Problem> {
    let by = caller.account()?;
    let key = command.key;
    let revoke = BotCommand::RevokeKey { by, key };
    let written = decided(worker, caller, &command, command.bot, &revoke).await?;
    Ok(Done {
        position: written.last().cloned(),
    })
}

/// Changes a bot by its own sequence.
async fn decided<C: Command>(
    worker: &Worker,
    caller: &Caller,
    command: &C,
    bot: AccountId,
    change: &BotCommand,
) -> Result<Written, Problem> {
    let decide = async |race| -> Result<Vec<Write>, Problem> {
        let known = worker.accounts.known_after(bot, race).await?;
        let change = AccountCommand::Bot(change.clone());
        let events = Account::decide(&known.state, &worker.settings.context, change)?;
        worker.sessions.end_those_of(&events).await?;
        Ok(writes(bot, known.seq, events))
    };
    let subject = Subject::Account(bot);
    let about = About {
        primary: &subject,
        or: None,
        concerns: &|event| !matches!(event, Event::Account(event) if !changes_profile(event)),
    };
    worker.ledger.execute(caller, command, about, decide).await
}

use uuid::Uuid;
use veza_events::Scope;

use super::*;
use crate::{
    account::{Account, AccountCommand, LinkRules},
    scenario::given,
};

const CONTEXT: AccountContext = AccountContext {
    max_sessions: 3,
    max_bots: 2,
    links: LinkRules {
        confirm: std::time::Duration::from_hours(24),
        reset: std::time::Duration::from_hours(1),
        pause: std::time::Duration::from_mins(1),
    },
};

fn ada() -> AccountId {
    Uuid::from_u128(1).into()
}

fn robot() -> AccountId {
    Uuid::from_u128(2).into()
}

fn key(n: u128) -> SessionId {
    Uuid::from_u128(100 + n).into()
}

fn at(minute: u8) -> Timestamp {
    format!("2026-01-01T00:{minute:02}:00Z").parse().unwrap()
}

fn person() -> AccountEvent {
    veza_events::account::Registered {
        account: ada(),
        handle: "Ada".into(),
        email: "ada@example.org".into(),
        display_name: "Ada".into(),
        password: None,
    }
    .into()
}

fn bot(public: bool) -> AccountEvent {
    BotRegistered {
        account: robot(),
        owner: ada(),
        handle: "robot".into(),
        display_name: "robot".into(),
        public,
        webhook_of: None,
    }
    .into()
}

fn created(n: u128) -> AccountEvent {
    BotKeyCreated {
        key: key(n),
        name: None,
        digest: "d".into(),
        scopes: [Scope::MessagesRead].into_iter().collect(),
        expires_at: None,
    }
    .into()
}

fn create(by: AccountId, n: u128, scopes: Scopes, expires_at: Option<Timestamp>) -> AccountCommand {
    AccountCommand::Bot(BotCommand::CreateKey {
        by,
        key: key(n),
        name: None,
        digest: "d".into(),
        scopes,
        expires_at,
        now: at(5),
    })
}

fn reading() -> Scopes {
    [Scope::MessagesRead].into_iter().collect()
}

#[test]
fn one_answers_for_so_many_bots_and_no_bot_has_any() {
    let take = |n: u128| {
        AccountCommand::Bot(BotCommand::TakeOn {
            bot: Uuid::from_u128(n).into(),
        })
    };
    let taken = |n: u128| {
        AccountEvent::from(BotTakenOn {
            bot: Uuid::from_u128(n).into(),
        })
    };
    given::<Account>([])
        .when(&CONTEXT, take(7))
        .then_rejected("account.not_found");
    given::<Account>([bot(false)])
        .when(&CONTEXT, take(7))
        .then_rejected("account.is_bot");
    given::<Account>([person()])
        .when(&CONTEXT, take(7))
        .then([taken(7)]);
    let full = given::<Account>([person(), taken(7), taken(8)]);
    full.when(&CONTEXT, take(7)).then_nothing();
    full.when(&CONTEXT, take(9)).then_rejected("bot.too_many");
    let let_go = BotLetGo {
        bot: Uuid::from_u128(7).into(),
    };
    given::<Account>([person(), taken(7), taken(8), let_go.into()])
        .when(&CONTEXT, take(9))
        .then([taken(9)]);
}

#[test]
fn a_bot_is_made_once_and_called_properly() {
    let register = |handle: &str| {
        AccountCommand::Bot(BotCommand::Register {
            account: robot(),
            owner: ada(),
            handle: handle.into(),
            display_name: None,
            public: true,
        })
    };
    given::<Account>([bot(true)])
        .when(&CONTEXT, register("robot"))
        .then_rejected("account.exists");
    given::<Account>([])
        .when(&CONTEXT, register("a b"))
        .then_rejected("account.handle_invalid");
    given::<Account>([])
        .when(&CONTEXT, register("robot"))
        .then([bot(true)]);
}

#[test]
fn only_its_owner_changes_it_and_gives_it_keys() {
    let bob: AccountId = Uuid::from_u128(3).into();
    let change = |by, public| {
        AccountCommand::Bot(BotCommand::Change {
            by,
            display_name: None,
            public: Some(public),
        })
    };
    let made = given::<Account>([bot(false)]);
    made.when(&CONTEXT, change(bob, true))
        .then_rejected("bot.not_found");
    made.when(&CONTEXT, change(ada(), false)).then_nothing();
    let opened = BotChanged {
        account: robot(),
        display_name: None,
        public: Some(true),
    };
    made.when(&CONTEXT, change(ada(), true)).then([opened]);
    made.when(&CONTEXT, create(bob, 1, reading(), None))
        .then_rejected("bot.not_found");
    given::<Account>([person()])
        .when(&CONTEXT, create(ada(), 1, reading(), None))
        .then_rejected("bot.not_found");
}

#[test]
fn a_key_has_scopes_a_future_and_a_limit() {
    let made = given::<Account>([bot(false)]);
    made.when(&CONTEXT, create(ada(), 1, Scopes::NONE, None))
        .then_rejected("bot.no_scopes");
    made.when(&CONTEXT, create(ada(), 1, reading(), Some(at(5))))
        .then_rejected("bot.key_expiry");
    made.when(&CONTEXT, create(ada(), 1, reading(), None))
        .then([created(1)]);
    let full = std::iter::once(bot(false)).chain((0..MAX_KEYS as u128).map(created));
    given::<Account>(full)
        .when(&CONTEXT, create(ada(), 50, reading(), None))
        .then_rejected("bot.too_many_keys");
}

#[test]
fn a_key_is_taken_away_once() {
    let revoke = |n| {
        AccountCommand::Bot(BotCommand::RevokeKey {
            by: ada(),
            key: key(n),
        })
    };
    let revoked = AccountEvent::from(BotKeyRevoked { key: key(1) });
    let with = given::<Account>([bot(false), created(1)]);
    with.when(&CONTEXT, revoke(2)).then_rejected("bot.key_not_found");
    with.when(&CONTEXT, revoke(1)).then([revoked.clone()]);
    given::<Account>([bot(false), created(1), revoked])
        .when(&CONTEXT, revoke(1))
        .then_rejected("bot.key_not_found");
}

#[test]
fn who_retires_loses_all_keys_and_gets_none() {
    let retire = AccountCommand::Bot(BotCommand::Retire { by: ada() });
    let revoked = AccountEvent::from(BotKeyRevoked { key: key(1) });
    let retired = AccountEvent::from(BotRetired { account: robot() });
    given::<Account>([bot(true), created(1)])
        .when(&CONTEXT, retire.clone())
        .then([revoked, retired.clone()]);
    let gone = given::<Account>([bot(true), retired]);
    gone.when(&CONTEXT, retire).then_rejected("bot.not_found");
    gone.when(&CONTEXT, create(ada(), 1, reading(), None))
        .then_rejected("bot.not_found");
}

#[test]
fn a_bot_neither_signs_in_by_password_nor_runs_the_installation() {
    let made = given::<Account>([bot(true)]);
    let session = AccountCommand::StartSession {
        session: key(1),
        device: None,
        expires_at: at(9),
    };
    let password = AccountCommand::ChangePassword {
        password: "hash".into(),
        keep: None,
    };
    let role = AccountCommand::GrantRole {
        role: veza_events::account::InstallationRole::Administrator,
    };
    for command in [session, password, role] {
        made.when(&CONTEXT, command).then_rejected("account.is_bot");
    }
}

#[test]
fn a_key_is_good_until_its_end() {
    let until = |expires_at| BotKey {
        digest: String::new(),
        scopes: Scopes::NONE,
        expires_at,
    };
    assert!(until(None).is_good(at(5)) && until(Some(at(6))).is_good(at(5)));
    assert!(!until(Some(at(5))).is_good(at(5)));
}

#[test]
fn a_webhook_has_an_account_that_nobody_signs_in_as() {
    let space: SpaceId = Uuid::from_u128(70).into();
    let register = |name: &str| {
        AccountCommand::Bot(BotCommand::RegisterWebhook {
            account: robot(),
            owner: ada(),
            space,
            handle: "hook-1".into(),
            display_name: name.into(),
        })
    };
    given::<Account>([])
        .when(&CONTEXT, register(" "))
        .then_rejected("account.display_name_invalid");
    let registered = AccountEvent::from(BotRegistered {
        account: robot(),
        owner: ada(),
        handle: "hook-1".into(),
        display_name: "Builds".into(),
        public: false,
        webhook_of: Some(space),
    });
    given::<Account>([])
        .when(&CONTEXT, register("Builds"))
        .then([registered.clone()]);
    let made = given::<Account>([registered]);
    made.when(&CONTEXT, register("Builds")).then_nothing();
    made.when(&CONTEXT, create(ada(), 1, reading(), None))
        .then_rejected("bot.not_found");
}

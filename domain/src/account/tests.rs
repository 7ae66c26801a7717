use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{Reject, fold, scenario::given};

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

fn session(n: u128) -> SessionId {
    Uuid::from_u128(100 + n).into()
}

fn at(minute: u8) -> Timestamp {
    format!("2026-01-01T00:{minute:02}:00Z").parse().unwrap()
}

fn registered() -> AccountEvent {
    let event = Registered {
        account: ada(),
        handle: "Ada".into(),
        email: "ada@example.org".into(),
        display_name: "Ada".into(),
        password: Some("hash".into()),
    };
    event.into()
}

fn started(n: u128, minute: u8) -> AccountEvent {
    SessionStarted {
        session: session(n),
        device: None,
        expires_at: at(minute),
    }
    .into()
}

fn register(handle: &str, email: &str, display_name: Option<&str>) -> AccountCommand {
    AccountCommand::Register {
        account: ada(),
        handle: handle.into(),
        email: email.into(),
        display_name: display_name.map(Into::into),
        password: Some("hash".into()),
    }
}

fn start(n: u128, minute: u8) -> AccountCommand {
    AccountCommand::StartSession {
        session: session(n),
        device: None,
        expires_at: at(minute),
    }
}

#[test]
fn an_account_is_called_by_its_handle_unless_it_says_otherwise() {
    let nobody = given::<Account>([]);
    nobody
        .when(&CONTEXT, register(" Ada ", "ada@example.org", None))
        .then([registered()]);
    nobody
        .when(&CONTEXT, register("Ada", "ada@example.org", Some("Ada")))
        .then([registered()]);
}

#[test]
fn what_cannot_be_a_name_is_refused_by_field() {
    let nobody = given::<Account>([]);
    let fields = [
        (register("a", "a@x.y", None), "account.handle_invalid", "handle"),
        (register("ada", "a", None), "account.email_invalid", "email"),
        (
            register("ada", "a@x.y", Some("\0")),
            "account.display_name_invalid",
            "display_name",
        ),
    ];
    for (command, code, field) in fields {
        let rejection = nobody.when(&CONTEXT, command).0.unwrap_err();
        assert_eq!((rejection.code(), rejection.field()), (code, Some(field)));
    }
}

#[test]
fn an_account_is_registered_once_and_nothing_happens_before() {
    given::<Account>([registered()])
        .when(&CONTEXT, register("bob", "b@x.y", None))
        .then_rejected("account.exists");
    let nobody = given::<Account>([]);
    nobody
        .when(&CONTEXT, start(1, 1))
        .then_rejected("account.not_found");
    let grant = AccountCommand::GrantRole {
        role: InstallationRole::Administrator,
    };
    nobody.when(&CONTEXT, grant).then_rejected("account.not_found");
}

#[test]
fn another_password_ends_all_other_sessions() {
    let change = AccountCommand::ChangePassword {
        password: "new".into(),
        keep: Some(session(2)),
    };
    given::<Account>([registered(), started(1, 1), started(2, 2)])
        .when(&CONTEXT, change)
        .then([
            AccountEvent::from(PasswordChanged {
                password: "new".into(),
            }),
            end(session(1), SessionEnd::PasswordChanged),
        ]);
}

#[test]
fn a_role_is_granted_once() {
    let role = InstallationRole::Administrator;
    let account = given::<Account>([registered()]);
    account
        .when(&CONTEXT, AccountCommand::GrantRole { role })
        .then([RoleGranted { role }]);
    given::<Account>([registered(), RoleGranted { role }.into()])
        .when(&CONTEXT, AccountCommand::GrantRole { role })
        .then_nothing();
}

#[test]
fn the_session_that_ends_first_gives_way_to_one_too_many() {
    let full = given::<Account>([registered(), started(1, 30), started(2, 10), started(3, 20)]);
    full.when(&CONTEXT, start(4, 40))
        .then([end(session(2), SessionEnd::Displaced), started(4, 40)]);
}

#[test]
fn only_an_open_session_can_be_ended() {
    let end_it = |n| AccountCommand::EndSession {
        session: session(n),
        reason: SessionEnd::SignedOut,
    };
    let account = given::<Account>([registered(), started(1, 1)]);
    account
        .when(&CONTEXT, end_it(1))
        .then([end(session(1), SessionEnd::SignedOut)]);
    account
        .when(&CONTEXT, end_it(2))
        .then_rejected("session.not_found");
}

#[test]
fn a_profile_shows_another_name() {
    let change = |name: Option<&str>| AccountCommand::ChangeProfile {
        display_name: name.map(Into::into),
    };
    let account = given::<Account>([registered()]);
    account
        .when(&CONTEXT, change(Some(" A. L. ")))
        .then([ProfileChanged {
            display_name: Some("A. L.".into()),
        }]);
    account.when(&CONTEXT, change(None)).then_nothing();
    account
        .when(&CONTEXT, change(Some("")))
        .then_rejected("account.display_name_invalid");
}

fn any_command() -> impl Strategy<Value = AccountCommand> {
    let n = 0_u128..6;
    prop_oneof![
        4 => (n.clone(), 0_u8..60).prop_map(|(n, minute)| start(n, minute)),
        1 => n.clone().prop_map(|n| AccountCommand::EndSession { session: session(n), reason: SessionEnd::Revoked }),
        1 => n.prop_map(|n| AccountCommand::ChangePassword { password: "new".into(), keep: Some(session(n)) }),
        1 => Just(AccountCommand::GrantRole { role: InstallationRole::Administrator }),
    ]
}

proptest! {
    #[test]
    fn an_account_never_has_more_sessions_than_allowed(commands in prop::collection::vec(any_command(), 0..60)) {
        let mut state = fold::<Account>(&[registered()]);
        for command in commands {
            for event in Account::decide(&state, &CONTEXT, command).unwrap_or_default() {
                Account::evolve(&mut state, &event);
            }
            prop_assert!(state.sessions.len() <= CONTEXT.max_sessions);
        }
    }
}

#[test]
fn one_blocks_others_once_and_hears_them_again() {
    let eve = AccountId::from(Uuid::from_u128(2));
    let block = |account, exists| AccountCommand::Block { account, exists };
    let unblock = || AccountCommand::Unblock { account: eve };
    let me = given::<Account>([registered()]);
    me.when(&CONTEXT, block(eve, true))
        .then([Blocked { account: eve }]);
    me.when(&CONTEXT, block(eve, false))
        .then_rejected("account.not_found");
    me.when(&CONTEXT, block(ada(), true))
        .then_rejected("account.blocks_itself");
    me.when(&CONTEXT, unblock()).then_nothing();
    let blocked = given::<Account>([registered(), Blocked { account: eve }.into()]);
    blocked.when(&CONTEXT, block(eve, true)).then_nothing();
    blocked
        .when(&CONTEXT, unblock())
        .then([Unblocked { account: eve }]);
    let many = (0..MAX_BLOCKED as u128).map(|n| {
        let account = Uuid::from_u128(1_000 + n).into();
        Blocked { account }.into()
    });
    given::<Account>([registered()].into_iter().chain(many))
        .when(&CONTEXT, block(eve, true))
        .then_rejected("account.too_many_blocked");
    given::<Account>([])
        .when(&CONTEXT, block(eve, true))
        .then_rejected("account.not_found");
}

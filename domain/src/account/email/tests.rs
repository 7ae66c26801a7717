use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;
use veza_events::AccountId;
use veza_events::account::{PasswordChanged, Registered};

use super::*;
use crate::account::{Account, AccountCommand};
use crate::{Decider, Reject, fold, scenario::given};

const CONTEXT: AccountContext = AccountContext {
    max_sessions: 3,
    max_bots: 2,
    links: LinkRules {
        confirm: Duration::from_hours(1),
        reset: Duration::from_mins(30),
        pause: Duration::from_mins(2),
    },
};

fn ada() -> AccountId {
    Uuid::from_u128(1).into()
}

fn at(minute: u8) -> Timestamp {
    format!("2026-01-01T{:02}:{:02}:00Z", minute / 60, minute % 60)
        .parse()
        .unwrap()
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

fn confirmed(number: u32) -> AccountEvent {
    EmailConfirmed { number }.into()
}

fn wanted(number: u32, until: u8) -> AccountEvent {
    let event = EmailChangeAsked {
        number,
        email: "ada@example.com".into(),
        expires_at: at(until),
    };
    event.into()
}

fn changed(number: u32) -> AccountEvent {
    let email = "ada@example.com".into();
    EmailChanged { number, email }.into()
}

fn link(minute: u8) -> AccountCommand {
    AccountCommand::Email(EmailCommand::AskLink { now: at(minute) })
}

fn change(email: &str, minute: u8) -> AccountCommand {
    let email = email.to_owned();
    AccountCommand::Email(EmailCommand::AskChange {
        email,
        now: at(minute),
    })
}

fn confirm(number: u32, email: Option<&str>) -> AccountCommand {
    let email = email.map(str::to_owned);
    AccountCommand::Email(EmailCommand::Confirm { number, email })
}

fn ask_reset(minute: u8) -> AccountCommand {
    AccountCommand::Email(EmailCommand::AskReset { now: at(minute) })
}

fn reset(number: u32) -> AccountCommand {
    let password = "new".into();
    AccountCommand::Email(EmailCommand::Reset { number, password })
}

#[test]
fn an_address_is_confirmed_once_and_a_second_click_changes_nothing() {
    let new = given::<Account>([registered()]);
    new.when(&CONTEXT, confirm(0, None)).then([confirmed(0)]);
    new.when(&CONTEXT, confirm(1, None))
        .then_rejected("account.link_over");
    given::<Account>([registered(), confirmed(0)])
        .when(&CONTEXT, confirm(0, None))
        .then_nothing();
    given::<Account>([])
        .when(&CONTEXT, confirm(0, None))
        .then_rejected("account.not_found");
}

#[test]
fn links_come_with_a_pause_between_them() {
    let asked = |minute: u8| EmailLinkAsked {
        number: 0,
        expires_at: at(minute + 60),
    };
    let new = given::<Account>([registered()]);
    new.when(&CONTEXT, link(0)).then([asked(0)]);
    let once = given::<Account>([registered(), asked(0).into()]);
    once.when(&CONTEXT, link(1))
        .then_rejected("account.link_too_soon");
    once.when(&CONTEXT, link(2)).then([asked(2)]);
    once.when(&CONTEXT, change("ada@example.com", 1))
        .then_rejected("account.link_too_soon");
    let state = fold::<Account>(&[registered(), asked(0).into()]);
    let refused = Account::decide(&state, &CONTEXT, link(1)).unwrap_err();
    assert_eq!(refused.retry_after_ms(), Some(60_000));
}

#[test]
fn who_has_confirmed_gets_no_link_unless_they_want_to_move() {
    let known = given::<Account>([registered(), confirmed(0)]);
    known
        .when(&CONTEXT, link(0))
        .then_rejected("account.email_confirmed");
    let asked = EmailLinkAsked {
        number: 1,
        expires_at: at(65),
    };
    given::<Account>([registered(), confirmed(0), wanted(1, 60)])
        .when(&CONTEXT, link(5))
        .then([asked]);
}

#[test]
fn another_address_counts_once_it_is_confirmed_and_ends_the_links_before() {
    let known = given::<Account>([registered()]);
    known
        .when(&CONTEXT, change(" ada@example.com ", 0))
        .then([wanted(1, 60)]);
    known
        .when(&CONTEXT, change("nowhere", 0))
        .then_rejected("account.email_invalid");
    let moving = given::<Account>([registered(), wanted(1, 60)]);
    moving
        .when(&CONTEXT, confirm(1, Some("ada@example.com")))
        .then([changed(1)]);
    // Until then the old one can still be confirmed.
    moving.when(&CONTEXT, confirm(0, None)).then([confirmed(0)]);
    let twice = given::<Account>([registered(), wanted(1, 60), wanted(2, 70)]);
    twice
        .when(&CONTEXT, confirm(1, None))
        .then_rejected("account.link_over");
    let moved = given::<Account>([registered(), wanted(1, 60), changed(1)]);
    moved
        .when(&CONTEXT, confirm(0, None))
        .then_rejected("account.link_over");
    moved.when(&CONTEXT, confirm(1, None)).then_nothing();
}

#[test]
fn a_new_password_by_mail_is_for_confirmed_addresses_and_each_link_sets_one() {
    let asked = PasswordResetAsked {
        number: 0,
        expires_at: at(30),
    };
    given::<Account>([registered()])
        .when(&CONTEXT, ask_reset(0))
        .then_rejected("account.email_not_confirmed");
    let known = given::<Account>([registered(), confirmed(0)]);
    known.when(&CONTEXT, ask_reset(0)).then([asked.clone()]);
    let new = PasswordChanged {
        password: "new".into(),
    };
    let waiting = given::<Account>([registered(), confirmed(0), asked.clone().into()]);
    waiting
        .when(&CONTEXT, ask_reset(1))
        .then_rejected("account.link_too_soon");
    waiting.when(&CONTEXT, reset(0)).then([new.clone()]);
    given::<Account>([registered(), confirmed(0), asked.into(), new.into()])
        .when(&CONTEXT, reset(0))
        .then_rejected("account.link_over");
}

proptest! {
    /// Whatever is asked and clicked in whatever order: an address that was never clicked is never a confirmed one, and
    /// what counts is always the last that was.
    #[test]
    fn only_what_was_clicked_is_confirmed(steps in prop::collection::vec((any::<bool>(), 0_u32..6), 0..40)) {
        let mut state = fold::<Account>([&registered()]);
        let (mut minute, mut present) = (0_i64, None);
        for (asks, number) in steps {
            minute += 3;
            let now = (at(0).time() + Duration::from_secs(60 * minute.unsigned_abs())).into();
            let command = if asks {
                EmailCommand::AskChange { email: "ada@example.com".into(), now }
            } else {
                let wanted = state.email.wanted.is_some_and(|(wanted, _)| wanted == number);
                EmailCommand::Confirm { number, email: wanted.then(|| "ada@example.com".into()) }
            };
            let before = state.email;
            if let Ok(events) = Account::decide(&state, &CONTEXT, AccountCommand::Email(command)) {
                if !asks {
                    present = Some(number);
                }
                for event in &events {
                    Account::evolve(&mut state, event);
                }
            }
            prop_assert_eq!(state.email.confirmed, present.is_some());
            if let Some(present) = present {
                prop_assert_eq!(state.email.number, present);
            }
            prop_assert!(state.email.number >= before.number, "an address that was left does not come back");
        }
    }
}

#[test]
fn addresses_are_known_by_number_and_one_that_cannot_be_opened_is_none() {
    let known = |events: &[AccountEvent]| {
        let events: Vec<Event> = events.iter().cloned().map(Event::Account).collect();
        Addresses::of(&events)
    };
    let first = known(&[registered()]);
    assert_eq!(first.present().map(String::as_str), Some("ada@example.org"));
    assert!(!first.email().confirmed);
    let asked = known(&[registered(), confirmed(0), wanted(1, 60)]);
    assert_eq!(asked.present().map(String::as_str), Some("ada@example.org"));
    assert_eq!(asked.get(1).map(String::as_str), Some("ada@example.com"));
    assert!(asked.email().confirmed);
    let moved = known(&[registered(), wanted(1, 60), changed(1)]);
    assert_eq!(moved.present().map(String::as_str), Some("ada@example.com"));
    let mut shut = registered();
    if let AccountEvent::Registered(event) = &mut shut {
        event.email = Sealed::Closed("AAAA".into());
    }
    assert_eq!(known(&[shut]).present(), None);
}

use uuid::Uuid;
use veza_events::Permissions;

use super::super::{Preset, Space, SpaceCommand, tests::*};
use super::*;
use crate::{fold, scenario::given};

const BOT: AccountId = AccountId::new(Uuid::from_u128(600));

fn define(bot: bool, name: &str, options: Vec<SlashOption>) -> SpaceCommand {
    SpaceCommand::Slash(SlashCommand::Define {
        bot,
        name: name.into(),
        description: "Says the weather".into(),
        options,
    })
}

fn remove(name: &str) -> SpaceCommand {
    SpaceCommand::Slash(SlashCommand::Remove { name: name.into() })
}

fn defined(bot: AccountId, name: &str) -> SpaceEvent {
    SlashCommandDefined {
        bot,
        name: name.into(),
        description: "Says the weather".into(),
        options: vec![],
    }
    .into()
}

fn context(actor: AccountId, membership: &Membership) -> SpaceContext<'_> {
    SpaceContext {
        now: at(0),
        actor,
        membership,
        target: membership,
    }
}

fn with(events: impl IntoIterator<Item = SpaceEvent>) -> Vec<SpaceEvent> {
    history(Preset::Team).into_iter().chain(events).collect()
}

#[test]
fn a_bot_offers_what_it_can_under_a_name_that_is_free() {
    let (inside, outside) = (joined(&[]), Membership::default());
    let empty = given::<Space>(with([]));
    empty
        .when(&context(BOT, &outside), define(true, "weather", vec![]))
        .then_rejected("space.not_found");
    empty
        .when(&context(MEMBER, &inside), define(false, "weather", vec![]))
        .then_rejected("slash.for_bots");
    for wrong in ["", "Weather", "a b", "/weather", &"x".repeat(33)] {
        empty
            .when(&context(BOT, &inside), define(true, wrong, vec![]))
            .then_rejected("slash.name_invalid");
    }
    let option = |name: &str| SlashOption {
        name: name.into(),
        description: "Where".into(),
        required: true,
    };
    empty
        .when(
            &context(BOT, &inside),
            define(true, "weather", vec![option("The City")]),
        )
        .then_rejected("slash.options_invalid");
    empty
        .when(
            &context(BOT, &inside),
            define(true, "weather", vec![option("c"); MAX_OPTIONS + 1]),
        )
        .then_rejected("slash.options_invalid");
    empty
        .when(&context(BOT, &inside), define(true, "weather", vec![]))
        .then([defined(BOT, "weather")]);
    let taken = given::<Space>(with([defined(MEMBER, "weather")]));
    taken
        .when(&context(BOT, &inside), define(true, "weather", vec![]))
        .then_rejected("slash.name_taken");
    given::<Space>(with([defined(BOT, "weather")]))
        .when(&context(BOT, &inside), define(true, "weather", vec![]))
        .then_nothing();
    let full = (0..MAX_SLASH_COMMANDS).map(|n| defined(BOT, &format!("c{n}")));
    given::<Space>(with(full))
        .when(&context(BOT, &inside), define(true, "weather", vec![]))
        .then_rejected("slash.too_many");
}

#[test]
fn its_bot_and_who_makes_integrations_take_it_away() {
    let inside = joined(&[]);
    let space = given::<Space>(with([defined(BOT, "weather")]));
    let removed = SlashCommandRemoved {
        name: "weather".into(),
    };
    space
        .when(&context(MEMBER, &inside), remove("weather"))
        .then_rejected("space.not_allowed");
    space
        .when(&context(OWNER, &inside), remove("news"))
        .then_rejected("slash.not_found");
    for who in [BOT, OWNER] {
        space
            .when(&context(who, &inside), remove("weather"))
            .then([removed.clone()]);
    }
}

#[test]
fn it_is_called_by_who_may_post_where_the_bot_sees_it() {
    let (inside, outside) = (joined(&[]), Membership::default());
    let space = fold::<Space>(&with([defined(BOT, "weather")]));
    let call = |name, text: &str, me: &Membership, bots: &Membership| {
        space.calls((ROOM, name, text), (MEMBER, me), bots)
    };
    assert_eq!(call("weather", "Paris", &inside, &inside), Ok(BOT));
    assert_eq!(
        call("weather", "", &outside, &inside),
        Err(SpaceRejection::NotFound)
    );
    assert_eq!(
        call("weather", "", &inside, &outside),
        Err(SpaceRejection::SlashNotFound)
    );
    assert_eq!(
        call("news", "", &inside, &inside),
        Err(SpaceRejection::SlashNotFound)
    );
    let long = "x".repeat(MAX_TEXT_CHARS + 1);
    assert_eq!(
        call("weather", &long, &inside, &inside),
        Err(SpaceRejection::SlashTooLong)
    );
    let muted = Membership {
        muted: true,
        ..joined(&[])
    };
    let refused = call("weather", "", &muted, &inside);
    assert_eq!(refused, Err(SpaceRejection::NotAllowed(Permission::Post)));
    assert_eq!(space.permissions(&outside, BOT), Permissions::NONE);
}

use uuid::Uuid;
use veza_events::{member::Membership, space::RoomArchived};

use super::super::{Preset, Space, SpaceCommand, tests::*};
use super::*;
use crate::{fold, scenario::given};

fn hook(n: u128) -> AccountId {
    Uuid::from_u128(500 + n).into()
}

fn made(n: u128) -> SpaceEvent {
    WebhookCreated {
        webhook: hook(n),
        room: ROOM,
        digest: "d".into(),
        by: OWNER,
    }
    .into()
}

fn create(n: u128) -> SpaceCommand {
    SpaceCommand::Webhook(WebhookCommand::Create {
        webhook: hook(n),
        room: ROOM,
        digest: "d".into(),
    })
}

fn context(actor: AccountId, membership: &Membership) -> SpaceContext<'_> {
    SpaceContext {
        now: at(0),
        actor,
        membership,
        target: membership,
    }
}

#[test]
fn who_makes_integrations_in_a_room_makes_and_removes_its_webhooks() {
    let (owner, member, stranger) = (joined(&[]), joined(&[]), Membership::default());
    let space = given::<Space>(history(Preset::Team));
    space
        .when(&context(hook(9), &stranger), create(1))
        .then_rejected("space.not_found");
    space
        .when(&context(MEMBER, &member), create(1))
        .then_rejected("space.not_allowed");
    space.when(&context(OWNER, &owner), create(1)).then([made(1)]);
    let remove = SpaceCommand::Webhook(WebhookCommand::Remove {
        webhook: hook(1),
        room: ROOM,
    });
    space
        .when(&context(OWNER, &owner), remove.clone())
        .then_rejected("webhook.not_found");
    let with = given::<Space>(history(Preset::Team).into_iter().chain([made(1)]));
    with.when(&context(OWNER, &owner), create(1)).then_nothing();
    with.when(&context(MEMBER, &member), remove.clone())
        .then_rejected("space.not_allowed");
    with.when(&context(OWNER, &owner), remove)
        .then([WebhookRemoved { webhook: hook(1) }]);
    let change = |digest: &str| {
        SpaceCommand::Webhook(WebhookCommand::ChangeSecret {
            webhook: hook(1),
            room: ROOM,
            digest: digest.into(),
        })
    };
    with.when(&context(OWNER, &owner), change("d")).then_nothing();
    with.when(&context(OWNER, &owner), change("e"))
        .then([WebhookSecretChanged {
            webhook: hook(1),
            digest: "e".into(),
        }]);
}

#[test]
fn there_is_none_for_a_room_that_takes_nothing_and_not_too_many() {
    let owner = joined(&[]);
    let archived = SpaceEvent::from(RoomArchived { room: ROOM });
    given::<Space>(history(Preset::Team).into_iter().chain([archived]))
        .when(&context(OWNER, &owner), create(1))
        .then_rejected("room.archived");
    let full = (1..=MAX_WEBHOOKS as u128).map(made);
    given::<Space>(history(Preset::Team).into_iter().chain(full))
        .when(&context(OWNER, &owner), create(900))
        .then_rejected("webhook.too_many");
}

#[test]
fn a_webhook_posts_in_its_room_alone_and_not_when_it_is_banned_or_gone() {
    let out = Membership::default();
    let all: Vec<_> = history(Preset::Private).into_iter().chain([made(1)]).collect();
    let space = fold::<Space>(&all);
    assert_eq!(space.room_permissions(ROOM, &out, hook(1)), ALLOWED);
    let other = Uuid::from_u128(12_345).into();
    assert_eq!(space.webhook_permissions(hook(1), other), Some(Permissions::NONE));
    assert_eq!(space.permissions(&out, hook(1)), Permissions::NONE);
    let banned = Membership {
        standing: veza_events::member::Standing::Banned,
        ..Membership::default()
    };
    assert_eq!(space.room_permissions(ROOM, &banned, hook(1)), Permissions::NONE);
    assert_eq!(space.opens_webhook(hook(1), ROOM, "d"), Ok(()));
    for (who, where_, what) in [(1, ROOM, "e"), (2, ROOM, "d"), (1, other, "d")] {
        let refused = Err(SpaceRejection::WebhookNotFound);
        assert_eq!(
            space.opens_webhook(hook(who), where_, what),
            refused,
            "{who} {what}"
        );
    }
    let gone = SpaceEvent::from(WebhookRemoved { webhook: hook(1) });
    let all: Vec<_> = all.into_iter().chain([gone]).collect();
    assert_eq!(
        fold::<Space>(&all).room_permissions(ROOM, &out, hook(1)),
        Permissions::NONE
    );
}

//! What people may do, and what they are told when they may not.

use veza_events::{Permission, RoleId, space::RoomKind};
use veza_platform::{
    ambient,
    contract::{
        Caller,
        chat::{
            ChangeMember, ChangeRoom, CreateRoom, CreateSpace, DefineRole, Preset, RemoveMember, RemoveRole,
            RevokeInvite,
        },
    },
};

use super::site::{Home, Person, Site, code, post};

fn change(home: Home, of: Person) -> ChangeMember {
    ChangeMember {
        time_out_s: None,
        reason: None,
        space: home.space,
        account: of.0,
        roles: None,
        muted: None,
        banned: None,
    }
}

#[tokio::test]
async fn two_people_talk_and_only_they_can_read_it() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;

    let first = ada.say(&site, home, "hello Ben").await.unwrap();
    let second = ben.say(&site, home, "hello Ada").await.unwrap();
    assert!(!first.duplicate && first.position < second.position);

    let records = site.records().await;
    assert!(
        records
            .iter()
            .all(|record| !String::from_utf8_lossy(&record.payload).contains("hello"))
    );
    let told: Vec<_> = site.messages().await;
    let told: Vec<_> = told
        .iter()
        .map(|m| (m.message, m.author, m.body.clear().unwrap().as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (first.message, ada.0, "hello Ben"),
            (second.message, ben.0, "hello Ada")
        ]
    );
}

#[tokio::test]
async fn what_one_may_not_see_does_not_exist() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, eve) = (site.person().await, site.person().await);
    let home = site.home(Preset::Private, ada, &[]).await;
    assert_eq!(code(eve.say(&site, home, "hi").await), "space.not_found");
    let nowhere = Home {
        space: ambient::new_uuid().into(),
        ..home
    };
    assert_eq!(code(eve.say(&site, nowhere, "hi").await), "space.not_found");
    assert_eq!(
        code(
            ada.say(
                &site,
                Home {
                    room: ambient::new_uuid().into(),
                    ..home
                },
                "hi"
            )
            .await
        ),
        "room.not_found"
    );

    let invite = ada.invite(&site, home, None).await.unwrap();
    eve.accept(&site, &invite.code).await.unwrap();
    assert_eq!(code(eve.say(&site, home, "hi").await), "room.not_found");
    let access = eve.access(&site, home.space).await;
    assert!(access.joined && access.rooms.is_empty());
    assert_eq!(ada.access(&site, home.space).await.rooms.len(), 1);
}

#[tokio::test]
async fn nobody_without_an_account_gives_commands() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let ada = site.person().await;
    let home = site.home(Preset::Open, ada, &[]).await;
    let anonymous = Caller {
        account: None,
        ..ada.caller()
    };
    assert_eq!(
        code(site.bus.chat(&anonymous, &post(home, "hi")).await),
        "session.required"
    );
    let foreign = CreateSpace {
        space: home.space,
        name: "mine".into(),
        preset: Preset::Open,
    };
    assert_eq!(code(ada.ask(&site, &foreign).await), "space.id_invalid");
}

#[tokio::test]
async fn silence_holds_at_once() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Open, ada, &[ben]).await;
    let mute = |muted| ChangeMember {
        time_out_s: None,
        reason: None,
        muted: Some(muted),
        ..change(home, ben)
    };
    let first = ada.ask(&site, &mute(true)).await.unwrap();
    assert_eq!(code(ben.say(&site, home, "hi").await), "room.muted");
    let again = ada.ask(&site, &mute(true)).await.unwrap();
    assert_eq!(
        again.position, first.position,
        "nothing changed, and the answer says where that stands"
    );
    ada.ask(&site, &mute(false)).await.unwrap();
    ben.say(&site, home, "hi").await.unwrap();
    assert_eq!(code(ada.ask(&site, &change(home, ben)).await), "member.no_change");
}

#[tokio::test]
async fn removal_and_bans_hold_at_once() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Open, ada, &[ben]).await;
    let invite = ada.invite(&site, home, None).await.unwrap();
    let remove = |of: Person| RemoveMember {
        reason: None,
        space: home.space,
        account: of.0,
    };

    ada.ask(&site, &remove(ben)).await.unwrap();
    assert_eq!(code(ben.say(&site, home, "hi").await), "space.not_found");
    ben.accept(&site, &invite.code).await.unwrap();
    ben.say(&site, home, "back").await.unwrap();

    ada.ask(
        &site,
        &ChangeMember {
            time_out_s: None,
            reason: None,
            banned: Some(true),
            ..change(home, ben)
        },
    )
    .await
    .unwrap();
    assert_eq!(code(ben.say(&site, home, "hi").await), "space.not_found");
    assert_eq!(code(ben.accept(&site, &invite.code).await), "member.banned");
    assert!(!ben.access(&site, home.space).await.joined);
    assert_eq!(code(ada.ask(&site, &remove(ada)).await), "member.owner_stays");
}

#[tokio::test]
async fn leaders_are_made_and_act_within_their_rank() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, ben, cem) = (site.person().await, site.person().await, site.person().await);
    let home = site.home(Preset::Announcement, ada, &[ben, cem]).await;
    assert_eq!(code(ben.say(&site, home, "hi").await), "room.not_allowed");

    let role: RoleId = ambient::new_uuid().into();
    let permissions = [Permission::Post, Permission::Mute].into_iter().collect();
    let define = DefineRole {
        space: home.space,
        role,
        name: "leaders".into(),
        permissions,
        rank: 5,
    };
    ada.ask(&site, &define).await.unwrap();
    let promote = ChangeMember {
        time_out_s: None,
        reason: None,
        roles: Some([role].into()),
        ..change(home, ben)
    };
    assert_eq!(code(ben.ask(&site, &promote).await), "space.not_allowed");
    ada.ask(&site, &promote).await.unwrap();
    ben.say(&site, home, "news").await.unwrap();
    ben.ask(
        &site,
        &ChangeMember {
            time_out_s: None,
            reason: None,
            muted: Some(true),
            ..change(home, cem)
        },
    )
    .await
    .unwrap();
    let refused = ben
        .ask(
            &site,
            &ChangeMember {
                time_out_s: None,
                reason: None,
                banned: Some(true),
                ..change(home, cem)
            },
        )
        .await;
    assert_eq!(code(refused), "space.not_allowed");

    ada.ask(
        &site,
        &RemoveRole {
            space: home.space,
            role,
        },
    )
    .await
    .unwrap();
    assert_eq!(code(ben.say(&site, home, "news").await), "room.not_allowed");
}

#[tokio::test]
async fn rooms_come_and_close_and_invitations_end() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Open, ada, &[]).await;
    let create = CreateRoom {
        category: None,
        private: false,
        space: home.space,
        name: "talk".into(),
        kind: RoomKind::Voice,
    };
    let room = ada.ask(&site, &create).await.unwrap().room;
    let talk = Home { room, ..home };
    ada.say(&site, talk, "first").await.unwrap();
    let archive = ChangeRoom {
        slow_mode_s: None,
        history: None,
        space: home.space,
        room,
        name: None,
        topic: None,
        archive: true,
    };
    ada.ask(&site, &archive).await.unwrap();
    assert_eq!(code(ada.say(&site, talk, "more").await), "room.archived");
    let named = CreateRoom {
        category: None,
        private: false,
        space: home.space,
        name: "\n".into(),
        kind: RoomKind::Text,
    };
    let refused = ada.ask(&site, &named).await.unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.errors[0].field.as_str()),
        ("room.name_invalid", "name")
    );

    let invite = ada.invite(&site, home, None).await.unwrap();
    ada.ask(
        &site,
        &RevokeInvite {
            space: home.space,
            invite: invite.invite,
        },
    )
    .await
    .unwrap();
    assert_eq!(code(ben.accept(&site, &invite.code).await), "invite.not_found");
    assert_eq!(
        code(
            ada.accept(&site, &ada.invite(&site, home, None).await.unwrap().code)
                .await
        ),
        "member.already_in"
    );
}

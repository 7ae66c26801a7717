//! What another worker writes is followed, and what is in memory is bounded.

use std::time::Duration;

use veza_domain::fold;
use veza_domain::space::Space;
use veza_events::{
    Event, Permission, Permissions, RoleId, Subject,
    member::{MemberEvent, Membership, Muted},
    space::{RoleDefined, SpaceEvent},
};
use veza_platform::{
    contract::chat::{ChangeMember, Preset},
    event_log::Expect,
    ledger::Write,
};

use super::site::{Home, Person, Site, code, within};

/// Bound for changes of another worker to be in force, from the documents.
const BOUND: Duration = Duration::from_secs(1);

/// Writes an event as another worker would.
async fn write_elsewhere(site: &Site, by: Person, subject: Subject, event: Event) {
    let last = site
        .ledger
        .last_consistent(&subject)
        .await
        .unwrap()
        .map_or(0, |last| last.position.seq);
    let write = Write {
        subject: subject.clone(),
        expect: Expect::Last(last),
        event,
    };
    // Only the id and the digest of the command matter here.
    let (Subject::Space(_, space) | Subject::Member(_, space, _)) = subject else {
        panic!("no structure")
    };
    let command = ChangeMember {
        time_out_s: None,
        reason: None,
        space,
        account: by.0,
        roles: None,
        muted: None,
        banned: None,
    };
    let decide = |_| std::future::ready(Ok(vec![write.clone()]));
    site.ledger
        .execute(&by.caller(), &command, &subject, decide)
        .await
        .unwrap();
}

fn muted(home: Home, of: Person, by: Person) -> Event {
    let membership = Membership {
        standing: veza_events::member::Standing::Joined,
        muted: true,
        ..Membership::default()
    };
    let muted = Muted {
        space: home.space,
        account: of.0,
        by: by.0,
        membership,
        reason: None,
    };
    Event::Member(MemberEvent::from(muted))
}

fn everyone(home: Home, permissions: &[Permission]) -> Event {
    let permissions: Permissions = permissions.iter().copied().collect();
    let role = RoleId::everyone(home.space);
    Event::Space(
        RoleDefined {
            role,
            name: "everyone".into(),
            permissions,
            rank: 0,
        }
        .into(),
    )
}

#[tokio::test]
async fn changes_of_another_worker_are_in_force_within_a_second() {
    let site = Site::start().await;
    let worker = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;
    ben.say(&site, home, "hi").await.unwrap();
    let before = ben.access(&site, home.space).await;
    assert!(before.permissions.has(Permission::Post));

    let structure = Subject::Space(0, home.space);
    write_elsewhere(&site, ada, structure, everyone(home, &[Permission::View])).await;
    let after = within(BOUND, async || {
        let access = ben.access(&site, home.space).await;
        (!access.permissions.has(Permission::Post)).then_some(access)
    })
    .await;
    assert!(after.space_seq > before.space_seq && after.member_seq == before.member_seq);
    assert_eq!(code(ben.say(&site, home, "hi").await), "room.not_allowed");

    let structure = Subject::Space(0, home.space);
    write_elsewhere(
        &site,
        ada,
        structure,
        everyone(home, &[Permission::View, Permission::Post]),
    )
    .await;
    write_elsewhere(
        &site,
        ada,
        Subject::Member(0, home.space, ben.0),
        muted(home, ben, ada),
    )
    .await;
    // Exact, without any wait: the log refuses what was decided on the membership before.
    assert_eq!(code(ben.say(&site, home, "hi").await), "room.muted");
    assert!(worker.metric(r#"veza_chat_cache_entries{cache="spaces"}"#) >= 1.0);
}

#[tokio::test]
async fn the_hot_path_reads_nothing() {
    let site = Site::start().await;
    let worker = site.worker().await;
    let ada = site.person().await;
    let home = site.home(Preset::Team, ada, &[]).await;
    ada.say(&site, home, "warm").await.unwrap();
    let misses = |cache: &str| {
        worker.metric(&format!(
            r#"veza_chat_cache_lookups_total{{cache="{cache}",outcome="miss"}}"#
        ))
    };
    let before = misses("spaces") + misses("members");
    for n in 0..20 {
        ada.say(&site, home, &format!("message {n}")).await.unwrap();
    }
    assert!(misses("spaces") + misses("members") <= before);
    assert!(worker.metric(r#"veza_chat_commands_total{command="post",outcome="ok"}"#) >= 21.0);
}

#[tokio::test]
async fn a_worker_that_can_hold_next_to_nothing_decides_the_same() {
    let site = Site::start().await;
    let worker = site
        .worker_with(|config| {
            config.chat.cached_spaces = 1;
            config.chat.cached_members = 1;
        })
        .await;
    let (ada, ben) = (site.person().await, site.person().await);
    let homes = [
        site.home(Preset::Team, ada, &[ben]).await,
        site.home(Preset::Announcement, ada, &[ben]).await,
    ];
    for _ in 0..5 {
        ben.say(&site, homes[0], "hi").await.unwrap();
        assert_eq!(code(ben.say(&site, homes[1], "hi").await), "room.not_allowed");
    }
    assert!(worker.metric(r#"veza_chat_cache_entries{cache="members"}"#) <= 2.0);
    worker.stop().await;
}

#[tokio::test]
async fn the_log_folds_into_what_the_worker_says() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Open, ada, &[ben]).await;
    let history: Vec<SpaceEvent> = site
        .events()
        .await
        .into_iter()
        .filter_map(|one| match one.event {
            Event::Space(event) => Some(event),
            _ => None,
        })
        .collect();
    let state = fold::<Space>(&history);
    let membership = Membership {
        standing: veza_events::member::Standing::Joined,
        ..Membership::default()
    };
    let access = ben.access(&site, home.space).await;
    assert_eq!(access.permissions, state.permissions(&membership, ben.0));
    assert_eq!(
        access.rooms,
        [(home.room, state.room_permissions(home.room, &membership, ben.0))]
    );
}

#[tokio::test]
async fn there_is_nothing_to_do_only_if_the_log_says_so() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;
    let membership = Subject::Member(0, home.space, ben.0);
    for _ in 0..20 {
        write_elsewhere(&site, ada, membership.clone(), muted(home, ben, ada)).await;
        let unmute = ChangeMember {
            time_out_s: None,
            reason: None,
            space: home.space,
            account: ben.0,
            roles: None,
            muted: Some(false),
            banned: None,
        };
        ada.ask(&site, &unmute).await.unwrap();
        let last = site.ledger.last_consistent(&membership).await.unwrap().unwrap();
        assert!(matches!(last.event, Event::Member(event) if !event.membership().muted));
    }
}

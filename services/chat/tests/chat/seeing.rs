//! Somebody who changes only what they have seen.

use futures::future::join_all;
use veza_events::{Permissions, RoleId, space::RoomKind};
use veza_platform::ambient;
use veza_platform::contract::{
    Caller, Command, Problem, ProblemKind,
    chat::{ChangeMember, ChangeRoom, ChangeSpace, Changed, CreateRoom, DefineRole, InSpace, Preset},
};

use super::site::{Home, Person, Site, code};

const STALE: &str = "request.precondition_failed";

impl Person {
    fn having_seen(self, seq: u64) -> Caller {
        Caller {
            seen: Some(seq),
            ..self.caller()
        }
    }

    async fn ask_seen<C>(self, site: &Site, seq: u64, command: &C) -> Result<u64, Problem>
    where
        C: Command<Reply = Changed> + InSpace,
    {
        let done = site.bus.chat(&self.having_seen(seq), command).await?;
        Ok(done.position.seq)
    }
}

fn topic(home: Home, topic: &str) -> ChangeRoom {
    ChangeRoom {
        space: home.space,
        room: home.room,
        name: None,
        topic: Some(topic.into()),
        slow_mode_s: None,
        history: None,
        archive: false,
    }
}

fn name(home: Home, name: &str) -> ChangeSpace {
    ChangeSpace {
        space: home.space,
        history: None,
        previews: None,
        name: Some(name.into()),
    }
}

fn role(home: Home, role: RoleId, rank: u16) -> DefineRole {
    DefineRole {
        space: home.space,
        role,
        name: "helpers".into(),
        permissions: Permissions::NONE,
        rank,
    }
}

#[tokio::test]
async fn what_has_changed_since_it_was_seen_is_not_changed_again() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;
    let first = ada.ask(&site, &topic(home, "one")).await.unwrap().position.seq;
    let second = ada.ask_seen(&site, first, &topic(home, "two")).await.unwrap();
    let stale = ada
        .ask_seen(&site, first, &topic(home, "three"))
        .await
        .unwrap_err();
    assert_eq!((stale.kind, stale.code.as_str()), (ProblemKind::Stale, STALE));
    let same = ada.ask_seen(&site, first, &topic(home, "two")).await;
    assert_eq!(code(same), STALE, "also when nothing would have to change");

    // Who may not do it is told that, and not whether it has changed.
    assert_eq!(
        code(ben.ask_seen(&site, first, &topic(home, "x")).await),
        "space.not_allowed"
    );
    let later = ada.ask_seen(&site, second + 1_000, &topic(home, "x")).await;
    assert_eq!(code(later), STALE, "nobody has seen what is not there");
    ada.ask_seen(&site, second, &topic(home, "four")).await.unwrap();
}

#[tokio::test]
async fn other_parts_of_a_space_may_change_meanwhile() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;
    let helpers: RoleId = ambient::new_uuid().into();
    let seen = ada
        .ask(&site, &role(home, helpers, 1))
        .await
        .unwrap()
        .position
        .seq;
    let room = CreateRoom {
        space: home.space,
        name: "other".into(),
        kind: RoomKind::Text,
        category: None,
        private: false,
    };
    ada.ask(&site, &room).await.unwrap();
    let named = ada.ask_seen(&site, seen, &name(home, "house")).await.unwrap();
    let ranked = ada.ask_seen(&site, seen, &role(home, helpers, 2)).await.unwrap();
    assert_eq!(
        code(ada.ask_seen(&site, seen, &role(home, helpers, 3)).await),
        STALE
    );
    ada.ask_seen(&site, named, &name(home, "home")).await.unwrap();
    assert!(ranked > named);

    let mute = |muted| ChangeMember {
        space: home.space,
        account: ben.0,
        roles: None,
        muted: Some(muted),
        banned: None,
        time_out_s: None,
        reason: None,
    };
    let muted = ada.ask(&site, &mute(true)).await.unwrap().position.seq;
    let heard = ada.ask_seen(&site, muted, &mute(false)).await.unwrap();
    assert_eq!(code(ada.ask_seen(&site, muted, &mute(true)).await), STALE);
    ada.ask_seen(&site, heard, &mute(true)).await.unwrap();
}

#[tokio::test]
async fn of_those_who_saw_the_same_one_changes_it() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await, site.worker().await);
    let ada = site.person().await;
    let home = site.home(Preset::Team, ada, &[]).await;
    let mut seen = ada.ask(&site, &name(home, "start")).await.unwrap().position.seq;
    for round in 0..4 {
        let names: Vec<_> = (0..12)
            .map(|n| name(home, &format!("name {round} {n}")))
            .collect();
        let tries = names.iter().map(|name| ada.ask_seen(&site, seen, name));
        let (won, lost): (Vec<_>, Vec<_>) = join_all(tries).await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.into_iter().all(|lost| code(lost) == STALE));
        seen = won.into_iter().next().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_repeated_change_is_answered_as_the_first_time_though_it_has_changed_what_was_seen() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let ada = site.person().await;
    let home = site.home(Preset::Team, ada, &[]).await;
    let seen = ada.ask(&site, &name(home, "one")).await.unwrap().position.seq;
    let (caller, change) = (ada.having_seen(seen), name(home, "two"));
    let first = site.bus.chat(&caller, &change).await.unwrap();
    let second = site.bus.chat(&caller, &change).await.unwrap();
    assert_eq!(first.position, second.position);
}

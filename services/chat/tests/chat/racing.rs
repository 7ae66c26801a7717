//! Several workers at the same things at the same time.

use futures::future::join_all;
use veza_events::{Event, space::RoomKind, space::SpaceEvent};
use veza_platform::contract::chat::{ChangeMember, CreateRoom, Preset};

use super::site::{Home, Person, Site, assert_fenced, code};

/// Messages of each author while moderators are at work.
const MESSAGES: usize = 60;

/// Everybody posts while the owner mutes, unmutes, bans and lets back in.
pub(crate) async fn authors_against_a_moderator(site: &Site, authors: usize) {
    let _workers = (site.worker().await, site.worker().await);
    let ada = site.person().await;
    let mut others = Vec::new();
    for _ in 0..authors {
        others.push(site.person().await);
    }
    let home = site.home(Preset::Team, ada, &others).await;
    let code = ada.invite(site, home, None).await.unwrap().code;
    let posting = join_all(others.iter().map(|author| chatter(site, home, *author)));
    let moderating = async {
        for round in 0..MESSAGES / 6 {
            let of = others[round % others.len()];
            moderate(site, home, ada, of, &code).await;
        }
    };
    let (acked, ()) = futures::join!(posting, moderating);
    let acked: usize = acked.iter().sum();
    let events = site.events().await;
    assert_fenced(&events);
    let stored = site.messages().await.len();
    assert!(acked > 0 && stored == acked, "{acked} acked, {stored} stored");
}

/// Says how many of its messages were acked.
async fn chatter(site: &Site, home: Home, author: Person) -> usize {
    let mut acked = 0;
    for n in 0..MESSAGES {
        match author
            .patiently(site, &super::site::post(home, &format!("message {n}")))
            .await
        {
            Ok(_) => acked += 1,
            Err(problem) => {
                let known = ["room.muted", "space.not_found", "command.conflict"];
                assert!(known.contains(&problem.code.as_str()), "{problem}");
            }
        }
    }
    acked
}

async fn moderate(site: &Site, home: Home, ada: Person, of: Person, code: &str) {
    let change = |muted, banned| ChangeMember {
        time_out_s: None,
        reason: None,
        space: home.space,
        account: of.0,
        roles: None,
        muted,
        banned,
    };
    for change in [
        change(Some(true), None),
        change(Some(false), None),
        change(None, Some(true)),
        change(None, Some(false)),
    ] {
        ada.patiently(site, &change).await.unwrap();
    }
    of.accept(site, code).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_and_a_message_never_pass_each_other() {
    let site = Site::start().await;
    authors_against_a_moderator(&site, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_come_in_than_an_invitation_is_for() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let ada = site.person().await;
    let home = site.home(Preset::Team, ada, &[]).await;
    let invite = ada.invite(&site, home, Some(3)).await.unwrap();
    let mut others = Vec::new();
    for _ in 0..12 {
        others.push(site.person().await);
    }
    let answers = join_all(others.iter().map(|other| other.accept(&site, &invite.code))).await;
    let (came, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(came.len() <= 3);
    for refusal in refused {
        assert!(["invite.used_up", "command.conflict"].contains(&code(refusal).as_str()));
    }
    let events = site.events().await;
    let used = events
        .iter()
        .filter(|one| matches!(one.event, Event::Space(SpaceEvent::InviteUsed(_))))
        .count();
    assert_eq!(used, came.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_worker_made_the_other_knows_of_at_once() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;
    for n in 0..40 {
        let create = CreateRoom {
            category: None,
            private: false,
            space: home.space,
            name: format!("room {n}"),
            kind: RoomKind::Text,
        };
        let room = ada.ask(&site, &create).await.unwrap().room;
        ben.say(&site, Home { room, ..home }, "here already")
            .await
            .unwrap();
        let cem = site.person().await;
        let code = ada.invite(&site, home, None).await.unwrap().code;
        cem.accept(&site, &code).await.unwrap();
        assert!(cem.access(&site, home.space).await.joined);
    }
}

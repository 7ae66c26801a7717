//! A command that is given again, because nobody knows whether it arrived.

use futures::future::join_all;
use veza_platform::contract::chat::{CreateInvite, CreateSpace, Preset};

use super::site::{Site, code, post};

#[tokio::test]
async fn the_same_command_twice_stores_one_message() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let ada = site.person().await;
    let home = site.home(Preset::Team, ada, &[]).await;
    let caller = ada.caller();
    let say = post(home, "once");
    let first = site.bus.chat(&caller, &say).await.unwrap();
    let second = site.bus.chat(&caller, &say).await.unwrap();
    assert!(!first.duplicate && second.duplicate);
    assert_eq!((first.message, first.position), (second.message, second.position));
    assert_eq!(
        code(site.bus.chat(&caller, &post(home, "twice")).await),
        "command.reused"
    );
    assert_eq!(site.messages().await.len(), 1);
}

#[tokio::test]
async fn the_same_command_many_times_at_once_stores_one_message() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let ada = site.person().await;
    let home = site.home(Preset::Team, ada, &[]).await;
    let (caller, say) = (ada.caller(), post(home, "once"));
    let answers = join_all((0..16).map(|_| site.bus.chat(&caller, &say))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.duplicate).count(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.position == answers[0].position)
    );
    assert_eq!(site.messages().await.len(), 1);
}

#[tokio::test]
async fn what_a_repeated_command_makes_is_the_same() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let ada = site.person().await;
    let caller = ada.caller();
    let space = caller.command.derive(ada.0.uuid(), "space");
    let create = CreateSpace {
        space,
        name: "home".into(),
        preset: Preset::Team,
    };
    let (first, second) = (
        site.bus.chat(&caller, &create).await.unwrap(),
        site.bus.chat(&caller, &create).await.unwrap(),
    );
    assert_eq!((first.space, first.room), (second.space, second.room));
    assert_eq!(first.position, second.position, "the last event of the batch");

    let (caller, invite) = (
        ada.caller(),
        CreateInvite {
            space,
            max_uses: None,
            expires_at: None,
        },
    );
    let (first, second) = (
        site.bus.chat(&caller, &invite).await.unwrap(),
        site.bus.chat(&caller, &invite).await.unwrap(),
    );
    assert_eq!((first.invite, &first.code), (second.invite, &second.code));
    let other = site.bus.chat(&ada.caller(), &invite).await.unwrap();
    assert_ne!(first.code, other.code);
    let ben = site.person().await;
    ben.accept(&site, &second.code).await.unwrap();
}

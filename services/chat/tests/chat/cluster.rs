//! The same on three nodes, whose checks differ from those of one.

use futures::future::join_all;
use veza_platform::contract::chat::Preset;

use super::{
    racing,
    site::{Site, code, post},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_and_a_message_never_pass_each_other_on_three_nodes() {
    let site = Site::clustered().await;
    racing::authors_against_a_moderator(&site, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_three_nodes_too_one_command_stores_one_message() {
    let site = Site::clustered().await;
    let _workers = (site.worker().await, site.worker().await);
    let ada = site.person().await;
    let home = site.home(Preset::Team, ada, &[]).await;
    let (caller, say) = (ada.caller(), post(home, "once"));
    let answers = join_all((0..12).map(|_| site.bus.chat(&caller, &say))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| answer.message == answers[0].message));
    assert_eq!(
        code(site.bus.chat(&caller, &post(home, "twice")).await),
        "command.reused"
    );
    let different = join_all((0..30).map(|n| {
        let (site, ada) = (&site, ada);
        async move { ada.say(site, home, &format!("message {n}")).await }
    }));
    for answer in different.await {
        answer.unwrap();
    }
    assert_eq!(site.messages().await.len(), 31);
}

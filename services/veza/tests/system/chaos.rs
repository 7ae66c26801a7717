//! Everything is killed while people talk. Nothing that was acked may be lost, doubled or disordered.

use std::time::Duration;

use uuid::Uuid;
use veza_client::Talker;
use veza_testkit::veza_servers::FleetNats;

use crate::{
    log,
    platform::{EVERY_ROLE, Platform, eventually, history, settle},
};

/// Messages of each person between two kills.
const ROUND: usize = 30;

struct Talk {
    platform: Platform,
    room: Uuid,
    talkers: Vec<(&'static str, Talker)>,
    said: usize,
}

impl Talk {
    async fn start(platform: Platform) -> Self {
        let ([ada, grace, linus], _, room) = platform.people(["ada", "grace", "linus"]).await;
        let talkers = [("ada", ada), ("grace", grace), ("linus", linus)]
            .map(|(name, person)| (name, Talker::start(person, room)))
            .into();
        Self {
            platform,
            room,
            talkers,
            said: 0,
        }
    }

    /// Everybody says something, over and over, without waiting for anything.
    async fn round(&mut self) {
        for number in 0..ROUND {
            for (name, talker) in &self.talkers {
                talker.say(format!("{name} {} {number}", self.said)).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.said += ROUND * self.talkers.len();
    }

    /// Waits until all is answered and shown, then compares log, rows and what everybody saw.
    async fn judge(&mut self) {
        let conversations = settle(&mut self.talkers, self.said).await;
        let log = log::messages(&self.platform, self.room).await;
        let rows = eventually("the read model caught up", async || {
            let rows = self.platform.rows(self.room).await;
            (rows.len() >= log.len()).then_some(rows)
        })
        .await;
        let history = history(self.room, log, rows, &conversations);
        assert_eq!(history.log.len(), self.said);
        assert_eq!(history.violations(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_and_every_server_may_be_killed_while_people_talk() {
    let mut talk = Talk::start(Platform::start().await).await;
    talk.round().await;
    for role in EVERY_ROLE {
        talk.platform.fleet.role_mut(role).unwrap().kill9().await;
        talk.round().await;
        talk.platform
            .fleet
            .role_mut(role)
            .unwrap()
            .restart()
            .await
            .unwrap();
        talk.round().await;
    }
    let FleetNats::Single(nats) = &mut talk.platform.fleet.nats else {
        panic!("one node")
    };
    nats.kill9().await;
    nats.restart().await.unwrap();
    talk.round().await;
    talk.platform.fleet.postgres.kill9().await;
    talk.round().await;
    talk.platform.fleet.postgres.restart().await.unwrap();
    talk.round().await;
    talk.platform.fleet.redis.kill9().await;
    talk.round().await;
    talk.platform.fleet.redis.restart().await.unwrap();
    talk.round().await;
    talk.judge().await;

    let before = talk.platform.rows(talk.room).await;
    talk.platform
        .fleet
        .run(&["projection", "rebuild", "--verify"])
        .await
        .unwrap();
    assert_eq!(
        talk.platform.rows(talk.room).await,
        before,
        "a rebuild gives the same rows"
    );
    talk.round().await;
    talk.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_each_worker_share_the_work_and_survive_each_other() {
    let roles = [
        "accounts",
        "accounts",
        "chat",
        "chat",
        "projector",
        "projector",
        "gateway",
    ];
    let mut talk = Talk::start(Platform::with(&roles, 1, &[]).await).await;
    talk.round().await;
    for first in [0, 2, 4] {
        talk.platform.fleet.roles[first].kill9().await;
        talk.round().await;
    }
    talk.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_of_three_nodes_may_be_killed_while_people_talk() {
    let mut talk = Talk::start(Platform::with(&EVERY_ROLE, 3, &[]).await).await;
    talk.round().await;
    let FleetNats::Cluster(cluster) = &mut talk.platform.fleet.nats else {
        panic!("a cluster")
    };
    let leader = cluster.leader().await.unwrap();
    cluster.node_mut(&leader).unwrap().kill9().await;
    talk.round().await;
    talk.round().await;
    let FleetNats::Cluster(cluster) = &mut talk.platform.fleet.nats else {
        panic!("a cluster")
    };
    cluster.node_mut(&leader).unwrap().restart().await.unwrap();
    talk.round().await;
    talk.judge().await;
}

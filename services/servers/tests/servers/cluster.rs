use std::time::Instant;

use veza_servers::{NatsCluster, Tools};

use crate::Folder;

#[tokio::test]
async fn three_nodes_choose_a_leader_and_another_when_it_is_killed() {
    let folder = Folder::new();
    let start = Instant::now();
    let mut cluster = NatsCluster::start(&Tools::find(), &folder.path("nats"), 3)
        .await
        .unwrap();
    eprintln!("cluster started in {:?}", start.elapsed());
    let first = cluster.leader().await.unwrap();
    cluster.node_mut(&first).unwrap().kill9().await;
    let second = cluster.leader().await.unwrap();
    assert_ne!(first, second);
    cluster.node_mut(&first).unwrap().restart().await.unwrap();
    cluster.settled().await.unwrap();
    assert!(cluster.nodes().iter().all(veza_servers::Nats::is_running));
    cluster.stop().await;
}

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use veza_platform::event_log::{ApplyError, Expect, StreamsSpec};
use veza_platform::kv::{Change, Entry, Kv, KvError, Watch};

use crate::site::{ROOM, SOON, Site, draft, persist};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Value {
    n: u32,
}

pub(crate) async fn applying_the_streams_again_changes_nothing(site: Site) {
    let again = site.log.apply(&StreamsSpec::builtin()).await.unwrap();
    assert_eq!((again.created, again.changed), (vec![], vec![]));
    assert_eq!(again.unchanged.len(), 22);
}

pub(crate) async fn other_shards_than_the_installation_has_are_refused(site: Site) {
    persist(&site.log, draft(ROOM, Expect::Any, "one")).await;
    let wider = site.servers.log(2).await;
    let refused = wider.apply(&StreamsSpec::builtin()).await;
    assert_eq!(refused, Err(ApplyError::Shards { found: 1, wanted: 2 }));
}

pub(crate) async fn of_several_creators_one_wins(site: Site) {
    let links = Kv::<Value>::open(&site.log, "LINKS");
    let racers = (0..10).map(|n| {
        let links = links.clone();
        async move { links.create("key", &Value { n }).await }
    });
    let outcomes = join_all(racers).await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        1,
        "{outcomes:?}"
    );
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Ok(_) | Err(KvError::Conflict)))
    );
    let revision = links.get_consistent("key").await.unwrap().unwrap().revision;
    links.delete("key", revision).await.unwrap();
    assert_eq!(links.get_consistent("key").await.unwrap(), None);
    links.create("key", &Value { n: 99 }).await.unwrap();
    assert_eq!(
        links.get_consistent("key").await.unwrap().unwrap().value,
        Value { n: 99 }
    );
}

pub(crate) async fn an_entry_is_replaced_under_its_revision_only(site: Site) {
    let sessions = Kv::<Value>::open(&site.log, "SESSIONS");
    let first = sessions.put("a.b", &Value { n: 1 }).await.unwrap();
    let second = sessions.update("a.b", &Value { n: 2 }, first).await.unwrap();
    assert_eq!(
        sessions.update("a.b", &Value { n: 3 }, first).await,
        Err(KvError::Conflict)
    );
    assert_eq!(sessions.delete("a.b", first).await, Err(KvError::Conflict));
    let entry = Entry {
        value: Value { n: 2 },
        revision: second,
    };
    assert_eq!(sessions.get_consistent("a.b").await.unwrap(), Some(entry));
    assert_eq!(sessions.get("none").await.unwrap(), None);
    for key in ["", ".a", "a.", "a..b", "a*", "a b", "a>"] {
        assert!(
            matches!(sessions.get(key).await, Err(KvError::Refused(_))),
            "{key:?}"
        );
    }
}

pub(crate) async fn of_several_takers_one_wins(site: Site) {
    let tickets = Kv::<Value>::open(&site.log, "TICKETS");
    let revision = tickets.create("ticket", &Value { n: 1 }).await.unwrap();
    let takers = (0..10).map(|_| tickets.delete("ticket", revision));
    let outcomes = join_all(takers).await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        1,
        "{outcomes:?}"
    );
}

async fn next(watch: &mut Watch<Value>) -> Change<Value> {
    tokio::time::timeout(SOON, watch.next())
        .await
        .expect("a change comes")
        .unwrap()
}

pub(crate) async fn a_watcher_sees_what_is_there_and_what_changes(site: Site) {
    let revoked = Kv::<Value>::open(&site.log, "REVOKED");
    let mut early = revoked.watch();
    assert_eq!(next(&mut early).await, Change::Current);
    let revision = revoked.put("a", &Value { n: 1 }).await.unwrap();
    let put = Change::Put {
        key: "a".to_owned(),
        entry: Entry {
            value: Value { n: 1 },
            revision,
        },
    };
    assert_eq!(next(&mut early).await, put);
    let replaced = revoked.put("a", &Value { n: 2 }).await.unwrap();
    let put = Change::Put {
        key: "a".to_owned(),
        entry: Entry {
            value: Value { n: 2 },
            revision: replaced,
        },
    };
    assert_eq!(next(&mut early).await, put);
    revoked.remove("a").await.unwrap();
    assert!(matches!(next(&mut early).await, Change::Removed { key, .. } if key == "a"));
    let kept = revoked.put("b", &Value { n: 3 }).await.unwrap();
    assert!(matches!(next(&mut early).await, Change::Put { key, .. } if key == "b"));
    let mut late = revoked.watch();
    let mut seen = Vec::new();
    loop {
        match next(&mut late).await {
            Change::Current => break,
            change => seen.push(change),
        }
    }
    let put = Change::Put {
        key: "b".to_owned(),
        entry: Entry {
            value: Value { n: 3 },
            revision: kept,
        },
    };
    assert_eq!(seen.last(), Some(&put), "{seen:?}");
}

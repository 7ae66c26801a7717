use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::future::join_all;
use veza_platform::event_log::{AppendError, Expect};

use crate::site::{MEMBER, ROOM, Site, all, draft, fence, persist, seqs};

pub(crate) async fn an_own_sequence_lets_one_writer_in(site: Site) {
    let racers = (0..20).map(|n| site.log.append(draft(ROOM, Expect::Last(0), &format!("n{n}"))));
    let outcomes = join_all(racers).await;
    let winners: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().ok())
        .collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Ok(_) | Err(AppendError::Conflict)))
    );
    let seq = winners[0].position.seq;
    let stale = site.log.append(draft(ROOM, Expect::Last(seq + 1), "later")).await;
    assert_eq!(stale, Err(AppendError::Conflict));
    site.log
        .append(draft(ROOM, Expect::Last(seq), "next"))
        .await
        .unwrap();
    assert_eq!(all(&site.log, ROOM, 2).await.len(), 2);
}

pub(crate) async fn a_draft_that_lost_can_be_stored_under_the_same_id(site: Site) {
    let first = persist(&site.log, draft(ROOM, Expect::Any, "first")).await;
    let lost = site.log.append(draft(ROOM, Expect::Last(0), "again")).await;
    assert_eq!(lost, Err(AppendError::Conflict));
    let won = site
        .log
        .append(draft(ROOM, Expect::Last(first.position.seq), "again"))
        .await
        .unwrap();
    assert!(!won.duplicate);
}

pub(crate) async fn a_repeated_id_is_stored_once(site: Site) {
    let first = persist(&site.log, draft(ROOM, Expect::Any, "a:1")).await;
    let again = site.log.append(draft(ROOM, Expect::Any, "a:1")).await.unwrap();
    assert_eq!((again.position, again.duplicate), (first.position, true));
    assert_eq!(all(&site.log, ROOM, 1).await.len(), 1);
}

pub(crate) async fn an_id_repeated_at_the_same_moment_is_stored_once(site: Site) {
    let twins = (0..30).map(|_| site.log.append(draft(ROOM, Expect::Any, "a:1")));
    let outcomes = join_all(twins).await;
    // With three replicas the server does not yet know the position of what is under way: a conflict.
    let stored: HashSet<_> = outcomes
        .iter()
        .flatten()
        .map(|appended| appended.position.seq)
        .collect();
    assert_eq!(stored.len(), 1, "{outcomes:?}");
    assert_eq!(
        outcomes
            .iter()
            .flatten()
            .filter(|appended| !appended.duplicate)
            .count(),
        1
    );
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Ok(_) | Err(AppendError::Conflict)))
    );
    assert_eq!(all(&site.log, ROOM, 1).await.len(), 1);
}

/// Authors post under the membership they last saw; moderators change the memberships at any moment. The
/// log may hold no message behind a change that its decision did not know.
pub(crate) async fn a_ban_and_a_message_never_pass_each_other(site: Site) {
    const AUTHORS: usize = 10;
    const CHANGES: usize = 15;
    let over = Arc::new(AtomicBool::new(false));
    let seen: Vec<Arc<AtomicU64>> = (0..AUTHORS).map(|_| Arc::default()).collect();
    for (author, seen) in seen.iter().enumerate() {
        let joined = persist(
            &site.log,
            draft(&member(author), Expect::Last(0), &format!("join{author}")),
        )
        .await;
        seen.store(joined.position.seq, Ordering::SeqCst);
    }
    let posting = seen.iter().enumerate().map(|(author, seen)| {
        let (log, seen, over) = (site.log.clone(), seen.clone(), over.clone());
        tokio::spawn(async move {
            let mut stored = 0;
            for n in 0.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let known = seen.load(Ordering::SeqCst);
                let mut post = draft(ROOM, fence(&member(author), known), &format!("{author}-{n}"));
                post.headers.insert("author", author.to_string());
                post.headers.insert("known", known.to_string());
                match log.append(post).await {
                    Ok(_) => stored += 1,
                    Err(AppendError::Conflict) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            stored
        })
    });
    let posting: Vec<_> = posting.collect();
    let moderator = site.another().await;
    for change in 0..CHANGES {
        for (author, seen) in seen.iter().enumerate() {
            let known = seen.load(Ordering::SeqCst);
            let moderation = draft(
                &member(author),
                Expect::Last(known),
                &format!("mute{change}-{author}"),
            );
            // The author's own appends may be in flight on this subject: tried again.
            let appended = persist(&moderator, moderation).await;
            // The author hears of it late.
            tokio::task::yield_now().await;
            seen.store(appended.position.seq, Ordering::SeqCst);
        }
    }
    over.store(true, Ordering::SeqCst);
    let stored: usize = join_all(posting).await.into_iter().map(Result::unwrap).sum();
    let posts = all(&site.log, ROOM, stored).await;
    assert_eq!(posts.len(), stored);
    for author in 0..AUTHORS {
        let changes = seqs(&all(&site.log, &member(author), CHANGES + 1).await);
        let number = |post: &veza_platform::event_log::Record, name| {
            post.headers.get(name).unwrap().as_str().parse::<u64>().unwrap()
        };
        for post in posts
            .iter()
            .filter(|post| number(post, "author") == author as u64)
        {
            let in_force = changes.iter().rfind(|seq| **seq < post.position.seq);
            assert_eq!(
                in_force,
                Some(&number(post, "known")),
                "stored under a stale fence"
            );
        }
    }
    assert!(stored > 50, "only {stored} posts were stored");
}

fn member(author: usize) -> String {
    format!("evt.0.member.s.a{author}")
}

pub(crate) async fn a_batch_is_stored_side_by_side_or_not_at_all(site: Site) {
    let accounts = |handle: &str, account: &str| {
        vec![
            draft(
                &format!("evt.handle.{handle}"),
                Expect::Last(0),
                &format!("{account}:0"),
            ),
            draft(
                &format!("evt.account.{account}"),
                Expect::Last(0),
                &format!("{account}:1"),
            ),
        ]
    };
    let first = site.log.append_atomic(accounts("name", "one")).await.unwrap();
    assert_eq!(first[1].position.seq, first[0].position.seq + 1);
    let record = site
        .log
        .last_consistent("evt.account.one")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.position, first[1].position);
    let taken = site.log.append_atomic(accounts("name", "two")).await;
    assert_eq!(taken, Err(AppendError::Conflict));
    assert!(
        site.log
            .last_consistent("evt.account.two")
            .await
            .unwrap()
            .is_none()
    );
    // What was refused as a whole can be stored as a whole, ids and all.
    site.log.append_atomic(accounts("other", "two")).await.unwrap();
    let mixed = vec![
        draft(ROOM, Expect::Any, "m1"),
        draft("evt.account.three", Expect::Any, "m2"),
    ];
    assert!(matches!(
        site.log.append_atomic(mixed).await,
        Err(AppendError::Refused { .. })
    ));
}

pub(crate) async fn a_batch_expects_the_state_before_it(site: Site) {
    let joined = persist(&site.log, draft(MEMBER, Expect::Last(0), "join"))
        .await
        .position
        .seq;
    let ban_and_delete = |id: &str| {
        vec![
            draft(MEMBER, Expect::Last(joined), &format!("{id}:0")),
            draft(ROOM, fence(MEMBER, joined), &format!("{id}:1")),
            draft(ROOM, fence(MEMBER, joined), &format!("{id}:2")),
        ]
    };
    assert_eq!(
        site.log.append_atomic(ban_and_delete("a")).await.unwrap().len(),
        3
    );
    assert_eq!(
        site.log.append_atomic(ban_and_delete("b")).await,
        Err(AppendError::Conflict)
    );
    let twice = vec![
        draft("evt.0.space.s", Expect::Last(0), "c:0"),
        draft("evt.0.space.s", Expect::Last(0), "c:1"),
    ];
    assert_eq!(site.log.append_atomic(twice).await.unwrap().len(), 2);
}

pub(crate) async fn a_repeated_batch_is_recognised(site: Site) {
    let batch = || {
        (0..5)
            .map(|n| draft(&format!("evt.0.room.r{n}"), Expect::Any, &format!("a:{n}")))
            .collect::<Vec<_>>()
    };
    let first = site.log.append_atomic(batch()).await.unwrap();
    let again = site.log.append_atomic(batch()).await.unwrap();
    assert!(again.iter().all(|appended| appended.duplicate));
    let positions = |appended: &[veza_platform::event_log::Appended]| {
        appended
            .iter()
            .map(|one| one.position.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(positions(&again), positions(&first));
    let mut half_new = batch();
    half_new.push(draft(ROOM, Expect::Any, "new"));
    assert!(matches!(
        site.log.append_atomic(half_new).await,
        Err(AppendError::Refused { code: 10201, .. })
    ));
}

pub(crate) async fn many_at_once_are_all_stored_once(site: Site) {
    const EVENTS: usize = 600;
    let appends = (0..EVENTS).map(|n| {
        site.log.append(draft(
            &format!("evt.0.room.r{}", n % 7),
            Expect::Any,
            &format!("{n}"),
        ))
    });
    let appended = join_all(appends).await;
    let mut positions = HashSet::new();
    for (n, outcome) in appended.into_iter().enumerate() {
        let appended = outcome.unwrap();
        assert!(!appended.duplicate && positions.insert(appended.position.seq));
        // The position told is where this very event lies.
        if n % 50 == 0 {
            let record =
                crate::site::eventually(async || site.log.get(&appended.position).await, Option::is_some)
                    .await;
            assert_eq!(record.unwrap().payload, format!("{{\"id\":\"{n}\"}}"));
        }
    }
    assert_eq!(
        site.log.head(&crate::site::spaces()).await.unwrap(),
        EVENTS as u64
    );
}

pub(crate) async fn one_stale_append_does_not_hurt_its_neighbours(site: Site) {
    let joined = persist(&site.log, draft(MEMBER, Expect::Last(0), "join"))
        .await
        .position
        .seq;
    persist(&site.log, draft(ROOM, Expect::Any, "known")).await;
    let appends = (0..200).map(|n| {
        let (expect, id) = match n {
            70 => (fence(MEMBER, joined + 1), "stale".to_owned()),
            90 => (Expect::Any, "known".to_owned()),
            _ => (Expect::Any, format!("{n}")),
        };
        site.log.append(draft(ROOM, expect, &id))
    });
    for (n, outcome) in join_all(appends).await.into_iter().enumerate() {
        match n {
            70 => assert_eq!(outcome, Err(AppendError::Conflict)),
            90 => assert!(outcome.unwrap().duplicate),
            _ => assert!(!outcome.unwrap().duplicate),
        }
    }
    assert_eq!(all(&site.log, ROOM, 199).await.len(), 199);
}

pub(crate) async fn what_is_too_large_is_refused(site: Site) {
    let mut large = draft(ROOM, Expect::Any, "large");
    large.payload = vec![b'x'; 2 * 1024 * 1024].into();
    assert!(matches!(
        site.log.append(large.clone()).await,
        Err(AppendError::TooLarge { .. })
    ));
    let batch = vec![draft(ROOM, Expect::Any, "small"), large];
    assert!(matches!(
        site.log.append_atomic(batch).await,
        Err(AppendError::TooLarge { .. })
    ));
    assert!(site.log.last_consistent(ROOM).await.unwrap().is_none());
}

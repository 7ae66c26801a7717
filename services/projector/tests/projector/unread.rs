//! What is unread is counted without reading timelines, and the same after a rebuild.

use veza_events::member::{Left, Membership, Standing};
use veza_events::{AccountId, Event, Subject};
use veza_projector::workload::Fact;
use veza_readmodel::ReadTo;

use crate::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_is_what_a_room_has_less_what_was_read() {
    let site = Site::new().await;
    let projector = site.projector().await;
    let community = site.community().await;
    site.scribe.write(community.space_facts()).await.unwrap();
    let room = community.rooms[0];
    site.caught_up().await;
    let reader = site.reader(false).await;
    // Somebody who has said nothing there.
    let nobody: AccountId = veza_platform::ambient::new_uuid().into();
    let count = async |account, marker| {
        let read = ReadTo {
            room,
            space: community.space,
            marker,
        };
        reader.unread(account, &[read]).await.unwrap()[0]
    };
    assert_eq!(count(nobody, u64::MAX).await.unread, 0);
    let before = count(nobody, 0).await.unread;
    let mut seqs = Vec::new();
    for part in [1, 63, 70, 100] {
        for _ in 0..part {
            seqs.push(site.say(&community, &["x"]).await);
        }
    }
    site.caught_up().await;
    assert_eq!(count(nobody, 0).await.unread, before + 234);
    for read in [1, 63, 64, 65, 127, 128, 129, 200, 234] {
        let count = count(nobody, seqs[read - 1]).await;
        assert_eq!(
            (count.unread, count.mentions, count.head),
            (234 - read as u64, 0, seqs[233]),
            "read up to message {read}"
        );
    }
    let elsewhere = ReadTo {
        room: veza_platform::ambient::new_uuid().into(),
        space: community.space,
        marker: 5,
    };
    let none = reader.unread(nobody, &[elsewhere]).await.unwrap()[0];
    assert_eq!((none.head, none.unread, none.mentions), (0, 0, 0));
    projector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_has_been_in_a_space_since_they_joined_last_and_knows_who_is_in_it() {
    let site = Site::new().await;
    let projector = site.projector().await;
    let community = site.community().await;
    let last = site.scribe.write(community.space_facts()).await.unwrap();
    site.caught_up().await;
    let reader = site.reader(false).await;
    let (ann, bob) = (community.people[0], community.people[1]);
    let joined = reader.joined_at(ann).await.unwrap();
    assert_eq!((joined.len(), joined[0].0), (1, community.space));
    assert!(joined[0].1 <= last);
    assert_eq!(reader.acquainted(ann, &[bob]).await.unwrap(), [bob]);
    let membership = Membership {
        standing: Standing::Out,
        ..Membership::default()
    };
    let left = Left {
        space: community.space,
        account: bob,
        by: bob,
        membership,
    };
    let fact = Fact {
        subject: Subject::Member(community.shard, community.space, bob),
        actor: bob,
        event: Event::Member(left.into()),
    };
    site.scribe.write(vec![fact]).await.unwrap();
    site.caught_up().await;
    assert_eq!(reader.acquainted(ann, &[bob]).await.unwrap(), []);
    assert_eq!(reader.joined_at(bob).await.unwrap(), []);
    projector.stop().await;
}

//! Events in, rows out.

use futures::StreamExt;
use uuid::Uuid;
use veza_events::member::{Banned, Left, MemberEvent, Membership, Standing, Unbanned};
use veza_events::room::{MessagePosted, RoomEvent};
use veza_events::{AccountId, Sealed, Subject};
use veza_platform::ambient;
use veza_platform::event_log::Draft;
use veza_platform::event_log::Position;
use veza_platform::notices::{About, Missed, Notices};
use veza_projector::workload::{Community, Fact};
use veza_readmodel::notice::{AccountNotice, PositionNotice};
use veza_readmodel::rows::MemberFilter;
use veza_readmodel::{PageOf, Range};

use crate::site::{Site, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_log_can_be_read() {
    let site = Site::new().await;
    let projector = site.projector().await;
    let community = site.community().await;
    let everything = community.space_facts();
    site.scribe.write(everything).await.unwrap();
    let last = site.say(&community, &["first", "second", "third"]).await;
    site.caught_up().await;

    let reader = site.reader(false).await;
    let owner = community.people[0];
    let account = reader.account_private(owner).await.unwrap().unwrap();
    assert!(account.email.unwrap().ends_with("@example.org"));
    assert_eq!(account.account.display_name.as_deref(), Some("another name"));
    assert_eq!(
        reader.sessions(owner).await.unwrap().len(),
        0,
        "the even ones signed out"
    );
    assert_eq!(reader.sessions(community.people[1]).await.unwrap().len(), 1);
    assert_eq!(
        reader.accounts(&community.people).await.unwrap().len(),
        community.people.len()
    );

    let space = reader.space(community.space).await.unwrap().unwrap();
    assert_eq!((space.name.as_str(), space.owner), ("a space", owner));
    assert_eq!(reader.roles(community.space).await.unwrap().len(), 3);
    assert_eq!(
        reader.rooms(community.space).await.unwrap().len(),
        community.rooms.len()
    );
    assert_eq!(reader.room(community.rooms[0]).await.unwrap().unwrap().head, last);
    let invites = reader.invites(community.space).await.unwrap();
    assert_eq!((invites.len(), invites[0].uses), (1, 4));
    let joined = reader
        .spaces_of(
            owner,
            &PageOf {
                limit: 10,
                ..PageOf::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(joined.items[0].space.id, community.space);

    let timeline = reader
        .timeline(community.space, community.rooms[0], Range::Latest, 2, last)
        .await
        .unwrap();
    let bodies: Vec<_> = timeline
        .messages
        .iter()
        .filter_map(|message| message.body.as_deref())
        .collect();
    assert_eq!(bodies, ["second", "third"]);
    assert_eq!((timeline.more, timeline.head), (true, last));
    assert_eq!(
        timeline.messages[0].author_display_name.as_deref(),
        Some("another name")
    );
    let foreign = reader
        .timeline(
            AccountId::uuid(owner).into(),
            community.rooms[0],
            Range::Latest,
            2,
            0,
        )
        .await;
    assert_eq!(
        foreign.unwrap().messages,
        [],
        "a room shows itself only as part of its space"
    );
    projector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_paged_and_leave_no_row_when_they_go() {
    let site = Site::new().await;
    let _projector = site.projector().await;
    let community = site.community().await;
    site.scribe.write(community.space_facts()).await.unwrap();
    let (gone, banned, back) = (community.people[1], community.people[2], community.people[3]);
    let with = |standing| Membership {
        standing,
        ..Membership::default()
    };
    let space = community.space;
    let events: Vec<(AccountId, MemberEvent)> = vec![
        (
            gone,
            Left {
                space,
                account: gone,
                by: gone,
                membership: with(Standing::Out),
            }
            .into(),
        ),
        (
            banned,
            Banned {
                space,
                account: banned,
                by: gone,
                membership: with(Standing::Banned),
                reason: None,
            }
            .into(),
        ),
        (
            back,
            Banned {
                space,
                account: back,
                by: gone,
                membership: with(Standing::Banned),
                reason: None,
            }
            .into(),
        ),
        (
            back,
            Unbanned {
                space,
                account: back,
                by: gone,
                membership: with(Standing::Out),
                reason: None,
            }
            .into(),
        ),
    ];
    let facts = events.into_iter().map(|(account, event)| Fact {
        subject: Subject::Member(community.shard, space, account),
        actor: gone,
        event: event.into(),
    });
    site.scribe.write(facts.collect()).await.unwrap();
    site.caught_up().await;

    let reader = site.reader(false).await;
    let mut page = PageOf {
        cursor: None,
        limit: 7,
    };
    let mut members = Vec::new();
    loop {
        let list = reader
            .members(space, &MemberFilter::default(), &page)
            .await
            .unwrap();
        members.extend(list.items.into_iter().map(|member| member.account));
        page.cursor = list.next;
        if page.cursor.is_none() {
            break;
        }
    }
    let mut expected: Vec<AccountId> = community.people.clone();
    expected.retain(|account| ![gone, banned, back].contains(account));
    expected.sort_unstable();
    assert_eq!(members, expected);
    assert!(reader.member(space, gone).await.unwrap().is_none());
    assert_eq!(
        reader.member(space, banned).await.unwrap().unwrap().standing,
        Standing::Banned
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outcome_does_not_depend_on_where_batches_end() {
    let site = Site::new().await;
    let mut config = site.config();
    config.projector.batch_events = 1;
    let one_by_one = site.projector_with(config).await;
    let community = Community::new(crate::site::shards());
    site.scribe.write(community.people_facts()).await.unwrap();
    site.scribe.write(community.space_facts()).await.unwrap();
    site.caught_up().await;
    one_by_one.stop().await;
    let small = site.hashes("read").await;
    assert!(!small["message"].starts_with("0:"));
    site.sql("DROP SCHEMA read CASCADE").await;
    veza_migrations::migrate(&site.postgres.url()).await.unwrap();
    let _at_once = site.projector().await;
    site.caught_up().await;
    assert_eq!(site.hashes("read").await, small);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_events_are_counted_and_skipped() {
    let site = Site::new().await;
    let projector = site.projector().await;
    let community = site.community().await;
    let fact = community.says(community.people[0], community.rooms[0], "from the future");
    let mut draft = site.scribe.draft(fact).await.unwrap();
    draft.headers.insert("ce-type", "room.message_sung.v1");
    let sung = site.log.append(draft).await.unwrap().position.seq;
    site.caught_up().await;
    assert_eq!(projector.metric("veza_projector_unknown_events_total"), 1);
    let reader = site.reader(false).await;
    let room = reader.room(community.rooms[0]).await.unwrap().unwrap();
    assert_eq!(room.head, sung, "the timeline has moved on all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_cannot_be_applied_is_parked_with_all_that_follow_it() {
    let site = Site::new().await;
    site.sql("ALTER TABLE read.message ADD CONSTRAINT picky CHECK (body <> 'bad')")
        .await;
    let projector = site.projector().await;
    let community = site.community().await;
    let broken = site.say(&community, &["before", "bad", "after"]).await - 1;
    let posted = community.says(community.people[0], community.rooms[1], "x");
    let shapeless = Draft {
        payload: "{}".into(),
        ..site.scribe.draft(posted).await.unwrap()
    };
    site.log.append(shapeless).await.unwrap();
    let other = community.says(community.people[1], community.rooms[2], "elsewhere");
    site.scribe.write(vec![other]).await.unwrap();
    site.caught_up().await;

    let parked = site
        .sql("SELECT count(*) || ' ' || min(seq) FROM read.parked")
        .await;
    assert_eq!(parked, format!("3 {broken}"));
    let reader = site.reader(false).await;
    let bodies = async |room: usize| {
        let room = community.rooms[room];
        let timeline = reader
            .timeline(community.space, room, Range::Latest, 9, 0)
            .await
            .unwrap();
        timeline
            .messages
            .into_iter()
            .filter_map(|message| message.body)
            .collect::<Vec<_>>()
    };
    assert_eq!(bodies(0).await, ["before"]);
    assert_eq!(bodies(2).await, ["elsewhere"], "the rest goes on");
    assert_eq!(projector.metric("veza_projector_parked_events_total"), 3);

    site.say(&community, &["even later"]).await;
    site.caught_up().await;
    assert_eq!(site.sql("SELECT count(*) FROM read.parked").await, "4");
    let bench = site.bench().await;
    let retried = veza_projector::projection::retry(&bench).await.unwrap();
    assert_eq!(
        (retried.applied, retried.parked),
        (0, 4),
        "the cause is still there"
    );
    site.sql("ALTER TABLE read.message DROP CONSTRAINT picky").await;
    let retried = veza_projector::projection::retry(&bench).await.unwrap();
    assert_eq!(
        (retried.applied, retried.parked),
        (3, 1),
        "what has no shape stays"
    );
    site.say(&community, &["at last"]).await;
    site.caught_up().await;
    assert_eq!(
        bodies(0).await,
        ["before", "bad", "after", "even later", "at last"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_text_keeps_a_room_from_being_shown() {
    let site = Site::new().await;
    let projector = site.projector().await;
    let community = site.community().await;
    site.say(
        &community,
        &["nul \0 byte", "\u{feff}\u{202e}\u{1f9e8}", "\\ ' \" {}"],
    )
    .await;
    site.caught_up().await;
    let reader = site.reader(false).await;
    let timeline = reader
        .timeline(community.space, community.rooms[0], Range::Latest, 9, 0)
        .await
        .unwrap();
    let bodies: Vec<_> = timeline
        .messages
        .iter()
        .filter_map(|message| message.body.as_deref())
        .collect();
    assert_eq!(
        bodies,
        ["nul \u{fffd} byte", "\u{feff}\u{202e}\u{1f9e8}", "\\ ' \" {}"]
    );
    assert_eq!(projector.metric("veza_projector_parked_events_total"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_a_destroyed_key_is_projected_without_its_text() {
    let site = Site::new().await;
    let community = site.community().await;
    site.say(&community, &["forget me"]).await;
    let author = community.people[0];
    site.sql(&format!(
        "UPDATE veza.keyring SET wrapped = NULL WHERE account = '{author}'"
    ))
    .await;
    let _projector = site.projector().await;
    site.caught_up().await;
    let reader = site.reader(false).await;
    let timeline = reader
        .timeline(community.space, community.rooms[0], Range::Latest, 9, 0)
        .await
        .unwrap();
    assert_eq!((timeline.messages.len(), &timeline.messages[0].body), (1, &None));
    assert_eq!(reader.account(author).await.unwrap().unwrap().handle, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_in_the_log_twice_is_shown_once() {
    let site = Site::new().await;
    let projector = site.projector().await;
    let community = site.community().await;
    let posted = RoomEvent::from(MessagePosted {
        space: community.space,
        room: community.rooms[0],
        message: Uuid::from_u128(7).into(),
        author: community.people[0],
        body: Sealed::from("once"),
        reply_to: None,
        attachments: Vec::new(),
        mentions: None,
        imported: None,
        shown_as: None,
        parent: None,
    });
    let fact = Fact {
        subject: Subject::Room(community.shard, community.rooms[0]),
        actor: community.people[0],
        event: posted.into(),
    };
    site.scribe.write(vec![fact.clone(), fact]).await.unwrap();
    site.caught_up().await;
    assert_eq!(site.sql("SELECT count(*) FROM read.message").await, "1");
    projector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_hear_of_their_account_once_it_can_be_read() {
    let site = Site::new().await;
    let _projector = site.projector().await;
    let community = Community::new(crate::site::shards());
    let person = community.people[5];
    let mut told = Notices::open(&site.log).follow().await.unwrap();
    let mut positions = site
        .client
        .subscribe(PositionNotice::subject("SPACES_0"))
        .await
        .unwrap();
    site.client.flush().await.unwrap();
    site.scribe.write(community.people_facts()).await.unwrap();
    let last = site.scribe.write(community.space_facts()).await.unwrap();
    let reader = site.reader(false).await;
    loop {
        let About::Account(account, body) = told.next().await.unwrap().unwrap().about else {
            panic!("nothing was left out");
        };
        let notice: AccountNotice = serde_json::from_slice(&body).unwrap();
        let source: Position = notice.source.unwrap().parse().unwrap();
        assert!(
            reader.position(source.stream.as_str()).await.unwrap() >= source.seq,
            "told before it can be read"
        );
        if account == person && notice.kind == "member.joined.v1" {
            assert_eq!(notice.data.space, Some(community.space));
            break;
        }
    }
    eventually("the position is told", async || {
        let notice: PositionNotice =
            serde_json::from_slice(&positions.next().await.unwrap().payload).unwrap();
        notice.seq == last
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projector_that_dies_leaves_no_gap_and_no_double_in_what_devices_hear() {
    let site = Site::new().await;
    let notices = Notices::open(&site.log);
    let begin = notices.head(ambient::new_uuid().into()).await.unwrap();
    let community = Community::new(crate::site::shards());
    let person = community.people[5];
    let projector = site.projector().await;
    site.scribe.write(community.people_facts()).await.unwrap();
    site.scribe.write(community.space_facts()).await.unwrap();
    site.caught_up().await;
    // What it had read but not told, the next one tells.
    projector.kill().await;
    let projector = site.projector().await;
    let sources = async || {
        let Missed::All { notices, .. } = notices.missed(person, begin).await.unwrap() else {
            panic!("everything can be told");
        };
        let source = |(_, body): &(u64, bytes::Bytes)| {
            let notice: AccountNotice = serde_json::from_slice(body).unwrap();
            (notice.kind, notice.source.unwrap())
        };
        notices.iter().map(source).collect::<Vec<_>>()
    };
    eventually("both were told", async || {
        let kinds: Vec<String> = sources().await.into_iter().map(|(kind, _)| kind).collect();
        kinds.iter().any(|kind| kind == "account.registered.v1")
            && kinds.iter().any(|kind| kind == "member.joined.v1")
    })
    .await;
    let mut all = sources().await;
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "told once");
    projector.stop().await;
}

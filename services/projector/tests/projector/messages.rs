//! What becomes of messages: the same rows however events fall into batches, and the same from the cache.

use std::collections::BTreeSet;

use uuid::Uuid;
use veza_events::room::{
    Mentions, MessageDeleted, MessageEdited, MessagePinned, MessagePosted, MessageUnpinned, Opened,
    ReactionAdded, ReactionRemoved, RoomEvent,
};
use veza_events::{AccountId, MessageId, RoomId, Sealed, Subject};
use veza_platform::ambient;
use veza_projector::workload::{Community, Fact};
use veza_readmodel::rows::Message;
use veza_readmodel::{PageOf, Range, ReadModel};

use crate::site::{Site, eventually, shards};

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Things that happen to messages of one room and a thread in it.
struct Tale<'a> {
    community: &'a Community,
    room: RoomId,
    dice: Dice,
    messages: Vec<(MessageId, AccountId, RoomId)>,
}

impl<'a> Tale<'a> {
    fn new(community: &'a Community, seed: u64) -> Self {
        Self {
            community,
            room: community.rooms[0],
            dice: Dice(seed),
            messages: Vec::new(),
        }
    }

    fn parent(&self, room: RoomId) -> Option<RoomId> {
        (room != self.room).then_some(self.room)
    }

    fn fact(&self, room: RoomId, actor: AccountId, event: impl Into<RoomEvent>) -> Fact {
        let event: RoomEvent = event.into();
        Fact {
            subject: Subject::Room(self.community.shard, room),
            actor,
            event: event.into(),
        }
    }

    fn person(&mut self) -> AccountId {
        self.community.people[self.dice.below(6)]
    }

    fn mentions(&mut self) -> Option<Sealed<Mentions>> {
        (self.dice.below(3) == 0).then(|| {
            let accounts = BTreeSet::from([self.person(), self.person()]);
            let everyone = self.dice.below(4) == 0;
            Sealed::from(Mentions {
                accounts,
                everyone,
                ..Mentions::default()
            })
        })
    }

    fn post(&mut self, room: RoomId) -> Fact {
        let (author, message) = (self.person(), MessageId::new(ambient::new_uuid()));
        let posted = MessagePosted {
            space: self.community.space,
            room,
            message,
            author,
            body: Sealed::from(format!("said {}", self.messages.len())),
            reply_to: None,
            attachments: Vec::new(),
            mentions: self.mentions(),
            imported: None,
            shown_as: None,
            parent: self.parent(room),
        };
        self.messages.push((message, author, room));
        self.fact(room, author, posted)
    }

    /// Opens the thread of the first message.
    fn thread(&mut self) -> (RoomId, Fact) {
        let (message, author, room) = self.messages[0];
        let thread = RoomId::thread_of(message);
        let opened = Opened {
            space: self.community.space,
            room: thread,
            parent: Some(room),
            about: Some(message),
        };
        (thread, self.fact(thread, author, opened))
    }

    fn happens(&mut self) -> Fact {
        let at = self.dice.below(self.messages.len());
        let ((message, author, room), account) = (self.messages[at], self.person());
        let (space, parent, posted) = (self.community.space, self.parent(room), 1);
        let emoji = ["👍", "🧀", ":party:"][self.dice.below(3)].to_owned();
        let event: RoomEvent = match self.dice.below(16) {
            0..=3 => MessageEdited {
                space,
                room,
                message,
                posted,
                author,
                body: Sealed::from(format!("edited {}", self.dice.below(1_000))),
                mentions: self.mentions(),
                parent,
            }
            .into(),
            4..=7 => ReactionAdded {
                space,
                room,
                message,
                posted,
                account,
                emoji,
                parent,
            }
            .into(),
            8..=10 => ReactionRemoved {
                space,
                room,
                message,
                posted,
                account,
                emoji,
                parent,
            }
            .into(),
            11..=12 => MessagePinned {
                space,
                room,
                message,
                posted,
                by: account,
                parent,
            }
            .into(),
            13 => MessageUnpinned {
                space,
                room,
                message,
                posted,
                by: account,
                parent,
            }
            .into(),
            _ => MessageDeleted {
                space,
                room,
                message,
                posted,
                author,
                by: account,
                parent,
            }
            .into(),
        };
        self.fact(room, account, event).by(author)
    }

    /// A tale of so many things, told from the beginning.
    fn tell(&mut self, things: usize) -> Vec<Fact> {
        let mut facts: Vec<Fact> = (0..5).map(|_| self.post(self.room)).collect();
        let (thread, opened) = self.thread();
        facts.push(opened);
        for _ in 0..things {
            let next = match self.dice.below(6) {
                0 => self.post(self.room),
                1 => self.post(thread),
                _ => self.happens(),
            };
            facts.push(next);
        }
        facts
    }
}

trait By {
    /// Sealed under the key of the author, as edits are.
    fn by(self, author: AccountId) -> Self;
}

impl By for Fact {
    fn by(self, author: AccountId) -> Self {
        Self {
            actor: author,
            ..self
        }
    }
}

async fn timeline(reader: &ReadModel, community: &Community, room: RoomId, at_least: u64) -> Vec<Message> {
    let read = reader.timeline(community.space, room, Range::Latest, 200, at_least);
    read.await.unwrap().messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_messages_does_not_depend_on_batches_nor_on_rebuilds() {
    let site = Site::new().await;
    let community = Community::new(shards());
    let mut config = site.config();
    config.projector.batch_events = 1;
    let one_by_one = site.projector_with(config).await;
    site.scribe.write(community.structure()).await.unwrap();
    let tale = Tale::new(&community, 7).tell(500);
    site.scribe.write(tale).await.unwrap();
    site.caught_up().await;
    one_by_one.stop().await;
    let small = site.hashes("read").await;
    for table in [
        "message",
        "message_edit",
        "reaction",
        "thread",
        "mention",
        "participant",
    ] {
        assert!(!small[table].starts_with("0:"), "{table} is empty");
    }
    for batch in [3, 2_000] {
        site.sql("DROP SCHEMA read CASCADE").await;
        veza_migrations::migrate(&site.postgres.url()).await.unwrap();
        let mut config = site.config();
        config.projector.batch_events = batch;
        let projector = site.projector_with(config).await;
        site.caught_up().await;
        assert_eq!(site.hashes("read").await, small, "in batches of {batch}");
        projector.stop().await;
    }
    let left = "SELECT count(*) FROM read.message m WHERE deleted_at IS NOT NULL AND (body IS NOT NULL
        OR mentions IS NOT NULL OR EXISTS (SELECT FROM read.message_edit e WHERE e.message = m.message)
        OR EXISTS (SELECT FROM read.reaction r WHERE r.message = m.message)
        OR EXISTS (SELECT FROM read.mention n WHERE n.message = m.message))";
    assert_eq!(
        site.sql(left).await,
        "0",
        "something of a deleted message is left"
    );
    let counted = "SELECT bool_and(replies = (SELECT count(*) FROM read.message m
        WHERE m.room = t.thread AND m.deleted_at IS NULL)) FROM read.thread t";
    assert_eq!(site.sql(counted).await, "t", "replies are counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cached_rows_are_those_of_the_tables_whatever_happens_to_them() {
    let site = Site::new().await;
    let _projector = site.projector().await;
    let community = site.community().await;
    let mut tale = Tale::new(&community, 11);
    let begin = tale.tell(30);
    site.scribe.write(begin).await.unwrap();
    site.caught_up().await;
    site.cache_in_force().await;
    let (cached, stored) = (site.reader(true).await, site.reader(false).await);
    let thread = RoomId::thread_of(tale.messages[0].0);
    eventually("warm", async || {
        timeline(&cached, &community, community.rooms[0], 0).await;
        timeline(&cached, &community, thread, 0).await;
        site.cached("c:{SPACES_0}:*:t:*").await == 2
    })
    .await;
    for round in 0..40 {
        let facts: Vec<Fact> = (0..4)
            .map(|step| match (round + step) % 5 {
                0 => tale.post(community.rooms[0]),
                1 => tale.post(thread),
                _ => tale.happens(),
            })
            .collect();
        let last = site.scribe.write(facts).await.unwrap();
        stored
            .wait_for("SPACES_0", last, crate::site::SOON)
            .await
            .unwrap();
        for room in [community.rooms[0], thread] {
            let (fast, slow) = (
                timeline(&cached, &community, room, last).await,
                timeline(&stored, &community, room, last).await,
            );
            assert_eq!(fast, slow, "in round {round}");
        }
    }
    // Warm timelines were not thrown away: without Postgres they are still there, and the newest.
    let last = site.log.head(&"SPACES_0".into()).await.unwrap();
    site.caught_up().await;
    site.cache_in_force().await;
    let before = timeline(&stored, &community, community.rooms[0], last).await;
    site.postgres.kill9().await;
    assert_eq!(
        timeline(&cached, &community, community.rooms[0], last).await,
        before
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_tells_its_texts_reactions_pins_and_thread() {
    let site = Site::new().await;
    let _projector = site.projector().await;
    let community = site.community().await;
    let mut tale = Tale::new(&community, 3);
    let room = community.rooms[0];
    let first = tale.post(room);
    let (message, author, _) = tale.messages[0];
    let (space, parent, posted) = (community.space, None, 1);
    let edit = |body: &str| MessageEdited {
        space,
        room,
        message,
        posted,
        author,
        body: body.into(),
        mentions: None,
        parent,
    };
    let react = |account, emoji: &str| ReactionAdded {
        space,
        room,
        message,
        posted,
        account,
        emoji: emoji.into(),
        parent,
    };
    let pin = MessagePinned {
        space,
        room,
        message,
        posted,
        by: author,
        parent,
    };
    let (thread, opened) = tale.thread();
    let mut facts = vec![
        first,
        tale.fact(room, author, edit("second")),
        tale.fact(room, author, edit("third")),
        tale.fact(room, author, pin),
        opened,
    ];
    facts.extend(
        community
            .people
            .iter()
            .map(|&who| tale.fact(room, who, react(who, "🧀"))),
    );
    facts.push(tale.fact(room, author, react(author, "👍")));
    facts.push(tale.post(thread));
    let last = site.scribe.write(facts).await.unwrap();
    site.caught_up().await;

    let reader = site.reader(false).await;
    let placed = reader.message(message).await.unwrap().unwrap();
    let row = placed.message;
    assert_eq!((placed.space, placed.room, placed.gate), (space, room, room));
    assert_eq!(row.body.as_deref(), Some("third"));
    assert!(row.edited_at.is_some() && row.pinned && row.deleted_at.is_none());
    let reactions: Vec<_> = row
        .reactions
        .iter()
        .map(|reaction| (reaction.emoji.as_str(), reaction.count))
        .collect();
    assert_eq!(
        reactions,
        [("🧀", 20), ("👍", 1)],
        "in the order in which they came"
    );
    assert_eq!(row.reactions[1].has(author), Some(true));
    assert_eq!(row.thread.unwrap().replies, 1);
    let answer = reader.message(tale.messages[1].0).await.unwrap().unwrap();
    assert_eq!(
        (answer.room, answer.gate),
        (thread, room),
        "a thread is as open as its room"
    );

    lists_of(&reader, &community, message, room).await;
    assert!(reader.changed_behind(room, row.seq).await.unwrap());
    assert!(!reader.changed_behind(room, last).await.unwrap());
    assert_eq!(
        reader
            .deleted(&[message, MessageId::new(Uuid::nil())])
            .await
            .unwrap(),
        []
    );
}

async fn lists_of(reader: &ReadModel, community: &Community, message: MessageId, room: RoomId) {
    let page = PageOf {
        cursor: None,
        limit: 2,
    };
    let texts = reader.texts(message, &page).await.unwrap();
    let bodies: Vec<_> = texts
        .items
        .iter()
        .filter_map(|text| text.body.as_deref())
        .collect();
    assert_eq!(bodies, ["said 0", "second"]);
    let rest = PageOf {
        cursor: texts.next,
        limit: 2,
    };
    let texts = reader.texts(message, &rest).await.unwrap();
    assert_eq!(
        (texts.items.len(), texts.items[0].body.as_deref(), texts.next),
        (1, Some("third"), None)
    );
    let all = PageOf {
        cursor: None,
        limit: 200,
    };
    let cheese = reader.reactors(message, "🧀", &all).await.unwrap();
    assert_eq!(cheese.items.len(), community.people.len());
    assert_eq!(reader.pins(room, 0, &all).await.unwrap().items[0].id, message);
    assert_eq!(reader.count_pins(room, message).await.unwrap(), 0);
}

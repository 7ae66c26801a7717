//! Events as workers would write them, but without their decisions: for measuring, and for tests.

use anyhow::Context;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use veza_events::account::{ProfileChanged, Registered, SessionEnd, SessionEnded, SessionStarted};
use veza_events::member::{Joined, Membership, Muted, Standing};
use veza_events::room::{MessagePosted, Opened};
use veza_events::space::{Created, InviteCreated, InviteUsed, RoleDefined, RoomCreated, RoomKind};
use veza_events::{
    AccountId, Envelope, Event, MessageId, Permissions, RoomId, Sealed, Shards, SpaceId, Subject,
    account::AccountEvent, member::MemberEvent, room::RoomEvent, space::SpaceEvent,
};
use veza_platform::ambient;
use veza_platform::event_log::{AppendError, Draft, EventLog, Expect};
use veza_platform::keyring::{Aad, Keyring};

/// Events in one append; the log takes at most 1,000.
const APPEND: usize = 500;
/// How often one append is tried.
const APPEND_TRIES: usize = 5;
/// Appends under way at once.
const CONCURRENCY: usize = 4;
/// Accounts of one community.
const PEOPLE: usize = 20;
/// Rooms of one community.
const ROOMS: usize = 3;
/// Messages of one community: nine events of ten are messages.
const MESSAGES: usize = 930;
/// Text that messages are cut from.
const TEXT: &str =
    "The quick brown fox jumps over the lazy dog, and nobody in this room has ever asked it why. ";

/// One event of one aggregate, by somebody.
#[derive(Clone, Debug)]
pub struct Fact {
    /// The aggregate.
    pub subject: Subject,
    /// Whose key seals it.
    pub actor: AccountId,
    /// In clear.
    pub event: Event,
}

/// Writes facts.
#[derive(Clone)]
pub struct Scribe {
    log: EventLog,
    keys: Keyring,
}

impl Scribe {
    /// A scribe for this log and these keys.
    pub fn new(log: EventLog, keys: Keyring) -> Self {
        Self { log, keys }
    }

    /// Seals and stores facts of one stream, in their order; returns the sequence of the last one.
    ///
    /// # Errors
    /// When the log or the keys are away.
    pub async fn write(&self, facts: Vec<Fact>) -> anyhow::Result<u64> {
        let mut last = 0;
        let mut drafts = Vec::with_capacity(facts.len());
        for fact in facts {
            drafts.push(self.draft(fact).await?);
        }
        for part in drafts.chunks(APPEND) {
            last = self.append(part).await?.unwrap_or(last);
        }
        Ok(last)
    }

    /// Again and again while servers are busy: the ids of the drafts keep them from being stored twice.
    async fn append(&self, drafts: &[Draft]) -> anyhow::Result<Option<u64>> {
        let mut tries = 1;
        loop {
            match self.log.append_atomic(drafts.to_vec()).await {
                Ok(appended) => return Ok(appended.last().map(|appended| appended.position.seq)),
                Err(AppendError::Unavailable { .. }) if tries < APPEND_TRIES => tries += 1,
                Err(error) => return Err(error).context("appending"),
            }
        }
    }

    /// Seals one fact.
    ///
    /// # Errors
    /// When the keys are away.
    pub async fn draft(&self, fact: Fact) -> anyhow::Result<Draft> {
        let Fact {
            subject,
            actor,
            mut event,
        } = fact;
        let (id, key) = self.keys.ensure(actor).await?;
        let envelope = Envelope {
            id: ambient::new_uuid(),
            source: "veza/workload".into(),
            kind: event.kind().into(),
            time: ambient::now().into(),
            actor: Some(actor),
            cause: Some(ambient::new_uuid().into()),
            key: Some(id),
            digest: None,
        };
        let data = Aad::event(&envelope.kind, envelope.id, id);
        event.visit_sealed(&mut |field| field.seal(&mut |clear| key.seal(&data, clear)));
        let mut headers = async_nats::HeaderMap::new();
        for (name, value) in envelope.headers() {
            headers.insert(name, value);
        }
        Ok(Draft {
            subject: subject.to_string(),
            expect: Expect::Any,
            msg_id: envelope.id.to_string(),
            headers,
            payload: Bytes::from(event.encode()?),
        })
    }

    /// Writes about `events` mixed events: communities of people, rooms, memberships and mostly messages.
    /// Returns how many it wrote; `progress` hears how many so far.
    ///
    /// # Errors
    /// When the log or the keys are away.
    pub async fn fill(
        &self,
        shards: Shards,
        events: usize,
        progress: impl Fn(usize),
    ) -> anyhow::Result<usize> {
        let communities = events.div_ceil(Community::EVENTS);
        let written = std::sync::atomic::AtomicUsize::new(0);
        stream::iter(0..communities)
            .map(|_| async {
                let community = Community::new(shards);
                let (of_accounts, of_space) = (community.people_facts(), community.space_facts());
                let count = of_accounts.len() + of_space.len();
                self.write(of_accounts).await?;
                self.write(of_space).await?;
                let so_far = written.fetch_add(count, std::sync::atomic::Ordering::Relaxed) + count;
                progress(so_far);
                anyhow::Ok(())
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        Ok(written.into_inner())
    }
}

/// A space and its people.
#[derive(Clone, Debug)]
pub struct Community {
    /// The space.
    pub space: SpaceId,
    /// Its shard.
    pub shard: u16,
    /// The first is the owner.
    pub people: Vec<AccountId>,
    /// Its rooms.
    pub rooms: Vec<RoomId>,
}

impl Community {
    /// Events that a whole community comes to.
    pub const EVENTS: usize = PEOPLE * 3 + PEOPLE / 4 + PEOPLE / 2 + 3 + 2 * ROOMS + 5 + MESSAGES;

    /// A new one, of which nothing is written yet.
    pub fn new(shards: Shards) -> Self {
        let space = ambient::new_uuid().into();
        Self {
            space,
            shard: shards.of(space),
            people: std::iter::repeat_with(|| ambient::new_uuid().into())
                .take(PEOPLE)
                .collect(),
            rooms: std::iter::repeat_with(|| ambient::new_uuid().into())
                .take(ROOMS)
                .collect(),
        }
    }

    /// How its people came to be and signed in.
    pub fn people_facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for (index, &account) in self.people.iter().enumerate() {
            let mut add = |event: AccountEvent| {
                facts.push(Fact {
                    subject: Subject::Account(account),
                    actor: account,
                    event: event.into(),
                });
            };
            let name = format!("person-{}", account.uuid().simple());
            add(Registered {
                account,
                handle: name.clone().into(),
                email: format!("{name}@example.org").into(),
                display_name: name.into(),
                password: None,
            }
            .into());
            let session = ambient::new_uuid().into();
            let expires_at = (ambient::now() + time::Duration::days(30)).into();
            add(SessionStarted {
                session,
                device: Some("a browser".into()),
                expires_at,
            }
            .into());
            if index % 4 == 0 {
                add(ProfileChanged {
                    display_name: Some("another name".into()),
                }
                .into());
            }
            if index % 2 == 0 {
                add(SessionEnded {
                    session,
                    reason: SessionEnd::SignedOut,
                }
                .into());
            }
        }
        facts
    }

    /// How the space was made and filled, and what was said.
    pub fn space_facts(&self) -> Vec<Fact> {
        let owner = self.people[0];
        let mut facts = self.structure();
        let invite = ambient::new_uuid().into();
        let created = InviteCreated {
            invite,
            digest: "00".repeat(32),
            by: owner,
            max_uses: Some(100),
            expires_at: None,
        };
        facts.push(self.space_fact(created));
        for &account in &self.people {
            let membership = Membership {
                standing: Standing::Joined,
                ..Membership::default()
            };
            let joined = Joined {
                space: self.space,
                account,
                by: account,
                membership,
                invite: Some(invite),
            };
            facts.push(self.member_fact(account, joined));
        }
        for &account in self.people.iter().take(4) {
            facts.push(self.space_fact(InviteUsed { invite, account }));
        }
        for &account in self.people.iter().skip(1).take(PEOPLE / 8) {
            let membership = Membership {
                standing: Standing::Joined,
                muted: true,
                ..Membership::default()
            };
            facts.push(self.member_fact(
                account,
                Muted {
                    space: self.space,
                    account,
                    by: owner,
                    membership,
                    reason: None,
                },
            ));
        }
        facts.extend((0..MESSAGES).map(|index| self.message(index)));
        facts
    }

    /// The space, its roles and its rooms.
    pub fn structure(&self) -> Vec<Fact> {
        let owner = self.people[0];
        let created = Created {
            space: self.space,
            owner,
            name: "a space".into(),
            everyone: Permissions::all(),
        };
        let role = RoleDefined {
            role: ambient::new_uuid().into(),
            name: "leaders".into(),
            permissions: Permissions::all(),
            rank: 10,
        };
        let mut facts = vec![self.space_fact(created), self.space_fact(role)];
        for &room in &self.rooms {
            facts.push(self.space_fact(RoomCreated {
                room,
                name: "a room".into(),
                kind: RoomKind::Text,
            }));
            let opened = RoomEvent::from(Opened {
                space: self.space,
                room,
                parent: None,
                about: None,
            });
            facts.push(Fact {
                subject: Subject::Room(self.shard, room),
                actor: owner,
                event: opened.into(),
            });
        }
        facts
    }

    /// The `index`-th message: room, author and text follow from it.
    pub fn message(&self, index: usize) -> Fact {
        let length = 20 + index * 37 % (TEXT.len() - 20);
        self.says(
            self.people[index * 7 % PEOPLE],
            self.rooms[index % ROOMS],
            &TEXT[..length],
        )
    }

    /// Somebody says something.
    pub fn says(&self, author: AccountId, room: RoomId, body: &str) -> Fact {
        let posted = MessagePosted {
            space: self.space,
            room,
            message: MessageId::new(ambient::new_uuid()),
            author,
            body: Sealed::from(body),
            reply_to: None,
            attachments: Vec::new(),
            mentions: None,
            imported: None,
            shown_as: None,
            parent: None,
        };
        let event = RoomEvent::from(posted);
        Fact {
            subject: Subject::Room(self.shard, room),
            actor: author,
            event: event.into(),
        }
    }

    fn space_fact(&self, event: impl Into<SpaceEvent>) -> Fact {
        let event: SpaceEvent = event.into();
        Fact {
            subject: Subject::Space(self.shard, self.space),
            actor: self.people[0],
            event: event.into(),
        }
    }

    fn member_fact(&self, account: AccountId, event: impl Into<MemberEvent>) -> Fact {
        let event: MemberEvent = event.into();
        Fact {
            subject: Subject::Member(self.shard, self.space, account),
            actor: account,
            event: event.into(),
        }
    }
}

//! Whatever changes while people post: what is in the log was allowed at its place in the log.
//!
//! Exactly, as far as the author's own membership says it; for roles, overrides and rooms by what was the
//! rule at most a second before, as is documented.

use std::collections::HashMap;

use futures::future::join_all;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use veza_domain::{
    Decider,
    member::at_present,
    space::{Space, SpaceState},
};
use veza_events::{
    AccountId, Event, Permission, Permissions, RoleId, Timestamp,
    member::Membership,
    room::{MessagePosted, RoomEvent},
    space::{Place, Whom},
};
use veza_platform::{
    ambient,
    contract::chat::{ChangeMember, DefineRole, Preset, RemoveOverride, SetOverride},
    ledger::Recorded,
};

use super::site::{Home, Person, Site};

/// How long a change of the space may take to be heard by every worker.
const BOUND: time::Duration = time::Duration::seconds(1);
/// Spaces that are tried.
const CASES: usize = 6;
/// Messages that each author tries to post in each.
const POSTS: usize = 40;

#[derive(Clone, Debug)]
enum Change {
    Override { whom: usize, allow: bool, view: bool },
    Lift { whom: usize },
    Everyone { post: bool },
    Role { post: bool },
    Give { author: usize, role: bool },
    Mute { author: usize, muted: bool },
    TimeOut { author: usize, seconds: u32 },
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        4 => (0_usize..5, any::<bool>(), any::<bool>())
            .prop_map(|(whom, allow, view)| Change::Override { whom, allow, view }),
        2 => (0_usize..5).prop_map(|whom| Change::Lift { whom }),
        1 => any::<bool>().prop_map(|post| Change::Everyone { post }),
        1 => any::<bool>().prop_map(|post| Change::Role { post }),
        2 => (0_usize..3, any::<bool>()).prop_map(|(author, role)| Change::Give { author, role }),
        2 => (0_usize..3, any::<bool>()).prop_map(|(author, muted)| Change::Mute { author, muted }),
        2 => (0_usize..3, 0_u32..3).prop_map(|(author, seconds)| Change::TimeOut { author, seconds }),
    ];
    prop::collection::vec(change, 25..35)
}

struct Case {
    home: Home,
    owner: Person,
    authors: [Person; 3],
    role: RoleId,
}

impl Case {
    fn whom(&self, number: usize) -> Whom {
        match number {
            3 => Whom::Role(RoleId::everyone(self.home.space)),
            4 => Whom::Role(self.role),
            author => Whom::Account(self.authors[author].0),
        }
    }

    async fn define(&self, site: &Site, role: RoleId, rank: u16, post: bool) {
        let both = [Permission::View, Permission::Post];
        let one = [Permission::View];
        let permissions = if post { &both[..] } else { &one[..] };
        let define = DefineRole {
            space: self.home.space,
            role,
            name: "r".into(),
            permissions: permissions.iter().copied().collect(),
            rank,
        };
        self.owner.patiently(site, &define).await.unwrap();
    }

    async fn change(&self, site: &Site, change: &Change) {
        let (space, place) = (self.home.space, Place::Room(self.home.room));
        let of = |author: usize| ChangeMember {
            space,
            account: self.authors[author].0,
            roles: None,
            muted: None,
            banned: None,
            time_out_s: None,
            reason: None,
        };
        let changed = match *change {
            Change::Override { whom, allow, view } => {
                let what = Permissions::only(if view { Permission::View } else { Permission::Post });
                let nothing = Permissions::NONE;
                let (allow, deny) = if allow { (what, nothing) } else { (nothing, what) };
                let whom = self.whom(whom);
                let set = SetOverride {
                    space,
                    place,
                    whom,
                    allow,
                    deny,
                };
                return drop(self.owner.patiently(site, &set).await.unwrap());
            }
            Change::Lift { whom } => {
                let whom = self.whom(whom);
                let lift = RemoveOverride { space, place, whom };
                return drop(self.owner.patiently(site, &lift).await.unwrap());
            }
            Change::Everyone { post } => return self.define(site, RoleId::everyone(space), 0, post).await,
            Change::Role { post } => return self.define(site, self.role, 1, post).await,
            Change::Give { author, role } => ChangeMember {
                roles: Some(role.then_some(self.role).into_iter().collect()),
                ..of(author)
            },
            Change::Mute { author, muted } => ChangeMember {
                muted: Some(muted),
                ..of(author)
            },
            Change::TimeOut { author, seconds } => ChangeMember {
                time_out_s: Some(seconds),
                ..of(author)
            },
        };
        drop(self.owner.patiently(site, &changed).await.unwrap());
    }

    async fn run(&self, site: &Site, changes: &[Change]) -> (usize, usize) {
        let posting = join_all(self.authors.iter().map(async |author| {
            let mut counts = (0, 0);
            for number in 0..POSTS {
                match author.say(site, self.home, &number.to_string()).await {
                    Ok(_) => counts.0 += 1,
                    Err(_) => counts.1 += 1,
                }
            }
            counts
        }));
        let changing = async {
            for change in changes {
                self.change(site, change).await;
            }
        };
        let (counts, ()) = futures::join!(posting, changing);
        counts
            .iter()
            .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }
}

/// The log, read in order.
#[derive(Default)]
struct Reading {
    space: SpaceState,
    /// What was the rule before, and until when.
    before: Vec<(SpaceState, Timestamp)>,
    members: HashMap<AccountId, Membership>,
    messages: usize,
}

impl Reading {
    fn take(&mut self, recorded: &Recorded) {
        let at = recorded.envelope.time;
        match &recorded.event {
            Event::Space(event) => {
                self.before.push((self.space.clone(), at));
                Space::evolve(&mut self.space, event);
            }
            Event::Member(event) => {
                self.members.insert(event.of().1, event.membership().clone());
            }
            Event::Room(RoomEvent::MessagePosted(message)) => self.judge(message, at, recorded),
            _ => {}
        }
    }

    fn judge(&mut self, message: &MessagePosted, at: Timestamp, recorded: &Recorded) {
        self.messages += 1;
        let membership = &self.members[&message.author];
        let present = at_present(membership, &self.space, at);
        let membership = present.as_ref().unwrap_or(membership);
        assert!(!membership.muted, "{} passed {membership:?}", recorded.position);
        let lately = self
            .before
            .iter()
            .filter(|(_, until)| until.time() + BOUND >= at.time());
        let mut rules = lately.map(|(space, _)| space).chain([&self.space]);
        let allowed = rules.any(|space| {
            let allowed = space.room_permissions(message.room, membership, message.author);
            allowed.has(Permission::Post)
        });
        assert!(
            allowed,
            "{} was allowed by no rule of the last second",
            recorded.position
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_stored_that_its_author_was_not_allowed() {
    let site = Site::start().await;
    let _first = site.worker().await;
    let _second = site.worker().await;
    let _third = site.worker().await;
    let seed: [u8; 32] = ambient::random();
    println!("seed {seed:?}");
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let (mut said, mut refused) = (0, 0);
    for _ in 0..CASES {
        let owner = site.person().await;
        let authors = [site.person().await, site.person().await, site.person().await];
        let case = Case {
            home: site.home(Preset::Open, owner, &authors).await,
            owner,
            authors,
            role: ambient::new_uuid().into(),
        };
        case.define(&site, case.role, 1, true).await;
        let plan = changes().new_tree(&mut runner).unwrap().current();
        let (yes, no) = case.run(&site, &plan).await;
        (said, refused) = (said + yes, refused + no);
        let mut reading = Reading::default();
        for recorded in site.events().await {
            let theirs = match &recorded.event {
                Event::Space(_) => recorded.subject == veza_events::Subject::Space(0, case.home.space),
                Event::Member(event) => event.of().0 == case.home.space,
                Event::Room(event) => event.space() == case.home.space,
                Event::Account(_)
                | Event::Handle(_)
                | Event::Report(_)
                | Event::Schedule(_)
                | Event::Call(_)
                | Event::Held(_) => false,
            };
            if theirs {
                reading.take(&recorded);
            }
        }
        assert_eq!(reading.messages, yes, "what was acked is what is stored");
    }
    assert!(said > CASES && refused > CASES, "{said} said, {refused} refused");
}

//! How rooms are listed and what differs in them, as tables.

use uuid::Uuid;
use veza_events::space::{
    CategoryChanged, CategoryCreated, CategoryRemoved, OverrideRemoved, OverrideSet, Place, RoleRemoved,
    RoomPlaced, SpaceEvent, Whom,
};
use veza_events::{CategoryId, Event, Permission, Permissions, RoleId, RoomId, Subject};
use veza_platform::ambient;
use veza_projector::projection::{self, RebuildOptions};
use veza_projector::workload::{Community, Fact};

use crate::site::Site;

fn fact(community: &Community, event: SpaceEvent) -> Fact {
    Fact {
        subject: Subject::Space(community.shard, community.space),
        actor: community.people[0],
        event: Event::Space(event),
    }
}

/// Rebuilds, and sees that it came out the same.
async fn rebuilt_alike(site: &Site) {
    let before = site.hashes("read").await;
    let bench = site.bench().await;
    let url = site.postgres.url();
    let make = async |schema: &'static str| veza_migrations::migrate_read(&url, schema).await;
    projection::rebuild(&bench, RebuildOptions::default(), make, |_| {})
        .await
        .unwrap();
    assert_eq!(site.hashes("read").await, before);
}

fn create(category: CategoryId, name: &str, position: u16) -> SpaceEvent {
    CategoryCreated {
        category,
        name: name.into(),
        position,
    }
    .into()
}

fn set(place: Place, whom: Whom, allow: Permissions, deny: Permissions) -> SpaceEvent {
    OverrideSet {
        place,
        whom,
        allow,
        deny,
    }
    .into()
}

fn put(room: RoomId, category: Option<CategoryId>, position: u16) -> SpaceEvent {
    RoomPlaced {
        room,
        category,
        position,
    }
    .into()
}

const NONE: Permissions = Permissions::NONE;
const VIEW: Permissions = Permissions::only(Permission::View);

/// In batches of their own, so that rows are changed as well as made.
fn batches(community: &Community, kept: CategoryId, gone: CategoryId) -> [Vec<SpaceEvent>; 4] {
    let everyone = Whom::Role(RoleId::everyone(community.space));
    let doomed: RoleId = ambient::new_uuid().into();
    let (first, second) = (community.rooms[0], community.rooms[1]);
    let member = |index: usize| Whom::Account(community.people[index]);
    let moved = CategoryChanged {
        category: kept,
        name: None,
        position: Some(1),
    };
    let lifted = OverrideRemoved {
        place: Place::Category(kept),
        whom: member(2),
    };
    [
        vec![
            create(kept, "kept", 2),
            create(gone, "gone", 1),
            put(first, Some(kept), 7),
        ],
        vec![
            moved.into(),
            set(Place::Room(first), everyone, NONE, VIEW),
            set(Place::Room(first), Whom::Role(doomed), VIEW, NONE),
            set(Place::Category(gone), everyone, NONE, VIEW),
            put(second, Some(kept), 3),
        ],
        vec![
            set(Place::Room(first), member(1), VIEW, NONE),
            set(Place::Category(kept), member(2), VIEW, NONE),
            CategoryRemoved { category: gone }.into(),
            RoleRemoved { role: doomed }.into(),
            put(second, None, 0),
        ],
        vec![lifted.into()],
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn categories_places_and_overrides_are_listed_and_rebuilt_alike() {
    let site = Site::new().await;
    let _projector = site.projector().await;
    let community = site.community().await;
    let (kept, gone) = (ambient::new_uuid().into(), ambient::new_uuid().into());
    for batch in batches(&community, kept, gone) {
        let facts = batch.into_iter().map(|event| fact(&community, event));
        site.scribe.write(facts.collect()).await.unwrap();
        site.caught_up().await;
    }
    let reader = site.reader(false).await;
    let listed = reader.categories(community.space).await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|one| (one.id, one.name.as_str(), one.position))
        .collect();
    assert_eq!(listed, [(kept, "kept", 1)]);
    let rooms = reader.rooms(community.space).await.unwrap();
    let first = community.rooms[0];
    let last = rooms.last().map(|room| (room.id, room.category, room.position));
    assert_eq!(last, Some((first, Some(kept), 7)));
    let mut others = rooms.iter().filter(|room| room.id != first);
    assert!(others.all(|room| room.category.is_none()));
    let overrides = reader.overrides(Place::Room(first)).await.unwrap();
    let overrides: Vec<_> = overrides
        .into_iter()
        .map(|one| (one.whom, one.allow, one.deny))
        .collect();
    let everyone = Whom::Role(RoleId::everyone(community.space));
    let member = Whom::Account(community.people[1]);
    assert_eq!(overrides, [(everyone, NONE, VIEW), (member, VIEW, NONE)]);
    for place in [
        Place::Category(kept),
        Place::Category(gone),
        Place::Room(Uuid::nil().into()),
    ] {
        assert_eq!(reader.overrides(place).await.unwrap(), []);
    }
    rebuilt_alike(&site).await;
}

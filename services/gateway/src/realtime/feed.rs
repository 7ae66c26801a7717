//! From the log to the rooms: one reader per stream, in the stream's own order.
//!
//! One subscription brings all events of a shard, watched or not. That is cheaper than one per room (an
//! event nobody watches costs a few microseconds, a subscription several KiB and a round trip), and it keeps
//! the order between rooms and memberships: after a ban, nothing more goes out.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tokio::time::Instant;
use veza_events::{SpaceId, Subject, member::MemberEvent, member::Standing, space::SpaceEvent};
use veza_platform::event_log::{Record, StreamName};

use super::hub::Hub;
use super::room::{Need, Room};

/// Events that are taken before what waits is handed out.
const MAX_BATCH: usize = 512;
/// Pause before the log is asked for its head again.
const AWAY: Duration = Duration::from_millis(200);

/// Reads a stream from now on, for as long as the process lives.
pub(super) async fn run(hub: Arc<Hub>, stream: StreamName) {
    let head = loop {
        match hub.log.head(&stream).await {
            Ok(head) => break head,
            Err(error) => {
                tracing::debug!(stream = %stream, error.message = %error, "the live feed waits for the log");
                tokio::time::sleep(AWAY).await;
            }
        }
    };
    let mut records = hub.log.follow(&stream, head);
    hub.feed_began();
    let mut dirty = Dirty::default();
    loop {
        let first = tokio::select! {
            biased;
            () = dirty.due() => None,
            first = records.next() => Some(first),
        };
        match first {
            None => {}
            Some(Some(Ok(record))) => {
                dispatch(&hub, record, &mut dirty).await;
                for _ in 1..MAX_BATCH {
                    let Some(Some(Ok(record))) = records.next().now_or_never() else {
                        break;
                    };
                    dispatch(&hub, record, &mut dirty).await;
                }
            }
            Some(Some(Err(error))) => {
                tracing::error!(stream = %stream, error.message = %error, "the live feed cannot go on; trying again");
                tokio::time::sleep(AWAY).await;
            }
            Some(None) => return,
        }
        dirty.flush(&hub);
    }
}

async fn dispatch(hub: &Arc<Hub>, record: Record, dirty: &mut Dirty) {
    match record.subject.parse() {
        Ok(Subject::Room(_, room)) => {
            if let Some(room) = hub.take(room, record).await {
                dirty.add(room);
            }
        }
        Ok(Subject::Member(_, space, account)) => {
            let need = Need {
                member: record.position.seq,
                space: 0,
            };
            let change = member_change(&record);
            if !matches!(change, MemberChange::Nothing) {
                hub.changes.note(space, Some(account), need.member);
            }
            if !matches!(change, MemberChange::Nothing) {
                // What was stored before reaches those whom the change concerns, too.
                dirty.flush_space(hub, space);
            }
            match change {
                MemberChange::Gone => {
                    hub.deny(space, account);
                    let position = &record.position;
                    hub.presence
                        .doubt(account, position.seq, position.stream.as_str());
                }
                MemberChange::Access => hub.recheck(space, account, need),
                MemberChange::Nothing => {}
            }
        }
        Ok(Subject::Space(_, space)) => {
            if changes_access(&record) {
                hub.changes.note(space, None, record.position.seq);
                dirty.flush_space(hub, space);
                hub.recheck_all(
                    space,
                    Need {
                        space: record.position.seq,
                        member: 0,
                    },
                );
            }
        }
        Ok(
            Subject::Account(_)
            | Subject::Handle(_)
            | Subject::Report(..)
            | Subject::Schedule(..)
            | Subject::Call(..)
            | Subject::Held(..),
        )
        | Err(_) => {}
    }
}

/// What a membership event means for those who watch.
enum MemberChange {
    /// The account is out.
    Gone,
    /// It may see other rooms than before.
    Access,
    /// It reads as before.
    Nothing,
}

fn kind(record: &Record) -> &str {
    record
        .headers
        .get(veza_events::header::TYPE)
        .map_or("", async_nats::HeaderValue::as_str)
}

fn member_change(record: &Record) -> MemberChange {
    match MemberEvent::decode(kind(record), &record.payload) {
        Some(Ok(event)) if event.membership().standing != Standing::Joined => MemberChange::Gone,
        Some(Ok(
            MemberEvent::Muted(_)
            | MemberEvent::Unmuted(_)
            | MemberEvent::TimedOut(_)
            | MemberEvent::TimeOutLifted(_)
            | MemberEvent::Released(_)
            | MemberEvent::Spoke(_),
        )) => MemberChange::Nothing,
        // A type that is not known here may mean anything.
        Some(_) | None => MemberChange::Access,
    }
}

fn changes_access(record: &Record) -> bool {
    match SpaceEvent::decode(kind(record), &record.payload) {
        Some(Ok(event)) => match event {
            SpaceEvent::Changed(event) => event.history.is_some(),
            SpaceEvent::RoomChanged(event) => event.history.is_some(),
            SpaceEvent::RoleDefined(_)
            | SpaceEvent::RoleRemoved(_)
            | SpaceEvent::RoomPlaced(_)
            | SpaceEvent::OverrideSet(_)
            | SpaceEvent::OverrideRemoved(_) => true,
            SpaceEvent::Created(_)
            | SpaceEvent::DirectOpened(_)
            | SpaceEvent::DirectAdded(_)
            | SpaceEvent::RoomCreated(_)
            | SpaceEvent::RoomArchived(_)
            | SpaceEvent::CategoryCreated(_)
            | SpaceEvent::CategoryChanged(_)
            | SpaceEvent::CategoryRemoved(_)
            | SpaceEvent::FiltersSet(_)
            | SpaceEvent::RaidBrakeSet(_)
            | SpaceEvent::Arrived(_)
            | SpaceEvent::RaidBegun(_)
            | SpaceEvent::RaidEnded(_)
            | SpaceEvent::InviteCreated(_)
            | SpaceEvent::InviteUsed(_)
            | SpaceEvent::InviteRevoked(_)
            | SpaceEvent::WebhookCreated(_)
            | SpaceEvent::WebhookSecretChanged(_)
            | SpaceEvent::WebhookRemoved(_)
            | SpaceEvent::SlashCommandDefined(_)
            | SpaceEvent::SlashCommandRemoved(_) => false,
        },
        Some(Err(_)) | None => true,
    }
}

/// Rooms in which something waits to be handed out.
#[derive(Default)]
struct Dirty {
    rooms: Vec<Arc<Room>>,
    /// When the first of those that were put off is due.
    next: Option<Instant>,
}

impl Dirty {
    fn add(&mut self, room: Arc<Room>) {
        if !self
            .rooms
            .iter()
            .rev()
            .take(8)
            .any(|known| Arc::ptr_eq(known, &room))
        {
            self.rooms.push(room);
        }
    }

    /// Hands out what is due; the rest is put off.
    fn flush(&mut self, hub: &Hub) {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        self.rooms.retain(|room| {
            let due = room.due(now);
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                return true;
            }
            hub.flush(room);
            false
        });
        self.next = next;
    }

    /// Hands out what waits in the rooms of a space, due or not.
    fn flush_space(&mut self, hub: &Hub, space: SpaceId) {
        self.rooms.retain(|room| {
            let of_it = room.space == space;
            if of_it {
                hub.flush(room);
            }
            !of_it
        });
    }

    async fn due(&self) {
        match self.next {
            Some(next) => tokio::time::sleep_until(next).await,
            None => std::future::pending().await,
        }
    }
}

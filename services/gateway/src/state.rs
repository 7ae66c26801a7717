//! What all requests and sockets of a gateway share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use veza_events::{AccountId, CommandId, RoomId, Shards, Subject};
use veza_platform::ambient;
use veza_platform::blobs::Blobs;
use veza_platform::bus::Bus;
use veza_platform::config::Config;
use veza_platform::contract::chat::InSpace;
use veza_platform::contract::media::{CallPlaced, PlaceCall};
use veza_platform::contract::{Caller, Command, Problem, ProblemKind};
use veza_platform::event_log::{EventLog, StreamName};
use veza_platform::exports::Exports;
use veza_platform::health::Health;
use veza_platform::kv::{Kv, KvError};
use veza_platform::ledger::{Ledger, read_problem};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::outgoing::Outgoing;
use veza_platform::push::{PushKeys, PushSubscriptions};
use veza_platform::telemetry::Metrics;
use veza_platform::tokens::Verifier;
use veza_platform::uploads::Uploads;
use veza_readmodel::ReadModel;

use crate::access::AccessCache;
use crate::choices::ChoiceBook;
use crate::digest;
use crate::drafts::{DraftBook, DraftLimits};
use crate::files::Intake;
use crate::http::Origins;
use crate::mentions::NameBook;
use crate::previews::Previews;
use crate::problems;
use crate::purge_book::PurgeBook;
use crate::reads::Reads;
use crate::rooms::RoomIndex;
use crate::tickets::Tickets;

/// Bucket of the command ids behind `Idempotency-Key`.
const IDEMPOTENCY: &str = "IDEMPOTENCY";
/// When too many commands are under way, how soon to try again, milliseconds.
const BUSY_RETRY_MS: u64 = 250;

/// The parts of a gateway. Always behind an [`Arc`].
pub struct Gateway {
    /// The settings in force.
    pub config: Arc<Config>,
    /// How spaces are cut into streams.
    pub shards: Shards,
    /// Tasks and stopping of this role.
    pub lifecycle: Lifecycle,
    /// The registry of metrics.
    pub metrics: Metrics,
    /// Readiness of the process.
    pub health: Health,
    /// The event log, to read.
    pub log: EventLog,
    /// The event log with the keys to what is sealed in it.
    pub ledger: Ledger,
    /// The read models.
    pub read: ReadModel,
    /// Checks access tokens.
    pub verifier: Verifier,
    /// What accounts may do in spaces.
    pub access: Arc<AccessCache>,
    /// Where rooms are.
    pub rooms: RoomIndex,
    /// How far accounts have read.
    pub reads: Arc<Reads>,
    /// Whom names in texts mean.
    pub(crate) names: NameBook,
    /// What people have begun to write.
    pub(crate) drafts: DraftBook,
    /// What accounts have chosen to be told of.
    pub choices: ChoiceBook,
    /// Tickets for sockets.
    pub tickets: Tickets,
    /// Which web pages may call.
    pub origins: Arc<Origins>,
    /// The connection under the bus, for feeds of one's own.
    pub nats: async_nats::Client,
    /// The store of files; none in an installation without files.
    pub(crate) blobs: Option<Blobs>,
    /// What is still to be taken back of who was banned.
    pub(crate) purges: PurgeBook,
    /// What people have asked to be exported.
    pub(crate) exports: Exports,
    /// Takes files in.
    pub(crate) intake: Intake,
    /// The devices that are told while nobody looks.
    pub(crate) push: PushSubscriptions,
    /// The keys that push services know this installation by.
    pub(crate) push_keys: PushKeys,
    /// Looks at pages that messages link to.
    pub(crate) previews: Previews,
    bus: Bus,
    idempotency: Kv<CommandId>,
    commands: Semaphore,
}

/// The parts that are opened before the gateway stands.
pub(crate) struct Parts {
    pub(crate) nats: async_nats::Client,
    pub(crate) ledger: Ledger,
    pub(crate) read: ReadModel,
    pub(crate) verifier: Verifier,
    pub(crate) origins: Arc<Origins>,
    pub(crate) blobs: Option<Blobs>,
    pub(crate) outgoing: Outgoing,
}

impl Gateway {
    pub(crate) fn new(runtime: &veza_platform::runtime::Runtime, parts: Parts) -> Arc<Self> {
        let config = Arc::clone(&runtime.config);
        let shards = shards(&config);
        let timeout = Duration::from_millis(config.gateway.command_timeout_ms);
        let bus = Bus::new(parts.nats.clone(), shards, timeout);
        let log = parts.ledger.log().clone();
        let ticket_life = Duration::from_millis(config.realtime.ticket_ttl_ms);
        let uploads = Uploads::new(&log, parts.ledger.keys().clone());
        Arc::new(Self {
            purges: PurgeBook::open(&log),
            exports: Exports::open(&log),
            intake: Intake::new(&config.files, &runtime.lifecycle, uploads),
            push: PushSubscriptions::open(&log, parts.ledger.keys().clone()),
            push_keys: PushKeys::open(&log, parts.ledger.keys().keks().clone()),
            previews: Previews::new(
                &config.previews,
                parts.outgoing,
                parts.read.clone(),
                &runtime.metrics,
            ),
            blobs: parts.blobs,
            shards,
            lifecycle: runtime.lifecycle.clone(),
            metrics: runtime.metrics.clone(),
            health: runtime.health.clone(),
            rooms: RoomIndex::new(log.clone(), parts.read.clone(), shards),
            access: Arc::new(access_of(bus.clone())),
            tickets: Tickets::new(&log, ticket_life),
            reads: Arc::new(Reads::new(
                &log,
                Duration::from_millis(config.realtime.read_marker_interval_ms),
            )),
            names: NameBook::new(parts.read.clone(), &runtime.metrics),
            drafts: DraftBook::new(&log, parts.ledger.keys().clone(), draft_limits(&config)),
            choices: ChoiceBook::new(&log),
            idempotency: Kv::open(&log, IDEMPOTENCY),
            ledger: parts.ledger,
            log,
            read: parts.read,
            verifier: parts.verifier,
            origins: parts.origins,
            nats: parts.nats,
            commands: Semaphore::new(config.gateway.max_commands_in_flight.min(Semaphore::MAX_PERMITS)),
            bus,
            config,
        })
    }

    /// Gives a command to the accounts workers.
    ///
    /// # Errors
    /// The worker's refusal; `platform.busy` or `platform.unavailable`.
    pub async fn accounts<C: Command>(&self, caller: &Caller, command: &C) -> Result<C::Reply, Problem> {
        let _turn = self.turn()?;
        self.bus.accounts(caller, command).await
    }

    /// Gives a command to the chat workers.
    ///
    /// # Errors
    /// As [`Self::accounts`].
    pub async fn chat<C: Command + InSpace>(
        &self,
        caller: &Caller,
        command: &C,
    ) -> Result<C::Reply, Problem> {
        let _turn = self.turn()?;
        self.bus.chat(caller, command).await
    }

    /// Asks the media workers who carries the calls of a room.
    ///
    /// # Errors
    /// As [`Self::accounts`].
    pub(crate) async fn place_call(&self, caller: &Caller, place: &PlaceCall) -> Result<CallPlaced, Problem> {
        let _turn = self.turn()?;
        self.bus.place_call(caller, place).await
    }

    /// Gives a command to the media worker of this name.
    ///
    /// # Errors
    /// As [`Self::accounts`].
    pub(crate) async fn media<C: Command>(
        &self,
        worker: &str,
        caller: &Caller,
        command: &C,
    ) -> Result<C::Reply, Problem> {
        let _turn = self.turn()?;
        self.bus.media(worker, caller, command).await
    }

    /// Notes that an account has read a room up to `seq`, or to its end. Returns which.
    ///
    /// # Errors
    /// `room.not_found`, `platform.busy`, `platform.unavailable`.
    pub(crate) async fn mark_read(&self, account: AccountId, room: RoomId, seq: u64) -> Result<u64, Problem> {
        let place = self.rooms.place(room).await?;
        self.access.in_room(account, place.space, place.gate).await?;
        let subject = Subject::Room(place.shard, room).to_string();
        let last = self.log.last(&subject).await.map_err(read_problem)?;
        let seq = seq.min(last.map_or(0, |last| last.position.seq));
        self.reads.mark(account, room, seq)?;
        Ok(seq)
    }

    /// Waits until the read model has reached a position, as long as the settings allow.
    ///
    /// # Errors
    /// `platform.behind` and what else the read model says.
    pub(crate) async fn reached(&self, stream: &StreamName, seq: u64) -> Result<(), Problem> {
        let within = Duration::from_millis(self.config.gateway.min_seq_wait_ms);
        let reached = self.read.wait_for(stream.as_str(), seq, within).await;
        reached.map_err(problems::of_read_model)
    }

    fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
        self.commands.try_acquire().map_err(|_| Problem {
            retry_after_ms: Some(BUSY_RETRY_MS),
            ..Problem::new(
                ProblemKind::Unavailable,
                "platform.busy",
                "too many commands are under way here",
            )
        })
    }

    /// The id of the command that the holder of `scope` asks for under `key` (an `Idempotency-Key`) by
    /// `operation`: the same for the same three, fresh for others.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub(crate) async fn command_of(
        &self,
        scope: &str,
        operation: &str,
        key: &str,
    ) -> Result<CommandId, Problem> {
        let name = digest::name_of(&[scope.as_bytes(), operation.as_bytes(), key.as_bytes()]);
        let fresh = CommandId::new(ambient::new_uuid());
        match self.idempotency.create(&name, &fresh).await {
            Ok(_) => Ok(fresh),
            Err(KvError::Conflict) => {
                let first = self.idempotency.get_consistent(&name).await?;
                // Only its age can have removed it in this very moment.
                Ok(first.map_or(fresh, |entry| entry.value))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// How spaces are cut into streams.
pub(crate) fn shards(config: &Config) -> Shards {
    // The settings allow at most 256.
    Shards::new(u16::try_from(config.nats.shards).unwrap_or(u16::MAX))
}

fn draft_limits(config: &Config) -> DraftLimits {
    DraftLimits {
        body_bytes: config.chat.max_message_bytes,
        drafts: config.chat.max_drafts_per_account,
    }
}

fn access_of(bus: Bus) -> AccessCache {
    use veza_platform::contract::chat::GetAccess;
    AccessCache::new(move |account, space| {
        let bus = bus.clone();
        Box::pin(async move {
            let caller = Caller::asking(account);
            bus.chat(&caller, &GetAccess { space }).await
        })
    })
}

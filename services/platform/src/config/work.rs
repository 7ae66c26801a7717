//! Settings of the roles behind the door: accounts, chat, projector.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sign-in, sessions and tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccountsConfig {
    /// Life of an access token, in seconds.
    pub access_token_ttl_s: u64,
    /// Life of a session from sign-in, in seconds; refreshing does not extend it.
    pub refresh_token_ttl_s: u64,
    /// Age at which the signing key is replaced, in seconds.
    pub key_rotation_s: u64,
    /// Memory of one password hash, in KiB.
    #[schemars(range(min = 8))]
    pub argon2_memory_kib: u32,
    /// Passes over that memory.
    #[schemars(range(min = 1))]
    pub argon2_iterations: u32,
    /// Lanes of one password hash.
    #[schemars(range(min = 1))]
    pub argon2_parallelism: u32,
    /// Password hashes computed at once; each takes `argon2_memory_kib` and one core.
    #[schemars(range(min = 1))]
    pub hash_concurrency: usize,
    /// Sign-ins that may wait for a hash; further ones are told to come back.
    #[schemars(range(min = 1))]
    pub hash_queue: usize,
    /// Shortest password, in characters.
    #[schemars(range(min = 8))]
    pub min_password_chars: usize,
    /// Most open sessions of one account; the oldest gives way.
    #[schemars(range(min = 1))]
    pub max_sessions_per_account: usize,
    /// Most bots that one account answers for.
    pub max_bots_per_account: usize,
    /// `iss` of tokens; empty means `gateway.public_url`.
    pub issuer: String,
    /// `aud` of tokens.
    pub audience: String,
    /// Accounts held in memory.
    pub cached_accounts: u64,
}

impl Default for AccountsConfig {
    fn default() -> Self {
        Self {
            access_token_ttl_s: 300,
            refresh_token_ttl_s: 2_592_000,
            key_rotation_s: 2_592_000,
            argon2_memory_kib: 65_536,
            argon2_iterations: 3,
            argon2_parallelism: 1,
            hash_concurrency: 2,
            hash_queue: 64,
            min_password_chars: 12,
            max_sessions_per_account: 100,
            max_bots_per_account: 20,
            issuer: String::new(),
            audience: "veza".into(),
            cached_accounts: 10_000,
        }
    }
}

/// Spaces, rooms, members and messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChatConfig {
    /// Longest message, in characters.
    #[schemars(range(min = 1))]
    pub max_message_chars: usize,
    /// Longest message, in bytes of UTF-8.
    #[schemars(range(min = 1))]
    pub max_message_bytes: usize,
    /// Most different reactions to one message.
    #[schemars(range(min = 1))]
    pub max_reactions_per_message: usize,
    /// Most pinned messages of a room.
    #[schemars(range(min = 1))]
    pub max_pins_per_room: usize,
    /// Most drafts that are kept of an account.
    #[schemars(range(min = 1))]
    pub max_drafts_per_account: usize,
    /// Most messages of one member of a space that wait for their time.
    pub max_scheduled_per_member: usize,
    /// How far ahead a message may be scheduled, in seconds.
    #[schemars(range(min = 1))]
    pub schedule_horizon_s: u64,
    /// Spaces held in memory.
    pub cached_spaces: u64,
    /// Memberships held in memory.
    pub cached_members: u64,
    /// Accounts whose blocks are held in memory.
    pub cached_people: u64,
    /// Members whose scheduled messages are held in memory.
    pub cached_schedules: u64,
    /// Threads of which the worker remembers where they hang.
    pub cached_threads: u64,
    /// Commands one worker works on at once.
    #[schemars(range(min = 1))]
    pub max_concurrent_commands: usize,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            max_message_chars: 4_000,
            max_message_bytes: 16_384,
            max_reactions_per_message: 20,
            max_pins_per_room: 100,
            max_drafts_per_account: 100,
            max_scheduled_per_member: 100,
            schedule_horizon_s: 31_536_000,
            cached_spaces: 10_000,
            cached_members: 200_000,
            cached_people: 100_000,
            cached_schedules: 10_000,
            cached_threads: 100_000,
            max_concurrent_commands: 1_024,
        }
    }
}

/// Building read models from the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectorConfig {
    /// Most events written in one transaction.
    #[schemars(range(min = 1))]
    pub batch_events: usize,
    /// Longest wait for a batch to fill once it has its first event, in milliseconds.
    pub batch_wait_ms: u64,
    /// Most bytes of one batch.
    #[schemars(range(min = 1))]
    pub batch_bytes: usize,
    /// Batches read ahead of the one being written.
    #[schemars(range(min = 1))]
    pub read_ahead_batches: usize,
    /// Pause after a failed transaction, in milliseconds; it doubles up to `max_retry_delay_ms`.
    pub retry_delay_ms: u64,
    /// Longest such pause, in milliseconds.
    pub max_retry_delay_ms: u64,
    /// How often a second instance asks for the lock of a stream, in milliseconds.
    pub lock_retry_ms: u64,
    /// Recent messages of a room kept in Redis.
    pub cached_timeline_events: usize,
    /// Life of a room's cached timeline after its last event, in seconds.
    pub cached_timeline_ttl_s: u64,
    /// Most members whose devices are told of one mention of a role or of everybody. A mention that means more is
    /// found in the room, among the mentions and in the counts of what is new.
    pub max_told_of_mention: usize,
}

impl Default for ProjectorConfig {
    fn default() -> Self {
        Self {
            batch_events: 2_000,
            batch_wait_ms: 5,
            batch_bytes: 4_194_304,
            read_ahead_batches: 2,
            retry_delay_ms: 100,
            max_retry_delay_ms: 5_000,
            lock_retry_ms: 1_000,
            cached_timeline_events: 200,
            cached_timeline_ttl_s: 604_800,
            max_told_of_mention: 500,
        }
    }
}

//! Settings of calls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// Calls: live sound and pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MediaConfig {
    /// Address and UDP port of the first shard; each further one takes the next port. Port 0 takes any that is free.
    pub listen: String,
    /// Addresses at which clients reach the worker, without ports, such as the public one of a machine behind NAT.
    /// Empty: the one it listens on, or that by which it reaches others.
    pub public_addresses: Vec<String>,
    /// Shards: threads that carry packets, each with a port of its own. One per core that calls may use.
    #[schemars(range(min = 1, max = 64))]
    pub shards: usize,
    /// UDP receive buffer of a shard, in bytes; the system may allow less (`net.core.rmem_max`).
    pub receive_buffer_bytes: usize,
    /// UDP send buffer of a shard, in bytes.
    pub send_buffer_bytes: usize,
    /// Bits per second that are assumed to get through to somebody before anything is known.
    #[schemars(range(min = 50_000))]
    pub initial_bitrate: u64,
    /// Most participants of one call.
    #[schemars(range(min = 1, max = 1000))]
    pub max_participants: usize,
    /// Most devices of one account in one call.
    #[schemars(range(min = 1))]
    pub max_devices_per_account: usize,
    /// How many others can be heard at once; of more, the loudest are.
    #[schemars(range(min = 1))]
    pub audio_slots: usize,
    /// How many others can be seen at once.
    #[schemars(range(min = 1))]
    pub video_slots: usize,
    /// STUN servers that clients are told, such as `stun:stun.example.org`. None are needed where clients reach the workers.
    pub stun_urls: Vec<String>,
    /// TURN servers that clients are told, such as `turn:turn.example.org:3478?transport=udp`.
    pub turn_urls: Vec<String>,
    /// The secret that the TURN servers share with this installation (`static-auth-secret` of coturn).
    pub turn_secret: Secret,
    /// How long a client may use a TURN server with what it was told, in seconds.
    #[schemars(range(min = 60))]
    pub turn_ttl_s: u64,
    /// Commands one call may have waiting; more are told to come back.
    #[schemars(range(min = 1))]
    pub command_queue: usize,
    /// Commands one worker works on at once.
    #[schemars(range(min = 1))]
    pub max_concurrent_commands: usize,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:7882".into(),
            public_addresses: Vec::new(),
            shards: 1,
            receive_buffer_bytes: 4_194_304,
            send_buffer_bytes: 4_194_304,
            initial_bitrate: 1_000_000,
            max_participants: 100,
            max_devices_per_account: 4,
            audio_slots: 4,
            video_slots: 12,
            stun_urls: Vec::new(),
            turn_urls: Vec::new(),
            turn_secret: Secret::default(),
            turn_ttl_s: 43_200,
            command_queue: 256,
            max_concurrent_commands: 1_024,
        }
    }
}

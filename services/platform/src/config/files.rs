//! Settings of the files that people send.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Files that people send with their messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FilesConfig {
    /// Largest file, in bytes.
    #[schemars(range(min = 1))]
    pub max_file_bytes: u64,
    /// Largest picture, in bytes: it is held in memory while it is looked at.
    #[schemars(range(min = 1))]
    pub max_image_bytes: u64,
    /// Largest picture, in pixels; a larger one is refused before it is decoded.
    #[schemars(range(min = 1))]
    pub max_image_pixels: u64,
    /// Largest recording that is listened to for its length and loudness, in bytes; a larger one is sent without.
    pub max_audio_bytes: u64,
    /// Most of a recording that is listened to, in seconds.
    pub max_audio_s: u64,
    /// Whether pictures lose what the camera wrote into them: place, time, device.
    pub strip_metadata: bool,
    /// Most files of one message.
    pub max_per_message: usize,
    /// Longest upload, in milliseconds.
    pub upload_timeout_ms: u64,
    /// Longest pause within an upload, in milliseconds.
    pub upload_pause_ms: u64,
    /// Most uploads under way in one gateway; beyond it callers are told to come back.
    #[schemars(range(min = 1))]
    pub max_uploads_in_flight: usize,
    /// Most pictures and recordings looked at at once in one gateway: each may take a core, and eight bytes a pixel.
    #[schemars(range(min = 1))]
    pub max_looks: usize,
    /// How long a file waits for its message, in seconds, before it is removed. More than a day, for so long a
    /// command can be repeated.
    pub unposted_ttl_s: u64,
    /// How long the bytes of a deleted message's files are kept, in seconds; nobody can see them meanwhile.
    pub deleted_grace_s: u64,
    /// How long an export that somebody asked for can be fetched, in seconds.
    #[schemars(range(min = 1))]
    pub export_ttl_s: u64,
    /// Largest export, in bytes.
    #[schemars(range(min = 1))]
    pub max_export_bytes: u64,
    /// How long a projector that makes an export may be silent before another begins it anew, in seconds.
    #[schemars(range(min = 1))]
    pub export_lease_s: u64,
    /// Age at which a stored file that nothing knows of is removed, in seconds.
    pub orphan_age_s: u64,
    /// Pause between two looks for such files, in seconds; each is at 1,000 objects.
    #[schemars(range(min = 1))]
    pub orphan_look_s: u64,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self {
            max_file_bytes: 104_857_600,
            max_image_bytes: 33_554_432,
            max_image_pixels: 50_000_000,
            max_audio_bytes: 33_554_432,
            max_audio_s: 3_600,
            strip_metadata: true,
            max_per_message: 10,
            upload_timeout_ms: 600_000,
            upload_pause_ms: 30_000,
            max_uploads_in_flight: 16,
            max_looks: 2,
            unposted_ttl_s: 90_000,
            deleted_grace_s: 3_600,
            export_ttl_s: 604_800,
            max_export_bytes: 53_687_091_200,
            export_lease_s: 30,
            orphan_age_s: 172_800,
            orphan_look_s: 600,
        }
    }
}

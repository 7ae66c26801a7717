//! Files that come with messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AttachmentId, Sealed, SealedField};

/// How a file is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentKind {
    /// A picture.
    Image,
    /// Moving pictures.
    Video,
    /// Music and the like.
    Audio,
    /// Something said, recorded for this message.
    Voice,
    /// Anything else.
    File,
}

/// A file that comes with a message. The bytes are not in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// The file.
    pub attachment: AttachmentId,
    /// How it is shown.
    pub kind: AttachmentKind,
    /// Its bytes.
    pub size: u64,
    /// What would tell something about who sent it.
    pub about: Sealed<AboutAttachment>,
}

/// What a file is called, and what it looks or sounds like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AboutAttachment {
    /// What it is called.
    pub name: String,
    /// Its media type, as its content says.
    pub media_type: String,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// Width and height of a picture, as it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<(u32, u32)>,
    /// What stands in for a picture until it is there (<https://blurha.sh>).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blur_hash: Option<String>,
    /// Smaller ones of a picture, smallest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thumbnails: Vec<Thumbnail>,
    /// How long it plays, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How loud it is in equal parts of its time, 0 to 255.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peaks: Vec<u8>,
}

/// A smaller picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Thumbnail {
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// Its bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

impl SealedField for Attachment {
    fn seal(&mut self, seal: &mut dyn FnMut(&[u8]) -> String) {
        self.about.seal(seal);
    }

    fn open(&mut self, open: &mut dyn FnMut(&str) -> Option<Vec<u8>>) {
        self.about.open(open);
    }
}

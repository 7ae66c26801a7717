//! Settings of what is shown of pages that messages link to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Previews of pages that messages link to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PreviewsConfig {
    /// Whether pages are looked at. Their servers learn the address of this installation, never those of readers.
    pub enabled: bool,
    /// Most links of one message that are looked at.
    pub max_links: usize,
    /// Most of a page that is read, in bytes; what stands behind is not looked for.
    #[schemars(range(min = 1))]
    pub max_page_bytes: usize,
    /// Largest picture of a page, in bytes. Pixels count as in `files.max_image_pixels`.
    #[schemars(range(min = 1))]
    pub max_picture_bytes: usize,
    /// Longest edge of a picture as it is shown, in pixels.
    #[schemars(range(min = 16, max = 4_096))]
    pub picture_edge_pixels: u32,
    /// How long is remembered what was found, in seconds.
    pub found_ttl_s: u64,
    /// How long is remembered that nothing was found, in seconds.
    pub nothing_ttl_s: u64,
    /// Most pages remembered in Redis; those that end first make room.
    pub cached_pages: usize,
    /// Most bytes of pictures that one gateway keeps in memory.
    pub cached_picture_bytes: u64,
}

impl Default for PreviewsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            max_links: 3,
            max_page_bytes: 1_048_576,
            max_picture_bytes: 4_194_304,
            picture_edge_pixels: 640,
            found_ttl_s: 86_400,
            nothing_ttl_s: 600,
            cached_pages: 50_000,
            cached_picture_bytes: 67_108_864,
        }
    }
}

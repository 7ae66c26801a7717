//! Files on their way in: what they are, what is shown of them, and what they must not carry.

mod audio;
mod blur_hash;
mod intake;
mod metadata;
mod name;
mod picture;
mod sniff;

use audio::Sound;
pub(crate) use intake::{Arrival, Intake};
use name::clean as clean_name;
pub(crate) use picture::Shown;
use picture::{Picture, PictureError, PictureLimits};
pub(crate) use sniff::is_inline;

/// Looks at a picture. Takes long: for a thread that may be held up.
fn picture(bytes: Vec<u8>, limits: PictureLimits) -> Result<Picture, PictureError> {
    picture::look(bytes, limits)
}

/// Makes a smaller picture. Takes long, too.
fn smaller(bytes: &[u8], pixels: u64, edge: u32) -> Result<Shown, PictureError> {
    picture::smaller(bytes, pixels, edge)
}

/// Listens to a recording. Takes long: for a thread that may be held up.
fn sound(bytes: Vec<u8>, max_seconds: u64) -> Sound {
    audio::listen(bytes, max_seconds)
}

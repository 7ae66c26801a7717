//! Pictures: how large they are, what stands in for them, and smaller ones.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::{blur_hash, metadata};

/// Longest edges of the smaller pictures.
const EDGES: [u32; 2] = [320, 1_280];
/// Longest edge of what a blur hash is made of.
const BLUR_EDGE: u32 = 32;
const JPEG_QUALITY: u8 = 80;
/// Bytes that decoding may take for each pixel, and some for its tables.
const BYTES_A_PIXEL: u64 = 8;
const DECODER_BYTES: u64 = 64 * 1024 * 1024;

/// What is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PictureLimits {
    /// Most pixels, before anything is decoded.
    pub(crate) pixels: u64,
    /// Whether the original is kept without its metadata.
    pub(crate) strip: bool,
}

/// Why a picture is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PictureError {
    /// More pixels than allowed.
    TooLarge { width: u32, height: u32 },
    /// Cannot be decoded.
    Broken,
}

/// A picture that was looked at.
#[derive(Debug)]
pub(crate) struct Picture {
    /// The original, as it is stored.
    pub(crate) original: Vec<u8>,
    /// As it is shown.
    pub(crate) width: u32,
    /// As it is shown.
    pub(crate) height: u32,
    pub(crate) blur_hash: String,
    /// Smallest first; none larger than the original.
    pub(crate) thumbnails: Vec<Small>,
}

/// A smaller picture.
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// A smaller picture, and what stands in for it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) small: Small,
    pub(crate) blur_hash: String,
}

/// A picture as it is shown, and how it lies in its file.
fn decoded(bytes: &[u8], pixels: u64) -> Result<(DynamicImage, ImageFormat, Orientation), PictureError> {
    let broken = |_: ImageError| PictureError::Broken;
    let format = image::guess_format(bytes).map_err(broken)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(pixels.saturating_mul(BYTES_A_PIXEL).saturating_add(DECODER_BYTES));
    reader.limits(allowed);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > pixels {
        return Err(PictureError::TooLarge { width, height });
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    picture.apply_orientation(orientation);
    Ok((picture, format, orientation))
}

fn blur(picture: &DynamicImage) -> String {
    blur_hash::hash(&picture.thumbnail(BLUR_EDGE, BLUR_EDGE).to_rgb8())
}

pub(super) fn smaller(bytes: &[u8], pixels: u64, edge: u32) -> Result<Shown, PictureError> {
    let (picture, ..) = decoded(bytes, pixels)?;
    // Never larger than it is.
    let edge = edge.min(picture.width().max(picture.height()));
    let small = small(&picture, edge).map_err(|_| PictureError::Broken)?;
    let blur_hash = blur(&picture);
    Ok(Shown { small, blur_hash })
}

pub(super) fn look(bytes: Vec<u8>, limits: PictureLimits) -> Result<Picture, PictureError> {
    let (picture, format, orientation) = decoded(&bytes, limits.pixels)?;
    let thumbnails = EDGES
        .iter()
        .filter(|edge| picture.width().max(picture.height()) > **edge)
        .map(|edge| small(&picture, *edge))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_: ImageError| PictureError::Broken)?;
    let blur_hash = blur(&picture);
    let (width, height) = (picture.width(), picture.height());
    drop(picture);
    let original = if limits.strip {
        let stripped = metadata::strip(format.to_mime_type(), &bytes, orientation.to_exif());
        stripped.ok_or(PictureError::Broken)?
    } else {
        bytes
    };
    Ok(Picture {
        original,
        width,
        height,
        blur_hash,
        thumbnails,
    })
}

/// JPEG, or PNG where something shines through.
fn small(picture: &DynamicImage, edge: u32) -> Result<Small, ImageError> {
    let smaller = picture.thumbnail(edge, edge);
    let mut bytes = Vec::new();
    let media_type = if smaller.color().has_alpha() {
        smaller
            .to_rgba8()
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)?;
        "image/png"
    } else {
        smaller
            .to_rgb8()
            .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))?;
        "image/jpeg"
    };
    Ok(Small {
        width: smaller.width(),
        height: smaller.height(),
        media_type,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage, Rgba, RgbaImage};

    use super::*;

    const LIMITS: PictureLimits = PictureLimits {
        pixels: 1_000_000,
        strip: true,
    };

    /// Left half red, right half blue.
    fn halves(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| {
            Rgb(if x < width / 2 { [250, 0, 0] } else { [0, 0, 250] })
        })
    }

    fn jpeg(picture: &RgbImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture
            .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 90))
            .unwrap();
        bytes
    }

    /// A camera's note: the orientation, and a place that is nobody's business.
    fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
        let mut tiff = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        tiff.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0]);
        tiff.extend_from_slice(b"GPS 48.8584 2.2945 Camera 4711");
        let length = u16::try_from(tiff.len() + 2).unwrap().to_be_bytes();
        [&jpeg[..2], &[0xff, 0xe1], &length, &tiff, &jpeg[2..]].concat()
    }

    fn says(bytes: &[u8], what: &[u8]) -> bool {
        bytes.windows(what.len()).any(|window| window == what)
    }

    #[test]
    fn a_photograph_keeps_its_side_up_and_loses_where_it_was_taken() {
        // 6: turned to the right when it is shown.
        let photo = with_exif(&jpeg(&halves(640, 400)), 6);
        let seen = look(photo.clone(), LIMITS).unwrap();
        assert_eq!((seen.width, seen.height), (400, 640));
        assert!(says(&photo, b"4711") && !says(&seen.original, b"4711") && !says(&seen.original, b"GPS"));
        let mut again = ImageReader::with_format(Cursor::new(&seen.original), ImageFormat::Jpeg)
            .into_decoder()
            .unwrap();
        assert_eq!(again.orientation().unwrap().to_exif(), 6);
        let pixels = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().to_rgb8();
        assert_eq!(pixels(&photo), pixels(&seen.original), "not a pixel is another");
        let small = &seen.thumbnails[0];
        assert_eq!((seen.thumbnails.len(), small.width, small.height), (1, 200, 320));
        let shown = image::load_from_memory(&small.bytes).unwrap().to_rgb8();
        assert!(shown.get_pixel(100, 20).0[0] > 200, "what was left is on top");
        assert!(!says(&small.bytes, b"Exif"));
    }

    #[test]
    fn texts_in_a_png_are_left_out_and_its_transparency_stays() {
        let mut bytes = Vec::new();
        let clear = RgbaImage::from_pixel(400, 10, Rgba([9, 9, 9, 0]));
        clear
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .unwrap();
        let text = b"\0\0\0\x0dtEXtAuthor\0Ada L.\0\0\0\0";
        let at = bytes.len() - 12;
        let tagged = [&bytes[..at], text, &bytes[at..]].concat();
        let seen = look(tagged, LIMITS).unwrap();
        assert_eq!(seen.original, bytes);
        assert_eq!(seen.thumbnails[0].media_type, "image/png");
    }

    #[test]
    fn too_many_pixels_are_refused_before_they_are_decoded() {
        let mut bytes = jpeg(&halves(64, 64));
        // The size in the frame header, as a bomb would write it.
        let at = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap() + 5;
        bytes[at..at + 4].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
        let refused = look(bytes, LIMITS).unwrap_err();
        assert_eq!(
            refused,
            PictureError::TooLarge {
                width: 65_535,
                height: 65_535
            }
        );
    }

    #[test]
    fn what_only_begins_like_a_picture_is_refused() {
        let whole = jpeg(&halves(64, 64));
        for bytes in [
            b"GIF89a".to_vec(),
            whole[..100].to_vec(),
            b"\x89PNG\r\n\x1a\nnothing".to_vec(),
        ] {
            assert_eq!(look(bytes, LIMITS).unwrap_err(), PictureError::Broken);
        }
    }

    #[test]
    fn a_smaller_picture_is_never_larger_and_says_nothing_else() {
        let photo = with_exif(&jpeg(&halves(640, 400)), 6);
        let shown = smaller(&photo, LIMITS.pixels, 320).unwrap();
        assert_eq!((shown.small.width, shown.small.height), (200, 320));
        assert!(!says(&shown.small.bytes, b"4711"));
        let shown = smaller(&jpeg(&halves(30, 20)), LIMITS.pixels, 320).unwrap();
        assert_eq!((shown.small.width, shown.small.height), (30, 20));
        assert_eq!(
            smaller(&photo, 1_000, 320).unwrap_err(),
            PictureError::TooLarge {
                width: 640,
                height: 400
            }
        );
        assert_eq!(smaller(b"<svg/>", 1_000, 320).unwrap_err(), PictureError::Broken);
    }

    #[test]
    fn a_small_picture_needs_no_smaller_one() {
        let seen = look(jpeg(&halves(300, 200)), LIMITS).unwrap();
        assert!(seen.thumbnails.is_empty());
        assert_eq!(seen.blur_hash.len(), 28);
    }
}

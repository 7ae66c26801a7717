//! Takes out of a picture what the camera wrote into it: where, when, with what. Pixels stay as they are.
//!
//! Only the orientation is kept, or pictures would lie on their side.

/// `bytes` of a picture of this type without its metadata; `None` when it is not built as it should be.
pub(super) fn strip(media_type: &str, bytes: &[u8], orientation: u8) -> Option<Vec<u8>> {
    match media_type {
        "image/jpeg" => jpeg(bytes, orientation),
        "image/png" => png(bytes),
        "image/webp" => webp(bytes),
        // A GIF carries comments at most.
        _ => Some(bytes.to_vec()),
    }
}

fn jpeg(bytes: &[u8], orientation: u8) -> Option<Vec<u8>> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    let mut kept = vec![0xff, 0xd8];
    let mut oriented = orientation <= 1;
    loop {
        let marker = match rest {
            [0xff, 0xff, ..] => {
                rest = &rest[1..];
                continue;
            }
            [0xff, marker, ..] => *marker,
            _ => return None,
        };
        // The picture itself: everything from the first scan on.
        if marker == 0xda {
            if !oriented {
                kept.extend_from_slice(&exif(orientation));
            }
            // Behind the end of the picture cameras put more pictures, and depth, and films.
            let end = rest
                .windows(2)
                .position(|pair| pair == [0xff, 0xd9])
                .map(|at| at + 2)?;
            kept.extend_from_slice(&rest[..end]);
            return Some(kept);
        }
        let length = usize::from(u16::from_be_bytes(*rest.get(2..)?.first_chunk()?));
        let segment = rest.get(..2 + length).filter(|_| length >= 2)?;
        rest = &rest[2 + length..];
        // JFIF, the colour profile and Adobe's note about colours change what is seen.
        let is_seen = match marker {
            0xe0 | 0xee => true,
            0xe2 => segment[4..].starts_with(b"ICC_PROFILE"),
            0xe1..=0xef | 0xfe => false,
            _ => true,
        };
        if is_seen {
            kept.extend_from_slice(segment);
            if marker == 0xe0 && !oriented {
                kept.extend_from_slice(&exif(orientation));
                oriented = true;
            }
        }
    }
}

/// A segment that says which side is up and nothing else (TIFF 6.0, tag 0x0112).
fn exif(orientation: u8) -> Vec<u8> {
    let mut segment = vec![0xff, 0xe1, 0, 34];
    segment.extend_from_slice(b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0");
    segment.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0]);
    segment
}

fn png(bytes: &[u8]) -> Option<Vec<u8>> {
    let (signature, mut rest) = bytes.split_at_checked(8)?;
    let mut kept = signature.to_vec();
    while !rest.is_empty() {
        let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
        let chunk = rest.get(..length.checked_add(12)?)?;
        let kind = &chunk[4..8];
        if !matches!(kind, b"eXIf" | b"tEXt" | b"zTXt" | b"iTXt" | b"tIME") {
            kept.extend_from_slice(chunk);
        }
        rest = &rest[chunk.len()..];
        if kind == b"IEND" {
            break;
        }
    }
    Some(kept)
}

fn webp(bytes: &[u8]) -> Option<Vec<u8>> {
    let (head, mut rest) = bytes.split_at_checked(12)?;
    let mut kept = head.to_vec();
    while rest.len() >= 8 {
        let length = usize::try_from(u32::from_le_bytes(*rest.get(4..)?.first_chunk()?)).ok()?;
        let whole = length.checked_add(8)?.checked_add(length % 2)?.min(rest.len());
        let chunk = rest.get(..whole).filter(|chunk| chunk.len() >= 8 + length)?;
        match &chunk[..4] {
            b"EXIF" | b"XMP " => {}
            b"VP8X" => {
                let begin = kept.len();
                kept.extend_from_slice(chunk);
                // Bits that announce what is no longer there.
                *kept.get_mut(begin + 8)? &= !(0x08 | 0x04);
            }
            _ => kept.extend_from_slice(chunk),
        }
        rest = &rest[whole..];
    }
    let size = u32::try_from(kept.len() - 8).ok()?;
    kept[4..8].copy_from_slice(&size.to_le_bytes());
    Some(kept)
}

//! What a file is, by its first bytes. What a client says it is counts for nothing.

use veza_events::attachment::AttachmentKind;

/// First bytes that are looked at.
pub(crate) const LOOK: usize = 4_096;

/// What a file was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) media_type: &'static str,
    pub(crate) kind: AttachmentKind,
}

/// Types that a browser may show in place: none of them can run anything.
const INLINE: [&str; 13] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "audio/mpeg",
    "audio/flac",
    "audio/ogg",
    "audio/wav",
    "audio/mp4",
    "audio/webm",
    "video/mp4",
    "video/webm",
    "text/plain; charset=utf-8",
];

/// Whether a browser may show this type in place.
pub(crate) fn is_inline(media_type: &str) -> bool {
    INLINE.contains(&media_type)
}

impl Content {
    /// What begins with `head`, the first [`LOOK`] bytes or all of a shorter file.
    pub(crate) fn of(head: &[u8]) -> Self {
        use AttachmentKind::{Audio, File, Image, Video};
        let (media_type, kind) = match head {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => ("image/png", Image),
            [0xff, 0xd8, 0xff, ..] => ("image/jpeg", Image),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => ("image/gif", Image),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => ("image/webp", Image),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => ("audio/wav", Audio),
            [b'f', b'L', b'a', b'C', ..] => ("audio/flac", Audio),
            [b'O', b'g', b'g', b'S', ..] if has(head, b"\x80theora") => ("video/ogg", Video),
            [b'O', b'g', b'g', b'S', ..] => ("audio/ogg", Audio),
            [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2 | 0xfa, ..] => ("audio/mpeg", Audio),
            [0x1a, 0x45, 0xdf, 0xa3, ..]
                if has(head, b"webm") && !has(head, b"V_VP") && !has(head, b"V_AV1") =>
            {
                ("audio/webm", Audio)
            }
            [0x1a, 0x45, 0xdf, 0xa3, ..] if has(head, b"webm") => ("video/webm", Video),
            [_, _, _, _, b'f', b't', b'y', b'p', b'M', b'4', b'A', ..] => ("audio/mp4", Audio),
            [_, _, _, _, b'f', b't', b'y', b'p', b'q', b't', ..] => ("video/quicktime", Video),
            [
                _,
                _,
                _,
                _,
                b'f',
                b't',
                b'y',
                b'p',
                b'i' | b'm' | b'a' | b'd' | b'M',
                ..,
            ] if is_mp4(head) => ("video/mp4", Video),
            [b'%', b'P', b'D', b'F', b'-', ..] => ("application/pdf", File),
            [b'P', b'K', 3 | 5, 4 | 6, ..] => ("application/zip", File),
            [0x1f, 0x8b, ..] => ("application/gzip", File),
            _ if is_plain(head) => ("text/plain; charset=utf-8", File),
            _ => ("application/octet-stream", File),
        };
        Self { media_type, kind }
    }
}

fn has(head: &[u8], what: &[u8]) -> bool {
    head.windows(what.len()).any(|window| window == what)
}

/// Not the pictures that share the container.
fn is_mp4(head: &[u8]) -> bool {
    let brand = head.get(8..12).unwrap_or_default();
    matches!(
        brand,
        b"isom" | b"iso2" | b"iso4" | b"iso5" | b"iso6" | b"mp41" | b"mp42" | b"avc1" | b"dash" | b"MSNV"
    )
}

/// Text that says nothing to a browser but itself: whole UTF-8 without controls, and no markup at its beginning.
fn is_plain(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut in half.
        Err(error) if head.len() - error.valid_up_to() < 4 && error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let markup = text.trim_start_matches('\u{feff}').trim_start().starts_with('<');
    !text.is_empty()
        && !markup
        && !text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_and_not_what_it_claims_to_be() {
        for (head, media_type) in [
            (b"\x89PNG\r\n\x1a\nrest".as_slice(), "image/png"),
            (b"\xff\xd8\xff\xe1", "image/jpeg"),
            (b"GIF89a", "image/gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
            (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
            (b"\0\0\0\x20ftypisom", "video/mp4"),
            (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
            (b"\0\0\0\x20ftypavif", "application/octet-stream"),
            (b"\x1a\x45\xdf\xa3....webm....A_OPUS", "audio/webm"),
            (b"\x1a\x45\xdf\xa3....webm....V_VP9", "video/webm"),
            (b"%PDF-1.7", "application/pdf"),
            (
                "plain, and d\u{e9}j\u{e0} vu".as_bytes(),
                "text/plain; charset=utf-8",
            ),
            (b"  <svg onload=alert(1)>", "application/octet-stream"),
            (b"<!DOCTYPE html>", "application/octet-stream"),
            (b"MZ\x90\0", "application/octet-stream"),
            (b"", "application/octet-stream"),
        ] {
            assert_eq!(Content::of(head).media_type, media_type, "{head:?}");
        }
    }

    #[test]
    fn nothing_that_runs_is_shown_in_place() {
        for media_type in [
            "text/html",
            "image/svg+xml",
            "application/pdf",
            "application/octet-stream",
            "text/xml",
        ] {
            assert!(!is_inline(media_type));
        }
        assert!(is_inline(Content::of(b"GIF89a").media_type));
    }
}

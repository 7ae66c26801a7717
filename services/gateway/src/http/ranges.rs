//! Parts of a file (RFC 9110, 14): one, several as `multipart/byteranges`, or all of it.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::{HeaderValue, StatusCode, header};
use poem::{Body, Response};
use veza_platform::ambient;
use veza_platform::blobs::BlobReader;
use veza_platform::contract::ProblemKind;
use veza_platform::keyring::hex;

use super::problem::Failure;

/// Parts of one answer; who asks for more gets the whole.
const MAX_PARTS: usize = 8;

type Bits = BoxStream<'static, Result<Bytes, std::io::Error>>;

/// What of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Parts(Vec<Range<u64>>),
    Nothing,
}

/// The answer to a request for `range` of a file, streamed while it is read.
///
/// # Errors
/// `request.range` when no part of it lies in the file.
pub(super) fn answer(
    reader: &BlobReader,
    range: Option<&str>,
    media_type: &str,
) -> Result<Response, Failure> {
    let size = reader.size();
    let (status, content_type, content_range, length, body) = match asked(range, size) {
        Asked::All => (
            StatusCode::OK,
            media_type.to_owned(),
            None,
            size,
            part(reader, 0..size),
        ),
        Asked::Nothing => {
            let detail = format!("the file has {size} bytes, and nothing was asked for that lies in it");
            return Err(Failure::new(ProblemKind::Malformed, "request.range", detail)
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE));
        }
        Asked::Parts(parts) => match &parts[..] {
            [one] => (
                StatusCode::PARTIAL_CONTENT,
                media_type.to_owned(),
                Some(content_range(one, size)),
                one.end - one.start,
                part(reader, one.clone()),
            ),
            several => {
                let boundary = hex(&ambient::random::<12>());
                let (length, body) = byteranges(reader, several, &boundary, media_type);
                let content_type = format!("multipart/byteranges; boundary={boundary}");
                (StatusCode::PARTIAL_CONTENT, content_type, None, length, body)
            }
        },
    };
    let mut response = Response::builder()
        .status(status)
        .body(Body::from_bytes_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    let texts = [
        (header::CONTENT_TYPE, Some(content_type)),
        (header::CONTENT_RANGE, content_range),
    ];
    for (name, value) in texts {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

fn part(reader: &BlobReader, range: Range<u64>) -> Bits {
    reader
        .read(range)
        .map(|bytes| {
            bytes.map_err(|error| {
                tracing::warn!(%error, "a file broke off while it was sent");
                std::io::Error::other("the file cannot be read any further")
            })
        })
        .boxed()
}

fn byteranges(reader: &BlobReader, parts: &[Range<u64>], boundary: &str, media_type: &str) -> (u64, Bits) {
    let (mut length, mut pieces): (u64, Vec<Bits>) = (0, Vec::new());
    let say = |text: String, length: &mut u64| {
        *length += text.len() as u64;
        stream::iter([Ok(Bytes::from(text))]).boxed()
    };
    for range in parts {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {}\r\n\r\n",
            content_range(range, reader.size())
        );
        pieces.push(say(head, &mut length));
        length += range.end - range.start;
        pieces.push(part(reader, range.clone()));
    }
    pieces.push(say(format!("\r\n--{boundary}--\r\n"), &mut length));
    (length, stream::iter(pieces).flatten().boxed())
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// What cannot be read asks for everything, as RFC 9110 wants it.
fn asked(header: Option<&str>, size: u64) -> Asked {
    let Some(wanted) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Asked::All;
    };
    let mut parts = Vec::new();
    for one in wanted.split(',').map(str::trim) {
        let Some((first, last)) = one.split_once('-') else {
            return Asked::All;
        };
        let number = |text: &str| {
            text.parse::<u64>()
                .ok()
                .filter(|_| text.bytes().all(|c| c.is_ascii_digit()))
        };
        let part = match (first, last) {
            ("", last) => number(last).map(|count| size.saturating_sub(count)..size),
            (first, "") => number(first).map(|begin| begin..size),
            (first, last) => match (number(first), number(last)) {
                (Some(begin), Some(last)) if begin <= last => Some(begin..last.saturating_add(1).min(size)),
                _ => None,
            },
        };
        match part {
            None => return Asked::All,
            Some(part) if part.start < part.end => parts.push(part),
            Some(_) => {}
        }
    }
    match parts.len() {
        0 => Asked::Nothing,
        1..=MAX_PARTS => Asked::Parts(parts),
        _ => Asked::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (range, expected) in [
            ("bytes=0-0", &[(0, 1)][..]),
            ("bytes=10-", &[(10, 100)][..]),
            ("bytes=-10", &[(90, 100)][..]),
            ("bytes=-1000", &[(0, 100)][..]),
            ("bytes=90-500", &[(90, 100)][..]),
            ("bytes=0-1, 5-6,-2", &[(0, 2), (5, 7), (98, 100)][..]),
            ("bytes=0-1,200-300", &[(0, 2)][..]),
        ] {
            let expected = expected.iter().map(|(begin, end)| *begin..*end).collect();
            assert_eq!(asked(Some(range), 100), Asked::Parts(expected), "{range}");
        }
    }

    #[test]
    fn what_cannot_be_read_asks_for_everything() {
        let many = format!("bytes={}", ["0-1"; 9].join(","));
        for range in [
            "bytes=5-1",
            "bytes=",
            "bytes=a-b",
            "lines=1-2",
            "bytes=+1-2",
            "bytes=-",
            &many,
        ] {
            assert_eq!(asked(Some(range), 100), Asked::All, "{range}");
        }
        assert_eq!(asked(None, 100), Asked::All);
    }

    #[test]
    fn what_lies_behind_the_end_is_nothing() {
        for (range, size) in [("bytes=100-", 100), ("bytes=0-", 0), ("bytes=-0", 100)] {
            assert_eq!(asked(Some(range), size), Asked::Nothing, "{range}");
        }
    }
}

//! The bytes around a payload: RFC 6455 framing of whole, unmasked server frames.

use bytes::{BufMut, Bytes, BytesMut};
use schemars::Schema;
use schemars::transform::Transform;
use serde_json::{Value, json};

const TEXT: u8 = 0x81;
/// A whole binary frame.
pub(super) const BINARY: u8 = 0x82;
/// The longest header of a server's frame: two bytes and a 64-bit length.
pub(super) const MAX_HEADER: usize = 10;

/// One whole text frame, ready to be written. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    bytes: Bytes,
    header: u8,
}

impl Frame {
    /// A frame around a JSON text.
    pub(crate) fn text(json: &[u8]) -> Self {
        let mut bytes = BytesMut::with_capacity(MAX_HEADER + json.len());
        put_header(&mut bytes, TEXT, json.len());
        let header = header_len(json.len());
        bytes.put_slice(json);
        Self {
            bytes: bytes.freeze(),
            header,
        }
    }

    /// Header and payload.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The JSON text alone.
    pub(crate) fn json(&self) -> &[u8] {
        &self.bytes[usize::from(self.header)..]
    }

    /// Bytes on the wire.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Puts the `t` of a frame that is a struct into its schema; `schemars` does so for enums only.
pub(super) struct Tag(pub(super) &'static str);

impl Transform for Tag {
    fn transform(&mut self, schema: &mut Schema) {
        let mut put = |part: &str, value: Value| {
            let empty = if value.is_object() { json!({}) } else { json!([]) };
            match (schema.ensure_object().entry(part).or_insert(empty), value) {
                (Value::Object(fields), Value::Object(more)) => fields.extend(more),
                (Value::Array(values), Value::Array(more)) => values.extend(more),
                (other, value) => *other = value,
            }
        };
        put("properties", json!({"t": {"type": "string", "const": self.0}}));
        put("required", json!(["t"]));
    }
}

/// Several frames as one piece, so that one write takes them all. A single frame is not copied.
pub(crate) fn join<'a>(frames: impl ExactSizeIterator<Item = &'a Frame> + Clone) -> Bytes {
    if frames.len() == 1 {
        return frames
            .into_iter()
            .next()
            .map_or_else(Bytes::new, |frame| frame.bytes.clone());
    }
    let mut joined = BytesMut::with_capacity(frames.clone().map(Frame::len).sum());
    for frame in frames {
        joined.put_slice(&frame.bytes);
    }
    joined.freeze()
}

/// Takes the first frame off some that are joined; gives its payload. `None` when no whole one is left.
pub(crate) fn split_first(joined: &mut Bytes) -> Option<Bytes> {
    let (header, payload) = match *joined.get(1)? {
        126 => {
            let length: [u8; 2] = joined.get(2..4)?.try_into().ok()?;
            (4, usize::from(u16::from_be_bytes(length)))
        }
        127 => {
            let length: [u8; 8] = joined.get(2..10)?.try_into().ok()?;
            (10, usize::try_from(u64::from_be_bytes(length)).ok()?)
        }
        short => (2, usize::from(short)),
    };
    if joined.len() - header.min(joined.len()) < payload {
        return None;
    }
    let mut frame = joined.split_to(header + payload);
    Some(frame.split_off(header))
}

fn header_len(payload: usize) -> u8 {
    match payload {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "each arm holds only lengths that fit"
)]
pub(super) fn put_header(out: &mut BytesMut, kind: u8, payload: usize) {
    out.put_u8(kind);
    match payload {
        0..=125 => out.put_u8(payload as u8),
        126..=0xffff => {
            out.put_u8(126);
            out.put_u16(payload as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(payload as u64);
        }
    }
}

/// Why a socket is closed, as its close frame says. 4xxx are ours, the others RFC 6455's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CloseCode {
    /// 4000: this gateway restarts; connect again and resume.
    Restarting,
    /// 4001: no valid ticket. Final.
    Unauthenticated,
    /// 4003: the session is revoked. Final.
    Revoked,
    /// 4008: the client reads too slowly; connect again and resume.
    Slow,
    /// 4009: nothing was heard for two heartbeats; connect again and resume.
    Heartbeat,
    /// 1002: not the WebSocket protocol.
    Protocol,
    /// 1003: a binary frame.
    Binary,
    /// 1007: not UTF-8.
    NotUtf8,
    /// 1008: went on after many frames were refused for their rate.
    Flood,
    /// 1009: a frame above the limit.
    TooLarge,
    /// 1013: too many sockets of one account; try again later.
    TooMany,
}

impl CloseCode {
    /// The number on the wire.
    pub(crate) const fn number(self) -> u16 {
        match self {
            Self::Restarting => 4000,
            Self::Unauthenticated => 4001,
            Self::Revoked => 4003,
            Self::Slow => 4008,
            Self::Heartbeat => 4009,
            Self::Protocol => 1002,
            Self::Binary => 1003,
            Self::NotUtf8 => 1007,
            Self::Flood => 1008,
            Self::TooLarge => 1009,
            Self::TooMany => 1013,
        }
    }

    /// The words beside the number, for people.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Restarting => "restarting",
            Self::Unauthenticated => "unauthenticated",
            Self::Revoked => "revoked",
            Self::Slow => "slow",
            Self::Heartbeat => "heartbeat",
            Self::Protocol => "protocol error",
            Self::Binary => "binary frames are not understood",
            Self::NotUtf8 => "not UTF-8",
            Self::Flood => "too many frames",
            Self::TooLarge => "too large",
            Self::TooMany => "too many sockets",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_as_short_as_the_length_allows() {
        for (payload, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let frame = Frame::text(&vec![b'x'; payload]);
            assert_eq!(frame.len(), payload + header, "{payload}");
            assert_eq!(frame.json().len(), payload);
        }
        assert_eq!(&Frame::text(b"{}").bytes()[..], b"\x81\x02{}");
        assert_eq!(Frame::text(&[b'x'; 300]).bytes()[..4], [0x81, 126, 1, 44]);
    }

    #[test]
    fn joined_frames_come_apart_as_they_were() {
        let texts = [1, 125, 126, 65_535, 65_536].map(|length| vec![b'x'; length]);
        let frames = texts.clone().map(|text| Frame::text(&text));
        let mut joined = join(frames.iter());
        for text in texts {
            assert_eq!(split_first(&mut joined).unwrap(), text);
        }
        assert_eq!((split_first(&mut joined), joined.len()), (None, 0));
        let whole = Frame::text(&[b'x'; 300]);
        for length in 0..whole.len() {
            assert_eq!(split_first(&mut whole.bytes().slice(..length)), None, "{length}");
        }
    }

    #[test]
    fn joined_frames_are_the_frames_one_after_another() {
        let frames = [Frame::text(b"1"), Frame::text(b"22")];
        assert_eq!(&join(frames.iter())[..], b"\x81\x011\x81\x0222");
        assert_eq!(
            join(frames[..1].iter()).as_ptr(),
            frames[0].bytes().as_ptr(),
            "not copied"
        );
    }
}

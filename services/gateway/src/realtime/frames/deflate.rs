//! Events for clients that asked for less to read: raw deflate (RFC 1951) in binary frames, compressed once for
//! all of them.

use std::cell::RefCell;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress, Status};

use super::Frame;
use super::wire::{BINARY, MAX_HEADER, put_header};

thread_local! {
    /// Its tables are large, so one per thread is kept and begun anew for each frame.
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// Several frames as one piece, those of more than `min` bytes compressed.
pub(crate) fn join_deflated<'a>(
    frames: impl ExactSizeIterator<Item = &'a Frame> + Clone,
    min: usize,
) -> Bytes {
    let mut joined = BytesMut::with_capacity(frames.clone().map(Frame::len).sum());
    for frame in frames {
        let small = if frame.len() > min {
            deflated(frame.json())
        } else {
            None
        };
        match small {
            Some(small) => {
                put_header(&mut joined, BINARY, small.len());
                joined.put_slice(&small);
            }
            None => joined.put_slice(frame.bytes()),
        }
    }
    joined.freeze()
}

/// `None` when it would not be shorter.
fn deflated(json: &[u8]) -> Option<Vec<u8>> {
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        let mut small = Vec::with_capacity(json.len().saturating_sub(MAX_HEADER));
        let status = compress.compress_vec(json, &mut small, FlushCompress::Finish);
        matches!(status, Ok(Status::StreamEnd)).then_some(small)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn inflated(bytes: &[u8]) -> Vec<u8> {
        let mut json = Vec::new();
        flate2::read::DeflateDecoder::new(bytes)
            .read_to_end(&mut json)
            .unwrap();
        json
    }

    #[test]
    fn only_frames_above_the_bound_are_compressed_and_only_if_it_helps() {
        let long = Frame::text("so it goes ".repeat(100).as_bytes());
        let short = Frame::text(b"{}");
        let joined = join_deflated([&short, &long].into_iter(), 512);
        assert_eq!(joined[..4], *b"\x81\x02{}");
        assert_eq!(joined[4], BINARY);
        assert!(joined.len() < 100, "{}", joined.len());
        assert_eq!(inflated(&joined[6..]), long.json());
        let noise: Vec<u8> = (0..40)
            .flat_map(|n| *Uuid::new_v5(&Uuid::from_u128(n), b"noise").as_bytes())
            .collect();
        let noise = Frame::text(&noise);
        assert_eq!(join_deflated([&noise].into_iter(), 512), noise.bytes());
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_out_as_it_was(text in "[ -~]{0,60}", times in 1..40_usize) {
            let text = text.repeat(times);
            if let Some(small) = deflated(text.as_bytes()) {
                prop_assert!(small.len() < text.len());
                prop_assert_eq!(inflated(&small), text.as_bytes());
            }
        }
    }
}

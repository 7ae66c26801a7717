//! How a file is encrypted before it leaves us: in chunks, each under AES-256-GCM, so that any part of it can
//! be read without the rest (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015).
//!
//! ```text
//! head:   "VZB1" ‖ id of the data key (16) ‖ salt (32)
//! chunk:  ciphertext of 64 KiB, the last one shorter ‖ tag (16)
//! ```
//!
//! Each file has a key of its own, derived from data key, salt and name; so a nonce is the number of the
//! chunk and a mark for the last one. No chunk can be changed, left out, moved, or taken for one of another
//! file.

use std::ops::Range;

use aws_lc_rs::aead::{self, AES_256_GCM, LessSafeKey, NONCE_LEN, Nonce};
use uuid::Uuid;
use veza_events::KeyId;

use crate::ambient;
use crate::keyring::{Aad, DataKey};

/// Clear bytes of a chunk.
pub(super) const CHUNK: u64 = 65_536;
const TAG: u64 = 16;
const MAGIC: &[u8; 4] = b"VZB1";
const SALT_LEN: usize = 32;
/// Bytes before the first chunk.
pub(super) const HEAD: u64 = 4 + 16 + 32;

/// What a stored file begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) key: KeyId,
    salt: [u8; SALT_LEN],
}

impl Head {
    pub(super) fn fresh(key: KeyId) -> Self {
        Self {
            key,
            salt: ambient::random(),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        [MAGIC.as_slice(), self.key.uuid().as_bytes(), &self.salt].concat()
    }

    /// `None` when the file does not begin as ours do.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (key, rest) = rest.split_first_chunk::<16>()?;
        let (salt, _) = rest.split_first_chunk::<SALT_LEN>()?;
        Some(Self {
            key: KeyId::new(Uuid::from_bytes(*key)),
            salt: *salt,
        })
    }
}

/// Seals and opens the chunks of one file.
pub(super) struct Cipher {
    key: LessSafeKey,
}

impl Cipher {
    pub(super) fn new(data_key: &DataKey, head: &Head, name: &str) -> Self {
        let bound = Aad::framed(&[b"veza.blob", name.as_bytes(), &head.bytes()]);
        Self {
            key: data_key.derived_aead(&bound),
        }
    }

    /// Appends the sealed chunk to `into`.
    pub(super) fn seal(&self, index: u32, last: bool, clear: &[u8], into: &mut Vec<u8>) {
        let begin = into.len();
        into.extend_from_slice(clear);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(index, last), aead::Aad::empty(), &mut into[begin..])
            .expect("a chunk is far below what AES-GCM takes");
        into.extend_from_slice(tag.as_ref());
    }

    /// Opens a sealed chunk in place; `None` when it is not the one it should be.
    pub(super) fn open<'a>(&self, index: u32, last: bool, sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        self.key
            .open_in_place(nonce(index, last), aead::Aad::empty(), sealed)
            .ok()
            .map(|clear| &*clear)
    }
}

fn nonce(index: u32, last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[7..11].copy_from_slice(&index.to_be_bytes());
    bytes[11] = u8::from(last);
    Nonce::assume_unique_for_key(bytes)
}

/// Where the chunks of a file of `size` clear bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    size: u64,
}

impl Layout {
    pub(super) fn of(size: u64) -> Self {
        debug_assert_eq!(AES_256_GCM.tag_len() as u64, TAG);
        Self { size }
    }

    /// An empty file has one empty chunk, so that it cannot be cut to nothing.
    pub(super) fn chunks(self) -> u32 {
        u32::try_from(self.size.div_ceil(CHUNK).max(1)).unwrap_or(u32::MAX)
    }

    pub(super) fn is_last(self, index: u32) -> bool {
        index + 1 == self.chunks()
    }

    /// Chunks that hold these clear bytes.
    pub(super) fn covering(self, clear: &Range<u64>) -> Range<u32> {
        let number = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
        number(clear.start / CHUNK)
            ..number(clear.end.div_ceil(CHUNK).max(clear.start / CHUNK + 1)).min(self.chunks())
    }

    /// Clear bytes of a chunk.
    pub(super) fn clear(self, index: u32) -> Range<u64> {
        let begin = u64::from(index) * CHUNK;
        begin..(begin + CHUNK).min(self.size)
    }

    /// Where these chunks lie in the stored file.
    pub(super) fn stored(self, chunks: &Range<u32>) -> Range<u64> {
        let begin = HEAD + u64::from(chunks.start) * (CHUNK + TAG);
        let last = chunks.end.saturating_sub(1);
        let end = HEAD + u64::from(last) * (CHUNK + TAG) + self.sealed_len(last);
        begin..end
    }

    /// Stored bytes of a chunk.
    pub(super) fn sealed_len(self, index: u32) -> u64 {
        let clear = self.clear(index);
        clear.end - clear.start + TAG
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keyring::test_key;

    fn head() -> Head {
        Head::fresh(KeyId::new(Uuid::from_u128(7)))
    }

    fn sealed(cipher: &Cipher, clear: &[u8]) -> Vec<u8> {
        let layout = Layout::of(clear.len() as u64);
        let mut stored = Vec::new();
        for index in 0..layout.chunks() {
            let part = layout.clear(index);
            let (begin, end) = (
                usize::try_from(part.start).unwrap(),
                usize::try_from(part.end).unwrap(),
            );
            cipher.seal(index, layout.is_last(index), &clear[begin..end], &mut stored);
        }
        stored
    }

    #[test]
    fn a_head_reads_as_it_was_written() {
        let head = head();
        assert_eq!(head.bytes().len() as u64, HEAD);
        assert_eq!(Head::read(&head.bytes()), Some(head.clone()));
        assert_eq!(Head::read(&head.bytes()[..40]), None);
        assert_eq!(Head::read(b"PNG"), None);
    }

    #[test]
    fn chunks_open_only_in_their_place_name_and_file() {
        let (key, head) = (test_key(1), head());
        let cipher = Cipher::new(&key, &head, "files/a");
        let mut chunk = Vec::new();
        cipher.seal(3, false, b"hello", &mut chunk);
        let opens = |cipher: &Cipher, index, last| cipher.open(index, last, &mut chunk.clone()).is_some();
        assert!(opens(&cipher, 3, false));
        assert!(!opens(&cipher, 4, false), "moved");
        assert!(!opens(&cipher, 3, true), "what follows was cut off");
        assert!(!opens(&Cipher::new(&key, &head, "files/b"), 3, false), "renamed");
        assert!(
            !opens(&Cipher::new(&test_key(2), &head, "files/a"), 3, false),
            "another's"
        );
        let other = Head::fresh(head.key);
        assert!(
            !opens(&Cipher::new(&key, &other, "files/a"), 3, false),
            "another file's"
        );
    }

    proptest! {
        #[test]
        fn the_layout_covers_every_byte_once(size in 0u64..300_000) {
            let layout = Layout::of(size);
            let clear: u64 = (0..layout.chunks()).map(|i| layout.clear(i)).map(|r| r.end - r.start).sum();
            prop_assert_eq!(clear, size);
            let cipher = Cipher::new(&test_key(1), &head(), "x");
            let stored = sealed(&cipher, &vec![7; usize::try_from(size).unwrap()]);
            prop_assert_eq!(layout.stored(&(0..layout.chunks())), HEAD..HEAD + stored.len() as u64);
        }

        #[test]
        fn covering_chunks_hold_what_is_asked_for(size in 1u64..300_000, a in 0u64..300_000, b in 1u64..300_000) {
            let (begin, end) = (a.min(size - 1), (a.min(size - 1) + b).min(size));
            let layout = Layout::of(size);
            let chunks = layout.covering(&(begin..end));
            prop_assert!(layout.clear(chunks.start).start <= begin);
            prop_assert!(layout.clear(chunks.end - 1).end >= end);
            prop_assert!(layout.clear(chunks.end - 1).start < end, "no chunk too many");
        }
    }
}

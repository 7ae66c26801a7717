//! Decrypts on the way in: whatever part is asked for, a window of it is in memory.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};

use super::BlobError;
use super::framing::{Cipher, Layout};
use super::store::Store;

/// Chunks fetched by one request: 1 MiB.
const WINDOW: u32 = 16;
/// Requests under way for one reader.
const AHEAD: usize = 2;

/// A stored file. Cheap to clone.
#[derive(Clone)]
pub struct BlobReader(Arc<Inner>);

struct Inner {
    store: Store,
    name: String,
    cipher: Cipher,
    layout: Layout,
    size: u64,
}

impl BlobReader {
    pub(super) fn new(store: Store, name: String, cipher: Cipher, size: u64) -> Self {
        Self(Arc::new(Inner {
            store,
            name,
            cipher,
            layout: Layout::of(size),
            size,
        }))
    }

    /// Clear bytes of the whole.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The clear bytes of `range`, checked chunk by chunk.
    pub fn read(&self, range: Range<u64>) -> impl Stream<Item = Result<Bytes, BlobError>> + Send + use<> {
        let range = range.start.min(self.0.size)..range.end.min(self.0.size);
        let chunks = if range.is_empty() {
            0..0
        } else {
            self.0.layout.covering(&range)
        };
        let windows = (chunks.start..chunks.end).step_by(WINDOW as usize);
        let windows = windows.map(move |begin| begin..(begin + WINDOW).min(chunks.end));
        let inner = Arc::clone(&self.0);
        stream::iter(windows)
            .map(move |window| {
                let (inner, range) = (Arc::clone(&inner), range.clone());
                async move { inner.window(window, &range).await }
            })
            .buffered(AHEAD)
    }

    /// The whole, for files that are known to be small.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn read_all(&self) -> Result<Vec<u8>, BlobError> {
        let mut all = Vec::with_capacity(usize::try_from(self.0.size).unwrap_or_default());
        let mut parts = std::pin::pin!(self.read(0..self.0.size));
        while let Some(part) = parts.next().await {
            all.extend_from_slice(&part?);
        }
        Ok(all)
    }
}

impl Inner {
    async fn window(&self, chunks: Range<u32>, range: &Range<u64>) -> Result<Bytes, BlobError> {
        let stored = self.layout.stored(&chunks);
        let sealed = self.store.get(&self.name, stored.start, stored.end).await?;
        if sealed.len() as u64 != stored.end - stored.start {
            return Err(BlobError::Damaged);
        }
        // The only holder of what was just read can change it in place.
        let mut sealed = sealed
            .try_into_mut()
            .unwrap_or_else(|shared| shared.as_ref().into());
        let mut clear = Vec::with_capacity(sealed.len());
        let mut rest = &mut sealed[..];
        for index in chunks {
            let length = usize::try_from(self.layout.sealed_len(index)).expect("a chunk fits into memory");
            let (chunk, behind) = rest.split_at_mut(length);
            rest = behind;
            let last = self.layout.is_last(index);
            let opened = self.cipher.open(index, last, chunk).ok_or(BlobError::Damaged)?;
            let lies = self.layout.clear(index);
            let begin = range.start.max(lies.start) - lies.start;
            let end = range.end.min(lies.end) - lies.start;
            clear.extend_from_slice(&opened[at(begin)..at(end)]);
        }
        Ok(clear.into())
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset in a chunk fits")
}

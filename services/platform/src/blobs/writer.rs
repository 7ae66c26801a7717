//! Encrypts on the way out: at most one part of a file is in memory.

use s3::serde_types::Part;

use super::BlobError;
use super::framing::{CHUNK, Cipher, Head};
use super::store::Store;
use crate::lifecycle::Lifecycle;

/// Stored bytes of a part; S3 takes no smaller ones than 5 MiB, the last excepted, and at most 10,000.
const PART: usize = 8 * 1024 * 1024;

/// A file on its way into the store. Dropped before its end, nothing of it stays.
pub struct BlobWriter {
    store: Store,
    lifecycle: Lifecycle,
    name: String,
    cipher: Cipher,
    /// Clear bytes that do not fill a chunk yet.
    open: Vec<u8>,
    /// Sealed bytes that do not fill a part yet.
    part: Vec<u8>,
    chunks: u32,
    size: u64,
    upload: Option<String>,
    parts: Vec<Part>,
}

impl BlobWriter {
    pub(super) fn new(store: Store, lifecycle: Lifecycle, name: String, head: &Head, cipher: Cipher) -> Self {
        Self {
            store,
            lifecycle,
            name,
            cipher,
            open: Vec::new(),
            part: head.bytes(),
            chunks: 0,
            size: 0,
            upload: None,
            parts: Vec::new(),
        }
    }

    /// Goes on with `clear`.
    ///
    /// # Errors
    /// [`BlobError`]; the file is then lost.
    pub async fn write(&mut self, mut clear: &[u8]) -> Result<(), BlobError> {
        let chunk = usize::try_from(CHUNK).expect("a chunk fits into memory");
        self.size += clear.len() as u64;
        while !clear.is_empty() {
            // A full chunk waits until it is known not to be the last.
            if self.open.len() == chunk {
                self.seal(false);
                if self.part.len() >= PART {
                    self.send().await?;
                }
            }
            let taken = clear.len().min(chunk - self.open.len());
            self.open.extend_from_slice(&clear[..taken]);
            clear = &clear[taken..];
        }
        Ok(())
    }

    /// Ends the file: only now it is there. Returns its clear size.
    ///
    /// # Errors
    /// [`BlobError`]; the file is then lost.
    pub async fn finish(mut self) -> Result<u64, BlobError> {
        self.seal(true);
        if self.upload.is_none() {
            self.store.put(&self.name, &self.part).await?;
            return Ok(self.size);
        }
        self.send().await?;
        if let Some(upload) = &self.upload {
            let parts = std::mem::take(&mut self.parts);
            self.store.complete(&self.name, upload, parts).await?;
        }
        self.upload = None;
        Ok(self.size)
    }

    fn seal(&mut self, last: bool) {
        self.cipher.seal(self.chunks, last, &self.open, &mut self.part);
        self.chunks += 1;
        self.open.clear();
    }

    async fn send(&mut self) -> Result<(), BlobError> {
        if self.upload.is_none() {
            self.upload = Some(self.store.begin(&self.name).await?);
        }
        let upload = self.upload.as_deref().unwrap_or_default();
        let number = u32::try_from(self.parts.len() + 1).unwrap_or(u32::MAX);
        let content = std::mem::take(&mut self.part);
        let part = self.store.part(&self.name, upload, number, content).await?;
        self.parts.push(part);
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        let (store, name) = (self.store.clone(), std::mem::take(&mut self.name));
        self.lifecycle.spawn("abort_upload", async move {
            if let Err(error) = store.abort(&name, &upload).await {
                tracing::warn!(%error, blob.name = name, "parts of a broken upload stay in the store");
            }
        });
    }
}

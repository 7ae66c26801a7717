//! A ZIP that is written while it is made: neither it nor any file of it is ever in memory as a whole.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncWrite, AsyncWriteExt};
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use super::ExportError;

/// Packed bytes that wait for being written, about.
const WAITING: usize = 65_536;

/// What the packer has made and nobody has written yet.
#[derive(Clone, Default)]
struct Packed(Arc<Mutex<Vec<u8>>>);

impl Packed {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn waits(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() >= WAITING
    }
}

impl Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut packed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        packed.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The archive.
pub(super) struct Archive<O> {
    /// Boxed for its size: it lives in futures.
    zip: Box<ZipWriter<StreamWriter<Packed>>>,
    packed: Packed,
    output: O,
    size: u64,
    most: u64,
}

impl<O: AsyncWrite + Unpin> Archive<O> {
    /// An archive of at most `most` bytes.
    pub(super) fn new(output: O, most: u64) -> Self {
        let packed = Packed::default();
        Self {
            zip: Box::new(ZipWriter::new_stream(packed.clone())),
            packed,
            output,
            size: 0,
            most,
        }
    }

    /// Begins a file of text.
    pub(super) fn begin(&mut self, name: &str) -> Result<(), ExportError> {
        self.start(name, CompressionMethod::Deflated)
    }

    /// Begins a file of which nothing would be gained by packing it.
    pub(super) fn begin_packed(&mut self, name: &str) -> Result<(), ExportError> {
        self.start(name, CompressionMethod::Stored)
    }

    fn start(&mut self, name: &str, method: CompressionMethod) -> Result<(), ExportError> {
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .large_file(true);
        Ok(self.zip.start_file(name, options)?)
    }

    /// Goes on with the file that was begun last.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.zip.write_all(bytes)?;
        if self.packed.waits() {
            self.pass_on().await?;
        }
        Ok(())
    }

    /// A whole file.
    pub(super) async fn add(&mut self, name: &str, content: &[u8]) -> Result<(), ExportError> {
        self.begin(name)?;
        self.write(content).await
    }

    /// Ends the archive. Returns its bytes.
    pub(super) async fn finish(mut self) -> Result<u64, ExportError> {
        let zip = std::mem::replace(&mut self.zip, Box::new(ZipWriter::new_stream(Packed::default())));
        zip.finish()?;
        self.pass_on().await?;
        self.output.shutdown().await?;
        Ok(self.size)
    }

    async fn pass_on(&mut self) -> Result<(), ExportError> {
        let packed = self.packed.take();
        self.size += packed.len() as u64;
        if self.size > self.most {
            return Err(ExportError::TooLarge(self.most));
        }
        Ok(self.output.write_all(&packed).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    #[tokio::test]
    async fn what_goes_in_comes_out_in_pieces_and_whole() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(Cursor::new(&mut bytes), u64::MAX);
        archive.begin("a/long.txt").unwrap();
        for number in 0..50_000 {
            archive
                .write(format!("line {number}\n").as_bytes())
                .await
                .unwrap();
        }
        archive.begin_packed("b.bin").unwrap();
        archive.write(&vec![7; 200_000]).await.unwrap();
        archive.add("empty", b"").await.unwrap();
        let size = archive.finish().await.unwrap();
        assert_eq!(size, bytes.len() as u64);
        let mut read = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut text = String::new();
        read.by_name("a/long.txt")
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text.lines().count(), 50_000);
        assert_eq!(read.by_name("b.bin").unwrap().size(), 200_000);
        assert_eq!(read.by_name("empty").unwrap().size(), 0);
    }

    #[tokio::test]
    async fn an_archive_ends_at_its_limit() {
        let mut archive = Archive::new(io::Cursor::new(Vec::new()), 100_000);
        archive.begin_packed("a").unwrap();
        let mut outcome = Ok(());
        for _ in 0..4 {
            outcome = outcome.and(archive.write(&vec![0; 65_536]).await);
        }
        assert!(matches!(outcome, Err(ExportError::TooLarge(100_000))));
    }
}

//! Files, encrypted by us under the data key of who brought them, in any S3-compatible store. Destroying
//! that key destroys them wherever a copy lies.
//!
//! What a file is, and who may see it, is none of this module's business.

mod framing;
mod metrics;
mod reader;
mod store;
mod writer;

use time::OffsetDateTime;
use veza_events::AccountId;

use crate::config::S3Config;
use crate::contract::{Problem, ProblemKind};
use crate::keyring::Keyring;
use crate::lifecycle::Lifecycle;
use crate::telemetry::Metrics;

pub use reader::BlobReader;
pub use writer::BlobWriter;

use framing::{Cipher, HEAD, Head};
use store::Store;

/// When a caller that found the store away is to come back, milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// Why a file could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such object.
    #[error("there is no such object")]
    Absent,
    /// The key of who brought it is gone for good.
    #[error("the key to this file was destroyed")]
    KeyGone,
    /// It is not what was stored.
    #[error("the stored file was changed or cut")]
    Damaged,
    /// No answer, or one that asks to come back.
    #[error("the object store is not reachable: {0}")]
    Unavailable(String),
    /// The store said no.
    #[error("the object store refused: {0}")]
    Refused(String),
    /// The keyring could not be asked.
    #[error(transparent)]
    Keys(#[from] Problem),
}

impl BlobError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Unavailable(_) => "unavailable",
            Self::KeyGone | Self::Damaged | Self::Refused(_) | Self::Keys(_) => "refused",
        }
    }
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Unavailable(reason) => {
                tracing::warn!(reason, "the object store is away");
                Self::unavailable("the store of files is away; try again", RETRY_AFTER_MS)
            }
            BlobError::Absent | BlobError::KeyGone => {
                Self::new(ProblemKind::Gone, "attachment.gone", "the file was removed")
            }
            BlobError::Keys(problem) => problem,
            BlobError::Damaged | BlobError::Refused(_) => Self::internal(&error),
        }
    }
}

/// The store of files. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    store: Store,
    keys: Keyring,
    lifecycle: Lifecycle,
}

impl Blobs {
    /// The store that the settings name, for `role`. Makes no request.
    ///
    /// # Errors
    /// When the settings name no store that could be.
    pub fn open(
        config: &S3Config,
        keys: Keyring,
        metrics: &Metrics,
        lifecycle: &Lifecycle,
        role: &str,
    ) -> Result<Self, BlobError> {
        Ok(Self {
            store: Store::open(config, metrics, role)?,
            keys,
            lifecycle: lifecycle.clone(),
        })
    }

    /// Stores a file under the key of `owner`, part by part.
    ///
    /// # Errors
    /// [`BlobError::Keys`].
    pub async fn writer(&self, name: &str, owner: AccountId) -> Result<BlobWriter, BlobError> {
        let (id, key) = self.keys.ensure(owner).await?;
        let head = Head::fresh(id);
        let cipher = Cipher::new(&key, &head, name);
        Ok(BlobWriter::new(
            self.store.clone(),
            self.lifecycle.clone(),
            name.to_owned(),
            &head,
            cipher,
        ))
    }

    /// Stores a file that is in memory.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn put(&self, name: &str, owner: AccountId, content: &[u8]) -> Result<(), BlobError> {
        let mut writer = self.writer(name, owner).await?;
        writer.write(content).await?;
        writer.finish().await.map(drop)
    }

    /// Opens a file whose clear size is known.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn reader(&self, name: &str, size: u64) -> Result<BlobReader, BlobError> {
        let head = self.store.get(name, 0, HEAD).await?;
        let head = Head::read(&head).ok_or(BlobError::Damaged)?;
        let key = self.keys.get(head.key).await?.ok_or(BlobError::KeyGone)?;
        let cipher = Cipher::new(&key, &head, name);
        Ok(BlobReader::new(self.store.clone(), name.to_owned(), cipher, size))
    }

    /// Up to `most` objects, at most 1,000, whose names begin with `prefix` and come behind `after`.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`], [`BlobError::Refused`].
    pub async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Objects, BlobError> {
        self.store.list(prefix, after, most).await
    }

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`], [`BlobError::Refused`].
    pub async fn delete(&self, name: &str) -> Result<(), BlobError> {
        self.store.delete(name).await
    }
}

/// An object of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// When it was stored.
    pub stored_at: OffsetDateTime,
}

/// Some objects, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objects {
    /// Those that were asked for.
    pub objects: Vec<Object>,
    /// Whether there are more behind them.
    pub more: bool,
}

/// Makes the bucket that the settings name, if it is not there.
///
/// # Errors
/// When the store is away or refuses.
pub async fn create_bucket(config: &S3Config) -> Result<(), BlobError> {
    Store::open(config, &Metrics::new(), "setup")?
        .create_bucket()
        .await
}

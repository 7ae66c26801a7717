//! How far a stream has been told of. The position is kept *before* anything is sent: whoever is killed in between has
//! told nobody, and nobody is ever told twice. Several instances read the same; whoever keeps the position first tells.

use std::time::Duration;

use tokio::time::Instant;
use veza_platform::event_log::{EventLog, StreamName};
use veza_platform::kv::{Kv, KvError};

/// Bucket of the positions.
const BUCKET: &str = "NOTIFIED";
/// How often a position is kept up to which nobody had to be told.
pub(crate) const KEEP_EVERY: Duration = Duration::from_secs(1);

/// A position in one stream.
pub(crate) struct Place {
    bucket: Kv<u64>,
    name: String,
    /// Everything up to there is done with.
    pub(crate) seq: u64,
    /// Up to there it is kept.
    kept: u64,
    revision: u64,
    kept_at: Instant,
}

impl Place {
    /// Where a stream goes on; at its present end in an installation where nobody was ever told of anything.
    pub(crate) async fn open(log: &EventLog, stream: &StreamName) -> anyhow::Result<Self> {
        let bucket: Kv<u64> = Kv::open(log, BUCKET);
        let name = stream.as_str().to_owned();
        let (seq, revision) = if let Some(entry) = bucket.get_consistent(&name).await? {
            (entry.value, entry.revision)
        } else {
            let head = log.head(stream).await?;
            (head, bucket.create(&name, &head).await?)
        };
        Ok(Self {
            bucket,
            name,
            seq,
            kept: seq,
            revision,
            kept_at: Instant::now(),
        })
    }

    /// Keeps the position. Returns whether nobody else has kept one meanwhile.
    pub(crate) async fn keep(&mut self) -> anyhow::Result<bool> {
        match self.bucket.update(&self.name, &self.seq, self.revision).await {
            Ok(revision) => {
                (self.revision, self.kept, self.kept_at) = (revision, self.seq, Instant::now());
                Ok(true)
            }
            Err(KvError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is time to keep it although nobody had to be told.
    pub(crate) fn is_due(&self) -> bool {
        self.kept_at.elapsed() >= KEEP_EVERY && self.kept != self.seq
    }
}

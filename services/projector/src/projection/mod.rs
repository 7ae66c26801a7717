//! Looking at projections and building them anew, for operators and their tools.

mod hashes;
mod rebuild;
mod retry;
mod status;

use std::time::Duration;

use sea_orm::sqlx::PgConnection;
use veza_platform::event_log::StreamName;
use veza_platform::runtime::Runtime;

pub use hashes::{HashesError, table_hashes};
pub use rebuild::{Progress, RebuildError, RebuildOptions, Rebuilt, StreamProgress, rebuild, switch_back};
pub use retry::{Retried, RetryError, retry};
pub use status::{Lag, Status, lag, list};

use crate::postgres;
use crate::role::Parts;
use crate::tables::SqlError;

/// Longest wait for a cache to hear of a change behind the projector's back.
const CACHE_TIMEOUT: Duration = Duration::from_secs(2);

/// Log, keys, tables and caches, as the tools need them. Runs beside a projector, in the same process or in
/// another.
pub struct Workbench {
    parts: Parts,
}

impl Workbench {
    /// Connects to everything that the settings name.
    ///
    /// # Errors
    /// When a setting cannot be used, or the stop comes before NATS is reached.
    pub async fn open(rt: &Runtime) -> anyhow::Result<Self> {
        Ok(Self {
            parts: Parts::open(rt).await?,
        })
    }

    fn streams(&self) -> Vec<StreamName> {
        self.parts.ledger.log().streams()
    }

    async fn connect(&self) -> Result<PgConnection, SqlError> {
        postgres::connect(&self.parts.config.postgres, "veza projection tool").await
    }

    /// Puts the caches' generations out of force: rows changed that the projector does not know of. It
    /// begins new ones by itself.
    async fn drop_caches(&self) {
        let Some(cache) = &self.parts.cache else { return };
        for stream in self.streams() {
            match tokio::time::timeout(CACHE_TIMEOUT, cache.end(stream.as_str())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, log.stream = %stream, "the cache was not told"),
                Err(_) => tracing::warn!(log.stream = %stream, "the cache was not told: no answer"),
            }
        }
    }
}

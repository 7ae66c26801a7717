//! What reading tells about itself.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Counters of the reading side. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ReadMetrics {
    /// Timelines and names answered by the cache.
    pub cache_hits: Counter,
    /// Timelines and names that had to come from Postgres.
    pub cache_misses: Counter,
    /// Failed or overdue requests to Redis.
    pub cache_failures: Counter,
    /// Reads that failed because Postgres is away.
    pub unavailable: Counter,
}

impl ReadMetrics {
    /// Counters that show up in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "read_cache_hits",
            "Reads answered by the cache",
            metrics.cache_hits.clone(),
        );
        registry.register(
            "read_cache_misses",
            "Reads the cache could not answer",
            metrics.cache_misses.clone(),
        );
        registry.register(
            "read_cache_failures",
            "Failed or overdue requests to the cache",
            metrics.cache_failures.clone(),
        );
        registry.register(
            "read_unavailable",
            "Reads refused because Postgres is away",
            metrics.unavailable.clone(),
        );
        metrics
    }
}

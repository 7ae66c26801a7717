//! What happens behind a commit: the caches follow, and who should know is told. Nothing here holds up the
//! tables; what cannot be done in time is left out, and readers notice by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use veza_platform::ambient;
use veza_platform::event_log::StreamName;
use veza_platform::ledger::Ledger;
use veza_platform::lifecycle::Lifecycle;
use veza_readmodel::cache::{CacheChanges, CacheError, CacheWriter};
use veza_readmodel::notice::PositionNotice;

use crate::audience::Audience;
use crate::metrics::StreamMetrics;
use crate::notices::{News, Teller, Telling};

/// Commits that may wait for caches and notices.
const QUEUE: usize = 64;
/// How long the cache is left alone after it failed.
const CACHE_PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for room in the outgoing buffer of NATS.
const SEND_TIMEOUT: Duration = Duration::from_millis(100);

/// A commit that others hear of.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    pub(crate) cache: CacheChanges,
    /// Where the tables were before it.
    pub(crate) from: u64,
    /// What it has to tell the devices of accounts.
    pub(crate) news: Vec<News>,
    /// Nothing was written; the owner only shows that it still is.
    pub(crate) idle: bool,
    /// The tables are far behind the log: caches would only be filled and emptied again.
    pub(crate) far_behind: bool,
    /// The cache must not go on from what it has.
    pub(crate) cache_outdated: bool,
}

/// The way to the task that does it.
#[derive(Debug)]
pub(crate) struct After {
    queue: mpsc::Sender<Commit>,
    teller: mpsc::Sender<Telling>,
    /// A commit found no room, so the cache has missed something.
    missed: Arc<AtomicBool>,
}

impl After {
    /// Starts the task. It ends when this value is dropped.
    pub(crate) fn start(
        lifecycle: &Lifecycle,
        stream: StreamName,
        client: async_nats::Client,
        (ledger, audience): (Ledger, Arc<Audience>),
        cache: Option<CacheWriter>,
        metrics: StreamMetrics,
    ) -> Self {
        let (queue, commits) = mpsc::channel(QUEUE);
        let missed = Arc::new(AtomicBool::new(false));
        let cache = cache.map(|writer| Cache {
            writer,
            state: CacheState::Off {
                until: Instant::now(),
            },
            missed: Arc::clone(&missed),
            metrics: metrics.clone(),
        });
        let task = Task {
            stream,
            client,
            cache,
        };
        let teller = Teller::start(lifecycle, task.stream.clone(), ledger, audience, metrics);
        lifecycle.spawn("after_commit", task.run(commits));
        Self {
            queue,
            teller,
            missed,
        }
    }

    /// Hands a commit over, without waiting.
    pub(crate) fn committed(&self, mut commit: Commit) {
        // One that finds no room is made up for by the next.
        let _ = self.teller.try_send(Telling {
            from: commit.from,
            to: commit.cache.position,
            far_behind: commit.far_behind,
            news: std::mem::take(&mut commit.news),
        });
        if let Err(mpsc::error::TrySendError::Full(commit)) = self.queue.try_send(commit)
            && (!commit.idle || commit.cache_outdated)
        {
            self.missed.store(true, Ordering::Release);
        }
    }
}

struct Task {
    stream: StreamName,
    client: async_nats::Client,
    cache: Option<Cache>,
}

impl Task {
    async fn run(mut self, mut commits: mpsc::Receiver<Commit>) {
        while let Some(commit) = commits.recv().await {
            if let Some(cache) = &mut self.cache {
                cache.follow(self.stream.as_str(), &commit).await;
            }
            if !commit.idle {
                self.tell(&commit).await;
            }
        }
    }

    async fn tell(&self, commit: &Commit) {
        let position = PositionNotice {
            seq: commit.cache.position,
        };
        self.publish(PositionNotice::subject(self.stream.as_str()), &position)
            .await;
    }

    async fn publish(&self, subject: String, notice: &impl serde::Serialize) {
        let body = serde_json::to_vec(notice).expect("notices are plain data");
        // Who misses it asks.
        let _ = tokio::time::timeout(SEND_TIMEOUT, self.client.publish(subject, body.into())).await;
    }
}

/// The cache of one stream.
struct Cache {
    writer: CacheWriter,
    state: CacheState,
    missed: Arc<AtomicBool>,
    metrics: StreamMetrics,
}

enum CacheState {
    /// Readers do without, from when the lease has lapsed.
    Off {
        until: Instant,
    },
    On {
        generation: String,
    },
}

impl Cache {
    async fn follow(&mut self, stream: &str, commit: &Commit) {
        let missed = self.missed.swap(false, Ordering::AcqRel);
        if commit.far_behind || commit.cache_outdated || missed {
            self.state = CacheState::Off {
                until: Instant::now(),
            };
        }
        if commit.far_behind {
            return;
        }
        let outcome = match &self.state {
            CacheState::Off { until } if Instant::now() < *until => return,
            CacheState::Off { .. } => self.begin(stream, commit.cache.position).await,
            CacheState::On { generation } => self.writer.apply(stream, generation, &commit.cache).await,
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, log.stream = stream, "the cache needs a new generation");
            self.metrics.cache_failures.inc();
            self.state = CacheState::Off {
                until: Instant::now() + CACHE_PAUSE,
            };
        }
    }

    async fn begin(&mut self, stream: &str, position: u64) -> Result<(), CacheError> {
        let generation = ambient::new_uuid().simple().to_string();
        self.writer.begin(stream, &generation, position).await?;
        let swept = self.writer.sweep(stream, &generation).await;
        tracing::info!(
            log.stream = stream,
            cache.swept = swept.unwrap_or(0),
            "a new generation of the cache"
        );
        self.state = CacheState::On { generation };
        Ok(())
    }
}

//! An orderly life: tasks that are all accounted for, and two ways to stop.
//!
//! A soft stop asks: take no new work, finish what is under way. A hard stop drops whatever still runs.
//! What a task does when asked is its own affair; here is only who runs, who failed, and when it is over.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::seldom::Seldom;

/// How long tasks have after a hard stop to be dropped; only a task that never yields needs longer.
const DROP_GRACE: Duration = Duration::from_secs(2);

/// The life of a process, or of one role in it. Cheap to clone; all clones are the same life.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    /// Cancelled when work is to be finished and no more taken.
    pub soft: CancellationToken,
    /// Cancelled when everything is to be dropped.
    pub hard: CancellationToken,
    /// Cancelled once the last task is gone: ends what accompanies the process to its end.
    over: CancellationToken,
    name: Cow<'static, str>,
    tasks: TaskTracker,
    companions: TaskTracker,
    /// Trackers of the lives around this one.
    ancestors: Arc<[TaskTracker]>,
    shared: Arc<Shared>,
}

/// What a process and its roles have in common.
#[derive(Debug, Default)]
struct Shared {
    failure: Mutex<Option<Failure>>,
    running: Mutex<BTreeMap<String, usize>>,
    /// Soft token of the outermost life.
    stop: CancellationToken,
}

/// A task or role that ended as it must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{task} {reason}")]
pub struct Failure {
    /// Which, as `role` or `role/task`.
    pub task: String,
    /// How: `panicked: …`, `ended early`, or the error.
    pub reason: String,
}

/// Why a process did not end well. Each means a non-zero exit code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// Something failed, and the process stopped because of it.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// Work was still under way at the deadline and was dropped.
    #[error("stopped with work unfinished: {}", tasks.join(", "))]
    Overdue {
        /// Names of the tasks, with their number.
        tasks: Vec<String>,
    },
    /// A second signal asked for the end at once.
    #[error("stopped at once by a second signal")]
    Hurried,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new("veza")
    }
}

impl Lifecycle {
    /// The life of a process, which shows in log lines as `name`.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        let shared = Arc::new(Shared::default());
        Self {
            soft: shared.stop.clone(),
            hard: CancellationToken::new(),
            over: CancellationToken::new(),
            name: name.into(),
            tasks: TaskTracker::new(),
            companions: TaskTracker::new(),
            ancestors: Arc::new([]),
            shared,
        }
    }

    /// A life within this one, such as a role: it stops when this one does, and can be stopped alone.
    /// Its failures are failures of the whole.
    #[must_use]
    pub fn child(&self, name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            soft: self.soft.child_token(),
            hard: self.hard.child_token(),
            over: self.over.child_token(),
            name: name.into(),
            tasks: TaskTracker::new(),
            companions: self.companions.clone(),
            ancestors: self.ancestors.iter().chain([&self.tasks]).cloned().collect(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// The name given at the start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a stop has been asked for.
    pub fn is_stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Runs `future` as part of this life: a drain waits for it, a hard stop drops it, and its panic
    /// stops the process.
    pub fn spawn(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        let holds: Vec<_> = self.ancestors.iter().map(TaskTracker::token).collect();
        let entry = RunningEntry::new(self, name);
        let task = self.guarded(name, future);
        let task = async move {
            let _counted = (entry, holds);
            task.await;
        };
        self.tasks.spawn(task).abort_handle()
    }

    /// Runs `future` until everything else is over, without a drain waiting for it: for what must be there
    /// to the end, like the readiness answer.
    pub fn accompany(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        let over = self.over.clone();
        let future = async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = future => {}
            }
        };
        self.companions.spawn(self.guarded(name, future)).abort_handle()
    }

    /// Runs `work` on the thread pool for blocking calls; a drain waits for it.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let holds: Vec<_> = self.ancestors.iter().map(TaskTracker::token).collect();
        self.tasks.spawn_blocking(move || {
            let _holds = holds;
            work()
        })
    }

    /// Runs something that must not end before it is asked to: an error, an early end or a panic
    /// stops the process.
    pub fn spawn_essential(
        &self,
        name: &'static str,
        future: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> AbortHandle {
        let life = self.clone();
        self.spawn(name, async move {
            match future.await {
                Ok(()) if life.is_stopping() => {}
                Ok(()) => life.fail(name, "ended early".into()),
                Err(error) => life.fail(name, format!("failed: {error:#}")),
            }
        })
    }

    /// Records a failure and asks the whole process to stop. The first failure is the one reported.
    pub fn fail(&self, task: &str, reason: String) {
        let task = self.full_name(task);
        tracing::error!(task.name = %task, error.message = %reason, "a part of the process failed, stopping");
        lock(&self.shared.failure).get_or_insert(Failure { task, reason });
        self.shared.stop.cancel();
    }

    /// What failed, if anything did.
    pub fn failure(&self) -> Option<Failure> {
        lock(&self.shared.failure).clone()
    }

    /// Asks for a stop and waits at most `timeout` for all tasks to end; then drops the rest.
    ///
    /// # Errors
    /// When something had failed, when work had to be dropped, or when a second signal came.
    pub async fn drain(&self, timeout: Duration) -> Result<(), StopError> {
        self.soft.cancel();
        self.tasks.close();
        let drained = tokio::select! {
            // First, since it is what ends the tasks then.
            biased;
            () = self.hard.cancelled() => Err(StopError::Hurried),
            () = self.tasks.wait() => Ok(()),
            () = tokio::time::sleep(timeout) => Err(StopError::Overdue { tasks: self.running() }),
        };
        if drained.is_err() {
            self.hard.cancel();
            let _ = tokio::time::timeout(DROP_GRACE, self.tasks.wait()).await;
        }
        self.over.cancel();
        if self.ancestors.is_empty() {
            self.companions.close();
            let _ = tokio::time::timeout(DROP_GRACE, self.companions.wait()).await;
        }
        match self.failure() {
            Some(failure) => Err(failure.into()),
            None => drained,
        }
    }

    /// Listens for SIGTERM, SIGINT and SIGHUP: the first asks for a stop, the second stops at once.
    ///
    /// # Errors
    /// When the system does not let this process listen.
    pub fn listen_for_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let life = self.clone();
        self.accompany("signals", async move {
            for stop in [&life.soft, &life.hard] {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                    _ = hangup.recv() => "SIGHUP",
                };
                tracing::info!(process.signal = name, "asked to stop");
                stop.cancel();
            }
        });
        Ok(())
    }

    /// Tasks that have not ended, as `name` or `name ×3`.
    pub fn running(&self) -> Vec<String> {
        let running = lock(&self.shared.running);
        let prefix = format!("{}/", self.name);
        let mine = running
            .iter()
            .filter(|(name, _)| self.ancestors.is_empty() || name.starts_with(&prefix));
        mine.map(|(name, count)| {
            if *count == 1 {
                name.clone()
            } else {
                format!("{name} ×{count}")
            }
        })
        .collect()
    }

    fn full_name(&self, task: &str) -> String {
        format!("{}/{task}", self.name)
    }

    /// `future` until a hard stop, its panic noticed.
    fn guarded(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let life = self.clone();
        async move {
            let mut stopped = pin!(life.hard.cancelled());
            let mut future = pin!(AssertUnwindSafe(future).catch_unwind());
            // All tasks share one token, whose locks are looked at no oftener than needed.
            let seldom = Seldom::default();
            let outcome = poll_fn(|cx| match seldom.poll(cx, |cx| stopped.as_mut().poll(cx)) {
                Poll::Ready(()) => Poll::Ready(Ok(())),
                Poll::Pending => future.as_mut().poll(cx),
            });
            if let Err(panic) = outcome.await {
                life.fail(name, format!("panicked: {}", panic_message(&*panic)));
            }
        }
    }

    /// The number of tasks by name, as metrics.
    pub(crate) fn task_metrics(&self) -> Box<dyn Collector> {
        Box::new(TaskCollector(Arc::clone(&self.shared)))
    }
}

#[derive(Debug)]
struct TaskCollector(Arc<Shared>);

impl Collector for TaskCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Tasks that have not ended";
        let mut family = encoder.encode_descriptor("tasks", help, None, MetricType::Gauge)?;
        for (name, count) in lock(&self.0.running).iter() {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            family
                .encode_family(&[("task", name.as_str())])?
                .encode_gauge(&count)?;
        }
        Ok(())
    }
}

/// Counts a task as running until it is dropped.
struct RunningEntry {
    shared: Arc<Shared>,
    name: String,
}

impl RunningEntry {
    fn new(life: &Lifecycle, task: &str) -> Self {
        let name = life.full_name(task);
        *lock(&life.shared.running).entry(name.clone()).or_default() += 1;
        Self {
            shared: Arc::clone(&life.shared),
            name,
        }
    }
}

impl Drop for RunningEntry {
    fn drop(&mut self) {
        let mut running = lock(&self.shared.running);
        if let Some(count) = running.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.name);
            }
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

/// The maps here stay whole when a holder panics, so poison says nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Says messages when their time has come. Every worker knows all that wait, from the log, and tries each at its
//! time; the log takes one of several tries. So nothing is lost with a worker, and what became due while none was
//! there is said by the first that starts.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use veza_events::{Event, Subject, schedule::ScheduleEvent};
use veza_platform::{
    ambient,
    contract::Problem,
    due::Due,
    event_log::{EventLog, Live, LiveFeed, ReadError, Record, StreamName},
    lifecycle::Lifecycle,
    runtime::Runtime,
};

use crate::{
    commands::schedule::{Outcome, Waiting, send},
    metrics::ScheduleMetrics,
    sources,
    worker::Worker,
};

/// Tries under way at once.
const MAX_SENDING: usize = 32;
/// Longest sleep: somebody may set the clock.
const MAX_SLEEP: Duration = Duration::from_secs(30);
/// Pause before something is tried again that failed, or lost its races.
const PAUSE: Duration = Duration::from_millis(500);
/// Records that are read at once.
const PAGE: usize = 1_000;

/// Starts the task.
pub(crate) fn start(rt: &Runtime, log: &EventLog, worker: &Arc<Worker>) {
    let scheduler = Scheduler {
        life: rt.lifecycle.clone(),
        log: log.clone(),
        worker: Arc::clone(worker),
        agenda: Agenda::default(),
        metrics: ScheduleMetrics::register(&rt.metrics),
    };
    rt.lifecycle.spawn("scheduler", scheduler.run());
}

/// What waits, by time.
#[derive(Default)]
struct Agenda(Due<Waiting>);

impl Agenda {
    fn hear(&mut self, record: &Record) {
        let Ok(Subject::Schedule(_, space, account)) = record.subject.parse() else {
            return;
        };
        let Ok(Some(Event::Schedule(event))) = sources::decode(record) else {
            return;
        };
        let waiting = Waiting {
            space,
            account,
            scheduled: event.scheduled(),
        };
        match event {
            ScheduleEvent::MessageAdded(event) => self.0.put(waiting, event.at),
            ScheduleEvent::MessageChanged(event) => {
                if let Some(at) = event.at {
                    self.0.put(waiting, at);
                }
            }
            ScheduleEvent::MessageCancelled(_)
            | ScheduleEvent::MessageSent(_)
            | ScheduleEvent::MessageRefused(_) => self.0.remove(&waiting),
        }
    }
}

struct Scheduler {
    life: Lifecycle,
    log: EventLog,
    worker: Arc<Worker>,
    agenda: Agenda,
    metrics: ScheduleMetrics,
}

impl Scheduler {
    async fn run(mut self) {
        let soft = self.life.soft.clone();
        let Some(mut feed) = self.begin().await else {
            return;
        };
        let worker = Arc::clone(&self.worker);
        let mut sending = FuturesUnordered::new();
        loop {
            while sending.len() < MAX_SENDING
                && let Some(waiting) = self.agenda.0.pop(ambient::now().into())
            {
                let worker = &worker;
                sending.push(async move { (waiting, send(worker, waiting).await) });
            }
            self.metrics
                .waiting
                .set(i64::try_from(self.agenda.0.len() + sending.len()).unwrap_or(i64::MAX));
            let full = sending.len() >= MAX_SENDING;
            tokio::select! {
                () = soft.cancelled() => break,
                Some((waiting, outcome)) = sending.next(), if !sending.is_empty() => self.settle(waiting, outcome),
                heard = feed.next() => match heard {
                    Some(Live::Event(record)) => self.agenda.hear(&record),
                    Some(Live::Lagged) => self.read_again().await,
                    None => match self.begin().await {
                        Some(anew) => feed = anew,
                        None => break,
                    },
                },
                () = tokio::time::sleep(self.until_next()), if !full => {}
            }
        }
        // What is under way is finished: each try is short.
        while let Some((waiting, outcome)) = sending.next().await {
            self.settle(waiting, outcome);
        }
    }

    fn until_next(&self) -> Duration {
        let Some(first) = self.agenda.0.first() else {
            return MAX_SLEEP;
        };
        let wait = first.time() - ambient::now();
        Duration::try_from(wait).unwrap_or_default().min(MAX_SLEEP)
    }

    fn settle(&mut self, waiting: Waiting, outcome: Result<Outcome, Problem>) {
        let pause = match outcome {
            Ok(Outcome::Sent) => {
                self.metrics.sent.inc();
                return;
            }
            Ok(Outcome::Refused) => {
                self.metrics.refused.inc();
                return;
            }
            Ok(Outcome::Over) => return,
            Ok(Outcome::Later(milliseconds)) => Duration::from_millis(milliseconds),
            Err(problem) => {
                tracing::debug!(error.message = %problem, "a scheduled message has to wait");
                PAUSE
            }
        };
        self.metrics.delayed.inc();
        // Its author may have changed it meanwhile.
        if !self.agenda.0.contains(&waiting) {
            self.agenda.0.put(waiting, (ambient::now() + pause).into());
        }
    }

    /// Subscribes and reads all that waits; `None` when the role stops first.
    async fn begin(&mut self) -> Option<LiveFeed> {
        let feed = loop {
            match self.log.live("live.*.schedule.>").await {
                Ok(feed) => break feed,
                Err(error) => tracing::debug!(%error, "the scheduler has to wait for the log"),
            }
            tokio::select! {
                () = self.life.soft.cancelled() => return None,
                () = tokio::time::sleep(PAUSE) => {}
            }
        };
        self.read_again().await;
        (!self.life.is_stopping()).then_some(feed)
    }

    /// Reads in the log what waits. What the feed says of it once more changes nothing.
    async fn read_again(&mut self) {
        loop {
            match self.read().await {
                Ok(agenda) => {
                    self.agenda = agenda;
                    return;
                }
                Err(error) => tracing::debug!(%error, "the scheduler has to wait for the log"),
            }
            tokio::select! {
                () = self.life.soft.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn read(&self) -> Result<Agenda, ReadError> {
        let mut agenda = Agenda::default();
        for shard in 0..self.worker.shards.count() {
            let stream = StreamName::spaces(shard);
            // Any replica answers, and it may be behind.
            let head = self.log.head(&stream).await?;
            let (filter, mut after) = (format!("evt.{shard}.schedule.>"), 0);
            loop {
                let page = self
                    .log
                    .page(&stream, after, PAGE, Some(&filter), Some(head))
                    .await?;
                for record in &page.records {
                    agenda.hear(record);
                }
                match page.records.last() {
                    Some(last) if page.pending > 0 => after = last.position.seq,
                    Some(_) | None => break,
                }
            }
        }
        Ok(agenda)
    }
}

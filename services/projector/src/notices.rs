//! Telling the devices of accounts what they can read now: every event that concerns an account, once, in the
//! order of its stream. What could not be told at once is told from the log; what is too much ends all chains.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use veza_events::account::AccountEvent;
use veza_events::member::MemberEvent;
use veza_events::{AccountId, Envelope, Event, Subject};
use veza_platform::event_log::{AppendError, EventLog, Position, Record, StreamName};
use veza_platform::kv::Kv;
use veza_platform::ledger::read_envelope;
use veza_platform::lifecycle::Lifecycle;
use veza_platform::notices::Notices;
use veza_readmodel::notice::{AccountNotice, NoticeData};

use crate::batch::{Batch, Content};
use crate::metrics::StreamMetrics;

/// Bucket of the positions up to which was told.
const BUCKET: &str = "NOTICED";
/// Commits that may wait to be told; the rest is read from the log.
const QUEUE: usize = 64;
/// How often the position is kept. What is told again within the hour is not stored again.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// Pause after the servers were away.
const PAUSE: Duration = Duration::from_millis(500);
/// Events that are read to tell what was not told; beyond it all chains begin anew.
const MAX_CATCH_UP: u64 = 50_000;
/// Events that are read at once.
const PAGE: usize = 1_000;
/// Notices under way at once.
const IN_FLIGHT: usize = 64;

/// A notice, and the event that it tells of.
#[derive(Debug)]
pub(crate) struct Notice {
    position: Position,
    notice: AccountNotice,
}

/// A commit, as far as devices are concerned.
#[derive(Debug)]
pub(crate) struct Telling {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The tables are far behind the log: nobody waits for this.
    pub(crate) far_behind: bool,
    pub(crate) notices: Vec<(AccountId, Notice)>,
}

/// Tells of one stream.
pub(crate) struct Teller {
    stream: StreamName,
    log: EventLog,
    notices: Notices,
    kept: Kv<u64>,
    metrics: StreamMetrics,
    /// Everything up to here was told.
    told: u64,
    kept_at: (u64, Instant),
    /// Something was left out, which is still to be said.
    left_out: bool,
}

impl Teller {
    /// Starts the task. It ends when the sender is dropped.
    pub(crate) fn start(
        lifecycle: &Lifecycle,
        stream: StreamName,
        log: &EventLog,
        metrics: StreamMetrics,
    ) -> mpsc::Sender<Telling> {
        let (sender, mut commits) = mpsc::channel::<Telling>(QUEUE);
        let (log, notices, kept) = (log.clone(), Notices::open(log), Kv::open(log, BUCKET));
        lifecycle.spawn("notices", async move {
            let told = loop {
                match kept.get_consistent(stream.as_str()).await {
                    Ok(entry) => break entry.map(|entry| entry.value),
                    Err(error) => tracing::debug!(%error, "notices have to wait"),
                }
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = sender_gone(&mut commits) => return,
                }
            };
            let Some(first) = commits.recv().await else { return };
            let told = told.unwrap_or(first.from);
            let mut teller = Self {
                stream,
                log,
                notices,
                kept,
                metrics,
                told,
                kept_at: (told, Instant::now()),
                left_out: false,
            };
            teller.take(first).await;
            while let Some(commit) = commits.recv().await {
                teller.take(commit).await;
            }
            teller.keep().await;
        });
        sender
    }

    async fn take(&mut self, commit: Telling) {
        if commit.to > self.told
            && let Err(error) = self.tell(commit).await
        {
            tracing::debug!(%error, log.stream = %self.stream, "notices have to wait");
            self.metrics.notices_delayed.inc();
            tokio::time::sleep(PAUSE).await;
            return;
        }
        if self.kept_at.0 != self.told && self.kept_at.1.elapsed() >= KEEP_EVERY {
            self.keep().await;
        }
    }

    async fn tell(&mut self, commit: Telling) -> anyhow::Result<()> {
        if commit.far_behind || commit.to.saturating_sub(self.told.max(commit.from)) > MAX_CATCH_UP {
            (self.told, self.left_out) = (commit.to, true);
            return Ok(());
        }
        if self.told < commit.from && commit.from - self.told > MAX_CATCH_UP {
            (self.told, self.left_out) = (commit.from, true);
        }
        if self.left_out {
            self.notices.begin_anew().await?;
            self.left_out = false;
        }
        if self.told == commit.from {
            self.publish(commit.notices).await?;
        } else {
            self.catch_up(commit.to).await?;
        }
        self.told = commit.to;
        Ok(())
    }

    /// Tells what the log has up to `to`.
    async fn catch_up(&mut self, to: u64) -> anyhow::Result<()> {
        while self.told < to {
            let page = self
                .log
                .page(&self.stream, self.told, PAGE, None, Some(to))
                .await?;
            let Some(last) = page.records.last().map(|last| last.position.seq) else {
                // A replica that is behind: what is in the tables is in the log.
                anyhow::bail!("the log is behind");
            };
            self.publish(page.records.iter().filter_map(of_record).collect())
                .await?;
            self.told = last;
        }
        Ok(())
    }

    /// Stores notices, many at once but sent in order.
    async fn publish(&self, notices: Vec<(AccountId, Notice)>) -> Result<(), AppendError> {
        let mut rest = notices.as_slice();
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(rest.len().min(IN_FLIGHT));
            let stored = part.iter().map(async |(account, Notice { position, notice })| {
                // The account is part of the id: an event may concern several.
                let id = format!("{position} {account}");
                self.notices.tell(*account, Some(&id), notice).await
            });
            futures::future::try_join_all(stored).await?;
            self.metrics.notices.inc_by(part.len() as u64);
            rest = behind;
        }
        Ok(())
    }

    async fn keep(&mut self) {
        self.kept_at.1 = Instant::now();
        if self.kept.put(self.stream.as_str(), &self.told).await.is_ok() {
            self.kept_at.0 = self.told;
        }
    }
}

/// Waits until nothing more can come; throws away what does.
async fn sender_gone(commits: &mut mpsc::Receiver<Telling>) {
    while commits.recv().await.is_some() {}
}

/// What of a batch the devices of people should hear.
pub(crate) fn of_batch(batch: &Batch) -> Vec<(AccountId, Notice)> {
    let events = batch.items.iter().filter_map(|item| match &item.content {
        Content::Event(recorded) => notice(
            &recorded.subject,
            &recorded.event,
            &recorded.envelope,
            recorded.position.clone(),
        ),
        Content::Unknown(_) | Content::Unreadable(_) => None,
    });
    events.collect()
}

/// The same of a record, which need not be opened for it.
fn of_record(record: &Record) -> Option<(AccountId, Notice)> {
    let subject = record.subject.parse().ok()?;
    if !matches!(subject, Subject::Account(_) | Subject::Member(..)) {
        return None;
    }
    let envelope = read_envelope(record).ok()?;
    let event = Event::decode(&envelope.kind, &record.payload).ok()?;
    notice(&subject, &event, &envelope, record.position.clone())
}

fn notice(
    subject: &Subject,
    event: &Event,
    envelope: &Envelope,
    position: Position,
) -> Option<(AccountId, Notice)> {
    // What somebody says is told by the room.
    if matches!(event, Event::Member(MemberEvent::Spoke(_))) {
        return None;
    }
    let (account, data) = match (event, subject) {
        (Event::Account(event), Subject::Account(account)) => (*account, account_data(event)),
        (Event::Member(event), _) => {
            let ((space, account), membership) = (event.of(), event.membership());
            let data = NoticeData {
                space: Some(space),
                standing: Some(membership.standing),
                roles: Some(membership.roles.iter().copied().collect()),
                muted: Some(membership.muted),
                by: Some(event.by()).filter(|by| *by != account),
                ..NoticeData::default()
            };
            (account, data)
        }
        (Event::Account(_) | Event::Handle(_) | Event::Space(_) | Event::Room(_), _) => return None,
    };
    let notice = AccountNotice {
        source: Some(position.to_string()),
        kind: envelope.kind.clone(),
        at: envelope.time,
        data,
    };
    Some((account, Notice { position, notice }))
}

fn account_data(event: &AccountEvent) -> NoticeData {
    let session = match event {
        AccountEvent::SessionStarted(event) => Some(event.session),
        AccountEvent::SessionEnded(event) => Some(event.session),
        AccountEvent::Registered(_)
        | AccountEvent::ProfileChanged(_)
        | AccountEvent::PasswordChanged(_)
        | AccountEvent::RoleGranted(_)
        | AccountEvent::Blocked(_)
        | AccountEvent::Unblocked(_) => None,
    };
    NoticeData {
        session,
        ..NoticeData::default()
    }
}

//! Telling the devices of accounts what they can read now: every event that concerns an account, once, in the
//! order of its stream. What could not be told at once is told from the log; what is too much ends all chains.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use veza_events::account::AccountEvent;
use veza_events::held::HeldEvent;
use veza_events::member::MemberEvent;
use veza_events::report::ReportEvent;
use veza_events::room::RoomEvent;
use veza_events::schedule::ScheduleEvent;
use veza_events::space::SpaceEvent;
use veza_events::{AccountId, Envelope, Event, MessageId, Permission, RoomId, SpaceId, Subject};
use veza_platform::event_log::{AppendError, Position, Record, StreamName};
use veza_platform::kv::Kv;
use veza_platform::ledger::{Ledger, read_envelope};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::notices::Notices;
use veza_readmodel::notice::{AccountNotice, NoticeData};

use crate::audience::{Alert, Audience, Mention};
use crate::batch::{Content, Item, read_item};
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
/// Mentions whose readers are looked for at once.
const LOOKING: usize = 8;

/// A notice, and the event that it tells of.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    position: Position,
    notice: AccountNotice,
}

/// What an event has to tell.
#[derive(Debug)]
pub(crate) enum News {
    /// To one account.
    One(AccountId, Box<Notice>),
    /// To those whom a message speaks of.
    Mention(Box<Mention>),
    /// To those who look after it.
    Alert(Box<Alert>),
}

/// A commit, as far as devices are concerned.
#[derive(Debug)]
pub(crate) struct Telling {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The tables are far behind the log: nobody waits for this.
    pub(crate) far_behind: bool,
    pub(crate) news: Vec<News>,
}

/// Tells of one stream.
pub(crate) struct Teller {
    stream: StreamName,
    ledger: Ledger,
    audience: Arc<Audience>,
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
        ledger: Ledger,
        audience: Arc<Audience>,
        metrics: StreamMetrics,
    ) -> mpsc::Sender<Telling> {
        let (sender, mut commits) = mpsc::channel::<Telling>(QUEUE);
        let (notices, kept) = (Notices::open(ledger.log()), Kv::open(ledger.log(), BUCKET));
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
                ledger,
                audience,
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
            self.publish(commit.news).await?;
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
                .ledger
                .log()
                .page(&self.stream, self.told, PAGE, None, Some(to))
                .await?;
            let Some(last) = page.records.last().map(|last| last.position.seq) else {
                // A replica that is behind: what is in the tables is in the log.
                anyhow::bail!("the log is behind");
            };
            let mut news = Vec::new();
            for record in page.records.into_iter().filter(tells) {
                news.extend(of_item(&read_item(&self.ledger, &self.metrics, record).await));
            }
            self.publish(news).await?;
            self.told = last;
        }
        Ok(())
    }

    /// Stores what is told, many at once but sent in order.
    async fn publish(&self, news: Vec<News>) -> anyhow::Result<()> {
        let looked_up = news.into_iter().map(async |one| match one {
            News::One(account, notice) => anyhow::Ok(vec![(account, *notice)]),
            News::Alert(alert) => {
                let told = self.audience.of_alert(&alert).await?.into_iter();
                let notice = |(account, notice)| {
                    let position = alert.position.clone();
                    (account, Notice { position, notice })
                };
                Ok(told.map(notice).collect())
            }
            News::Mention(mention) => {
                let told = self.audience.of(&mention).await?.into_iter();
                let notice = |(account, notice)| {
                    let position = mention.position.clone();
                    (account, Notice { position, notice })
                };
                Ok(told.map(notice).collect())
            }
        });
        let notices: Vec<Vec<(AccountId, Notice)>> = futures::stream::iter(looked_up)
            .buffered(LOOKING)
            .try_collect()
            .await?;
        Ok(self.store(&notices.concat()).await?)
    }

    async fn store(&self, notices: &[(AccountId, Notice)]) -> Result<(), AppendError> {
        let mut rest = notices;
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

/// Whether a record may have something to tell, so that the others need not be opened.
fn tells(record: &Record) -> bool {
    match record.subject.parse() {
        Ok(
            Subject::Account(_)
            | Subject::Member(..)
            | Subject::Space(..)
            | Subject::Schedule(..)
            | Subject::Report(..)
            | Subject::Held(..),
        ) => true,
        Ok(Subject::Room(..)) => {
            let event = read_envelope(record)
                .ok()
                .and_then(|envelope| Event::decode(&envelope.kind, &record.payload).ok());
            match event {
                Some(Event::Room(RoomEvent::MessagePosted(event))) => event.mentions.is_some(),
                Some(Event::Room(RoomEvent::MessageEdited(event))) => event.mentions.is_some(),
                Some(_) | None => false,
            }
        }
        Ok(Subject::Handle(_) | Subject::Call(..)) | Err(_) => false,
    }
}

/// What of these events the devices of people should hear.
pub(crate) fn of_items(items: &[Item]) -> Vec<News> {
    items.iter().filter_map(of_item).collect()
}

fn of_item(item: &Item) -> Option<News> {
    match &item.content {
        Content::Event(recorded) => news(
            &recorded.subject,
            &recorded.event,
            &recorded.envelope,
            &recorded.position,
        ),
        Content::Unknown(_) | Content::Unreadable(_) => None,
    }
}

fn news(subject: &Subject, event: &Event, envelope: &Envelope, position: &Position) -> Option<News> {
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
        (Event::Room(RoomEvent::MessagePosted(event)), _) => {
            let mention = Mention::of(position, envelope.time, event)?;
            return Some(News::Mention(Box::new(mention)));
        }
        (Event::Room(RoomEvent::MessageEdited(event)), _) => {
            let mention = Mention::of_edit(position, envelope.time, event)?;
            return Some(News::Mention(Box::new(mention)));
        }
        (Event::Space(SpaceEvent::RaidBegun(event)), Subject::Space(_, space)) => {
            let data = NoticeData {
                space: Some(*space),
                by: event.by,
                ..NoticeData::default()
            };
            return Some(alert((None, Permission::Mute), *space, data, envelope, position));
        }
        (Event::Report(ReportEvent::Filed(event)), _) => {
            let data = NoticeData {
                space: Some(event.space),
                room: Some(event.room),
                message: Some(event.message),
                ..NoticeData::default()
            };
            let whom = (Some(event.gate), Permission::ManageMessages);
            return Some(alert(whom, event.space, data, envelope, position));
        }
        (Event::Held(HeldEvent::MessageHeld(event)), _) => {
            let data = held_data(event.space, event.room, event.message, None);
            let whom = (Some(event.gate()), Permission::ManageMessages);
            return Some(alert(whom, event.space, data, envelope, position));
        }
        (Event::Held(HeldEvent::MessageApproved(event)), _) => {
            let data = held_data(event.space, event.room, event.message, Some(event.by));
            (event.author, data)
        }
        (Event::Held(HeldEvent::MessageRejected(event)), _) => {
            let data = held_data(event.space, event.room, event.message, Some(event.by));
            (event.author, data)
        }
        (Event::Schedule(event), Subject::Schedule(_, space, account)) => {
            (*account, schedule_data(*space, event))
        }
        (
            Event::Account(_)
            | Event::Handle(_)
            | Event::Space(_)
            | Event::Room(_)
            | Event::Report(_)
            | Event::Schedule(_)
            | Event::Call(_),
            _,
        ) => return None,
    };
    let notice = AccountNotice {
        source: Some(position.to_string()),
        kind: envelope.kind.clone(),
        at: envelope.time,
        data,
    };
    let position = position.clone();
    Some(News::One(account, Box::new(Notice { position, notice })))
}

fn held_data(space: SpaceId, room: RoomId, message: MessageId, by: Option<AccountId>) -> NoticeData {
    NoticeData {
        space: Some(space),
        room: Some(room),
        message: Some(message),
        by,
        ..NoticeData::default()
    }
}

/// What those are told who have this permission, in a room or in the whole space.
fn alert(
    (gate, permission): (Option<RoomId>, Permission),
    space: SpaceId,
    data: NoticeData,
    envelope: &Envelope,
    position: &Position,
) -> News {
    News::Alert(Box::new(Alert {
        position: position.clone(),
        space,
        gate,
        permission,
        notice: AccountNotice {
            source: Some(position.to_string()),
            kind: envelope.kind.clone(),
            at: envelope.time,
            data,
        },
    }))
}

fn schedule_data(space: SpaceId, event: &ScheduleEvent) -> NoticeData {
    let (message, code) = match event {
        ScheduleEvent::MessageSent(event) => (Some(event.message), None),
        ScheduleEvent::MessageRefused(event) => (None, Some(event.code.clone())),
        ScheduleEvent::MessageAdded(_)
        | ScheduleEvent::MessageChanged(_)
        | ScheduleEvent::MessageCancelled(_) => (None, None),
    };
    NoticeData {
        space: Some(space),
        scheduled: Some(event.scheduled()),
        message,
        code,
        ..NoticeData::default()
    }
}

fn account_data(event: &AccountEvent) -> NoticeData {
    let session = match event {
        AccountEvent::SessionStarted(event) => Some(event.session),
        AccountEvent::SessionEnded(event) => Some(event.session),
        AccountEvent::Registered(_)
        | AccountEvent::ProfileChanged(_)
        | AccountEvent::PasswordChanged(_)
        | AccountEvent::EmailConfirmed(_)
        | AccountEvent::EmailLinkAsked(_)
        | AccountEvent::EmailChangeAsked(_)
        | AccountEvent::EmailChanged(_)
        | AccountEvent::PasswordResetAsked(_)
        | AccountEvent::RoleGranted(_)
        | AccountEvent::Blocked(_)
        | AccountEvent::Unblocked(_)
        | AccountEvent::BotTakenOn(_)
        | AccountEvent::BotLetGo(_)
        | AccountEvent::BotRegistered(_)
        | AccountEvent::BotChanged(_)
        | AccountEvent::BotRetired(_)
        | AccountEvent::BotKeyCreated(_)
        | AccountEvent::BotKeyRevoked(_) => None,
    };
    NoticeData {
        session,
        ..NoticeData::default()
    }
}

//! What accounts are told of themselves by mail: links that confirm an address or set another password, and that one of
//! the two is another now. The log says when; each at most once.

mod words;

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use veza_domain::account::Addresses;
use veza_events::account::AccountEvent;
use veza_events::{AccountId, Event, Subject, Timestamp};
use veza_platform::ambient;
use veza_platform::config::Config;
use veza_platform::contract::Problem;
use veza_platform::event_log::{Record, StreamName};
use veza_platform::kv::Kv;
use veza_platform::ledger::{Ledger, Recorded, read_envelope};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::links::{Link, Purpose};
use veza_readmodel::Choices;

use self::words::words;
use crate::mail::Mail;
use crate::metrics::Metrics;
use crate::place::{KEEP_EVERY, Place};

/// The types of event that somebody gets a letter for.
const KINDS: [&str; 6] = [
    "account.registered.v1",
    "account.email_link_asked.v1",
    "account.email_change_asked.v1",
    "account.email_changed.v1",
    "account.password_reset_asked.v1",
    "account.password_changed.v1",
];
/// Pause while somebody is away.
const PAUSE: Duration = Duration::from_millis(500);

/// Reads the stream of accounts.
pub(crate) struct Letters {
    lifecycle: Lifecycle,
    ledger: Ledger,
    choices: Kv<Choices>,
    queue: mpsc::Sender<Mail>,
    metrics: Metrics,
    public_url: String,
    confirm_life: Duration,
    max_age: Duration,
}

/// What somebody is told, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Letter {
    /// A link that confirms this address.
    Confirm(String, u32, Timestamp),
    /// A link that sets another password.
    Reset(String, u32, Timestamp),
    /// Mail goes elsewhere from now on.
    Moved(String),
    /// The password is another.
    PasswordChanged(String),
}

impl Letters {
    pub(crate) fn new(
        config: &Config,
        lifecycle: &Lifecycle,
        ledger: Ledger,
        queue: mpsc::Sender<Mail>,
        metrics: Metrics,
    ) -> Self {
        Self {
            lifecycle: lifecycle.clone(),
            choices: Kv::open(ledger.log(), Choices::BUCKET),
            ledger,
            queue,
            metrics,
            public_url: config.gateway.public_url.trim_end_matches('/').to_owned(),
            confirm_life: Duration::from_secs(config.mail.confirm_ttl_s),
            max_age: Duration::from_secs(config.notifier.max_age_s),
        }
    }

    /// Writes until the role ends.
    pub(crate) async fn run(self) {
        let soft = self.lifecycle.soft.clone();
        while !soft.is_cancelled() {
            let ended = tokio::select! {
                ended = self.follow() => ended,
                () = soft.cancelled() => return,
            };
            match ended {
                Ok(()) => tracing::debug!("another notifier is ahead"),
                Err(error) => tracing::debug!(%error, "letters have to wait"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Goes on from the kept position. Ends when another instance has kept a newer one.
    async fn follow(&self) -> anyhow::Result<()> {
        let stream = StreamName::accounts();
        let mut place = Place::open(self.ledger.log(), &stream).await?;
        let mut records = self.ledger.log().follow(&stream, place.seq);
        loop {
            let next = tokio::time::timeout(KEEP_EVERY, records.next()).await;
            if let Ok(None) = next {
                return Ok(());
            }
            if let Ok(Some(record)) = next {
                let record = record?;
                place.seq = record.position.seq;
                if let Some(mail) = self.mail_for(&record).await? {
                    // Never the other way round.
                    if !place.keep().await? {
                        return Ok(());
                    }
                    self.metrics.mails_waiting.inc();
                    self.queue.send(mail).await?;
                }
            }
            if place.is_due() && !place.keep().await? {
                return Ok(());
            }
        }
    }

    async fn mail_for(&self, record: &Record) -> Result<Option<Mail>, Problem> {
        let Ok(envelope) = read_envelope(record) else {
            return Ok(None);
        };
        let Ok(Subject::Account(account)) = record.subject.parse() else {
            return Ok(None);
        };
        if !KINDS.contains(&envelope.kind.as_str()) {
            return Ok(None);
        }
        let mut history = self.ledger.load(&Subject::Account(account), 0).await?;
        history.retain(|recorded| recorded.position.seq <= record.position.seq);
        if history.last().map(|last| last.position.seq) != Some(record.position.seq) {
            return Err(Problem::unavailable("the log has not caught up here", 500));
        }
        match letter(&history, self.confirm_life, self.max_age, ambient::now().into()) {
            Some(letter) => self.written(account, letter).await.map(Some),
            None => Ok(None),
        }
    }

    async fn written(&self, account: AccountId, letter: Letter) -> Result<Mail, Problem> {
        let chosen = self.choices.get(&account.to_string()).await?;
        let language = chosen.and_then(|entry| entry.value.ways.language);
        let link = match &letter {
            Letter::Confirm(_, number, until) => {
                self.link(Purpose::Confirm, account, *number, *until).await?
            }
            Letter::Reset(_, number, until) => self.link(Purpose::Reset, account, *number, *until).await?,
            Letter::Moved(_) | Letter::PasswordChanged(_) => String::new(),
        };
        let words = words(language.unwrap_or_default(), &letter, &self.public_url, &link);
        let (Letter::Confirm(to, ..)
        | Letter::Reset(to, ..)
        | Letter::Moved(to)
        | Letter::PasswordChanged(to)) = letter;
        Ok(Mail {
            to,
            words,
            unsubscribe: None,
        })
    }

    async fn link(
        &self,
        purpose: Purpose,
        account: AccountId,
        number: u32,
        until: Timestamp,
    ) -> Result<String, Problem> {
        let key = self.ledger.keys().installation_key().await?;
        let link = Link {
            purpose,
            account,
            number,
            expires_at: until,
        };
        Ok(link.token(&key))
    }
}

/// What the last event of an account's history is told by. Nothing that cannot be opened any more is, and nothing old.
fn letter(history: &[Recorded], confirm_life: Duration, max_age: Duration, now: Timestamp) -> Option<Letter> {
    let (last, before) = history.split_last()?;
    let Event::Account(event) = &last.event else {
        return None;
    };
    let addresses = Addresses::of(before.iter().map(|recorded| &recorded.event));
    let present = addresses.present();
    let fresh = now.time() - last.envelope.time.time() <= max_age;
    let confirm = |to: Option<&String>, number, until| Some(Letter::Confirm(to?.clone(), number, until));
    match event {
        // Who has no password was not made by somebody who has an address.
        AccountEvent::Registered(event) if event.password.is_some() => {
            let until = (last.envelope.time.time() + confirm_life).into();
            confirm(event.email.clear(), 0, until)
        }
        AccountEvent::EmailChangeAsked(event) => confirm(event.email.clear(), event.number, event.expires_at),
        AccountEvent::EmailLinkAsked(event) => {
            confirm(addresses.get(event.number), event.number, event.expires_at)
        }
        AccountEvent::PasswordResetAsked(event) => {
            Some(Letter::Reset(present?.clone(), event.number, event.expires_at))
        }
        AccountEvent::EmailChanged(_) if fresh => Some(Letter::Moved(present?.clone())),
        AccountEvent::PasswordChanged(_) if fresh && addresses.email().confirmed => {
            Some(Letter::PasswordChanged(present?.clone()))
        }
        AccountEvent::Registered(_)
        | AccountEvent::EmailConfirmed(_)
        | AccountEvent::EmailChanged(_)
        | AccountEvent::PasswordChanged(_)
        | AccountEvent::ProfileChanged(_)
        | AccountEvent::RoleGranted(_)
        | AccountEvent::Blocked(_)
        | AccountEvent::Unblocked(_)
        | AccountEvent::SessionStarted(_)
        | AccountEvent::SessionEnded(_)
        | AccountEvent::BotTakenOn(_)
        | AccountEvent::BotLetGo(_)
        | AccountEvent::BotRegistered(_)
        | AccountEvent::BotChanged(_)
        | AccountEvent::BotRetired(_)
        | AccountEvent::BotKeyCreated(_)
        | AccountEvent::BotKeyRevoked(_) => None,
    }
    .filter(|letter| match letter {
        Letter::Confirm(_, _, until) | Letter::Reset(_, _, until) => *until > now,
        Letter::Moved(_) | Letter::PasswordChanged(_) => true,
    })
}

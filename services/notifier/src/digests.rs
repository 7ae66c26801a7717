//! Mails to people about what they have missed. What is due is looked at again, then taken, and only then sent: whoever
//! is killed in between has sent nothing, and nobody is told twice.

mod words;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use veza_events::{AccountId, Timestamp};
use veza_platform::ambient;
use veza_platform::config::Config;
use veza_platform::contract::Problem;
use veza_platform::keyring::Keyring;
use veza_platform::kv::{Change, Kv, KvError, Watch};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::links::{Link, Purpose};
use veza_readmodel::{Choices, MailLevel, Ways};

use self::words::Digest;
use crate::agenda::{Agenda, Rules};
use crate::decide::{Deciding, of_read_model};
use crate::mail::Mail;
use crate::metrics::Metrics;
use crate::missed::{Missed, MissedBook, Waiting};
use crate::presence::Presence;

/// Buckets that are followed.
const FOLLOWED: u32 = 2;
/// How often it is looked who is due.
const TICK: Duration = Duration::from_secs(1);
/// Accounts that are looked at side by side.
const AT_ONCE: usize = 8;
/// Accounts that are looked at before the buckets are followed again.
const MOST: usize = 64;
/// Pause after something that cannot be read.
const PAUSE: Duration = Duration::from_millis(100);
/// How long somebody is put off who cannot be told now because something is away.
const RETRY: Duration = Duration::from_secs(5);
/// How long the link that ends these mails is good.
const UNSUBSCRIBE_LIFE: Duration = Duration::from_hours(24 * 90);

/// Everything that it takes.
pub(crate) struct Digests {
    lifecycle: Lifecycle,
    parts: Parts,
    rules: Rules,
    public_url: String,
    include_text: bool,
    agenda: Mutex<Agenda>,
}

/// The parts that are opened before.
pub(crate) struct Parts {
    pub(crate) book: MissedBook,
    pub(crate) choices: Kv<Choices>,
    pub(crate) deciding: Arc<Deciding>,
    pub(crate) presence: Presence,
    pub(crate) keys: Keyring,
    pub(crate) queue: mpsc::Sender<Mail>,
    pub(crate) metrics: Metrics,
}

impl Digests {
    pub(crate) fn new(config: &Config, lifecycle: &Lifecycle, parts: Parts) -> Self {
        let rules = Rules::of(&config.mail);
        Self {
            lifecycle: lifecycle.clone(),
            parts,
            rules,
            public_url: config.gateway.public_url.trim_end_matches('/').to_owned(),
            include_text: config.mail.include_text,
            agenda: Mutex::new(Agenda::new(rules)),
        }
    }

    /// Notes that people are to be told of messages by mail, if they do not read them first.
    pub(crate) async fn miss(&self, missed: Vec<(AccountId, Missed)>) {
        let now: Timestamp = ambient::now().into();
        futures::stream::iter(missed)
            .for_each_concurrent(AT_ONCE, async |(account, missed)| {
                // Not tried again later: they might be told twice.
                if let Err(error) = self.parts.book.add(account, missed, now).await {
                    tracing::debug!(%error, "a message is missing in a mail");
                    self.parts.metrics.mail("unnoted");
                }
            })
            .await;
    }

    /// Follows the buckets, and tells who is due, for as long as the role lives.
    pub(crate) async fn run(self: Arc<Self>) {
        let soft = self.lifecycle.soft.clone();
        let (mut missed, mut choices) = (self.parts.book.watch(), self.parts.choices.watch());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut current = 0;
        loop {
            tokio::select! {
                () = soft.cancelled() => return,
                entry = next(&mut missed) => match entry {
                    Some((account, waiting)) => self.agenda().misses(account, &waiting),
                    None => current += 1,
                },
                entry = next(&mut choices) => match entry {
                    Some((account, choices)) => self.agenda().chose(account, &choices.ways),
                    None => current += 1,
                },
                _ = tick.tick() => {
                    // Whoever has not read everything yet takes people for others than they are.
                    if current >= FOLLOWED {
                        self.look().await;
                    }
                }
            }
        }
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self) {
        let now: Timestamp = ambient::now().into();
        let (due, len) = {
            let agenda = self.agenda();
            (agenda.due(now, MOST), agenda.len())
        };
        self.parts.metrics.missing(len);
        if due.is_empty() {
            return;
        }
        // Who is here sees it here, and is asked about again.
        let here = self.parts.presence.here(&due).await;
        futures::stream::iter(due)
            .for_each_concurrent(AT_ONCE, async |account| {
                if self.lifecycle.soft.is_cancelled() {
                    return;
                }
                let told = self.tell(account, here.contains(&account), now).await;
                if let Err(problem) = told {
                    tracing::debug!(%problem, "somebody cannot be told by mail yet");
                    self.agenda().put_off(account, (now.time() + RETRY).into());
                }
            })
            .await;
    }

    async fn tell(&self, account: AccountId, is_here: bool, now: Timestamp) -> Result<(), Problem> {
        let Some(entry) = self.parts.book.of(account).await? else {
            self.agenda().misses(account, &Waiting::default());
            return Ok(());
        };
        let waiting = entry.value;
        let ways = self.ways_of(account).await?;
        if self.rules.due(&waiting, &ways).is_none_or(|due| due > now) {
            let mut agenda = self.agenda();
            agenda.chose(account, &ways);
            agenda.misses(account, &waiting);
            return Ok(());
        }
        let later = match ways.quiet_until(now) {
            _ if ways.mail == MailLevel::Off => None,
            Some(end) => Some(end),
            None if is_here => Some((now.time() + self.rules.delay.max(TICK)).into()),
            None => None,
        };
        if let Some(later) = later {
            self.agenda().put_off(account, later);
            return Ok(());
        }
        let mail = self.compose(account, &ways, &waiting, now).await?;
        let next = match mail {
            Some(_) => Waiting::taken(now),
            None => waiting.emptied(),
        };
        match self
            .parts
            .book
            .replace(account, &next, Some(entry.revision))
            .await
        {
            Ok(()) => {}
            // Another instance has, or something came meanwhile: the bucket tells.
            Err(KvError::Conflict) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.agenda().misses(account, &next);
        if let Some(mail) = mail {
            self.parts.metrics.mails_waiting.inc();
            // Only when the process ends nobody is there to take it.
            let _ = self.parts.queue.send(mail).await;
        }
        Ok(())
    }

    /// What somebody is told now; `None` if there is nothing left, or nowhere to tell it.
    async fn compose(
        &self,
        account: AccountId,
        ways: &Ways,
        waiting: &Waiting,
        now: Timestamp,
    ) -> Result<Option<Mail>, Problem> {
        if ways.mail == MailLevel::Off {
            return Ok(None);
        }
        let deciding = &self.parts.deciding;
        let row = deciding
            .read
            .account_private(account)
            .await
            .map_err(of_read_model)?;
        let confirmed = row.filter(|row| row.email_confirmed);
        let Some(to) = confirmed.and_then(|row| row.email) else {
            return Ok(None);
        };
        let mut left = Vec::new();
        for missed in &waiting.messages {
            left.extend(deciding.still(account, missed.message, missed.why).await?);
        }
        if left.is_empty() {
            return Ok(None);
        }
        let link = Link {
            purpose: Purpose::Unsubscribe,
            account,
            number: 0,
            expires_at: (now.time() + UNSUBSCRIBE_LIFE).into(),
        };
        let key = self.parts.keys.installation_key().await?;
        let stop = format!("{}/unsubscribe?t={}", self.public_url, link.token(&key));
        let digest = Digest {
            // Of which only the newest were kept, the older may have been read if one of these was.
            older: waiting.more && left.len() == waiting.messages.len(),
            left: &left,
            at: &self.public_url,
            stop: &stop,
            include_text: self.include_text,
        };
        Ok(Some(Mail {
            to,
            words: digest.words(ways.language.unwrap_or_default()),
            unsubscribe: Some(stop),
        }))
    }

    async fn ways_of(&self, account: AccountId) -> Result<Ways, Problem> {
        let stored = self.parts.choices.get_consistent(&account.to_string()).await?;
        Ok(stored.map(|entry| entry.value.ways).unwrap_or_default())
    }
}

/// The next account whose entry is another now, and the entry, empty when it was removed; `None` once all that was there
/// has been read.
async fn next<T>(watch: &mut Watch<T>) -> Option<(AccountId, T)>
where
    T: Default + serde::de::DeserializeOwned,
{
    loop {
        let (key, value) = match watch.next().await {
            Ok(Change::Put { key, entry }) => (key, entry.value),
            Ok(Change::Removed { key, .. }) => (key, T::default()),
            Ok(Change::Current) => return None,
            Err(error) => {
                tracing::debug!(%error, "an entry cannot be read");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if let Ok(account) = key.parse() {
            return Some((account, value));
        }
    }
}

//! Who is there: of those that somebody has on screen, and only among people who share a space.
//!
//! Gateways tell each other by plain messages what changes; a new watch asks, and a gateway that falls silent
//! is forgotten with its accounts. Nothing is stored: who is there is true only now.

mod book;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::subject::ToSubject;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;
use veza_events::AccountId;
use veza_platform::ambient;
use veza_platform::config::RealtimeConfig;

use self::book::{Book, States};
use super::frames::{Mood, Outgoing, PresenceState};
use super::hub::Hub;
use super::sockets::{Peer, SocketKey};

const SAID: &str = "live.presence.said";
const ASKED: &str = "live.presence.asked";
/// How often a gateway shows that it is there.
const BEAT: Duration = Duration::from_secs(5);
/// A gateway that was not heard for so long is not there.
const SILENCE: Duration = Duration::from_secs(16);
/// How often everybody who is watched is asked for again, should something have been missed.
const ASK_AGAIN: Duration = Duration::from_mins(1);
/// Accounts in one message.
const CHUNK: usize = 2_000;
/// Pause before a subscription is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Accounts that left a space and whose watchers wait to be looked at.
const DOUBTS: usize = 10_000;
/// How long and how often the read model is asked after a membership ended.
const DOUBT_RETRY: (u32, Duration) = (20, Duration::from_millis(250));

/// Everything about presence in this gateway.
#[derive(Debug)]
pub(super) struct Presence {
    gateway: Uuid,
    client: async_nats::Client,
    book: Mutex<Book>,
    doubts: mpsc::Sender<(AccountId, u64, String)>,
    every: Duration,
    grace: Duration,
}

/// Membership ends that watchers have to be looked at for: account, and where it lies in which stream.
pub(super) type Doubts = mpsc::Receiver<(AccountId, u64, String)>;

#[derive(Debug, Serialize, Deserialize)]
struct Said {
    gateway: Uuid,
    states: States,
}

#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    gateway: Uuid,
    accounts: Vec<AccountId>,
}

impl Presence {
    /// Nobody is there yet.
    pub(super) fn new(client: async_nats::Client, config: &RealtimeConfig) -> (Self, Doubts) {
        let (doubts, receiver) = mpsc::channel(DOUBTS);
        let presence = Self {
            gateway: ambient::new_uuid(),
            client,
            book: Mutex::default(),
            doubts,
            every: Duration::from_millis(config.presence_batch_ms.max(50)),
            grace: Duration::from_millis(config.presence_grace_ms),
        };
        (presence, receiver)
    }

    /// A device is there, in this mood.
    pub(super) fn enter(&self, peer: &Peer, mood: Mood) {
        self.lock().enter(peer.identity.account, peer.key, mood);
    }

    /// A device is gone.
    pub(super) fn leave(&self, account: AccountId, socket: SocketKey, now: Instant) {
        self.lock().leave(account, socket, now);
    }

    /// Replaces whom a socket watches. It is told of all of them with the next batch.
    pub(super) async fn watch(&self, peer: &Peer, targets: BTreeSet<AccountId>) {
        let new = self.lock().watch(peer.key, peer.identity.account, targets);
        self.ask(new).await;
    }

    /// An account is out of a space, as the event at `seq` of `stream` says.
    pub(super) fn doubt(&self, account: AccountId, seq: u64, stream: &str) {
        if self.lock().doubt(account).is_empty() {
            return;
        }
        if self.doubts.try_send((account, seq, stream.to_owned())).is_err() {
            tracing::warn!("more people left spaces than presence can follow");
        }
    }

    async fn ask(&self, accounts: Vec<AccountId>) {
        for part in accounts.chunks(CHUNK) {
            let asked = Asked {
                gateway: self.gateway,
                accounts: part.to_vec(),
            };
            self.publish(ASKED, &asked).await;
        }
    }

    async fn say(&self, states: States) {
        let mut states = states.into_iter();
        loop {
            let said = Said {
                gateway: self.gateway,
                states: states.by_ref().take(CHUNK).collect(),
            };
            let more = said.states.len() == CHUNK;
            self.publish(SAID, &said).await;
            if !more {
                return;
            }
        }
    }

    async fn publish(&self, subject: impl ToSubject, message: &impl Serialize) {
        let body = serde_json::to_vec(message).expect("messages are plain data");
        // What is lost is asked for again.
        let _ = self.client.publish(subject, body.into()).await;
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells sockets and other gateways what changed, for as long as the process lives.
pub(super) async fn run(hub: Arc<Hub>) {
    let presence = &hub.presence;
    let (mut beat, mut asked) = (Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(presence.every).await;
        let now = Instant::now();
        let (news, changes) = {
            let mut book = presence.lock();
            book.expire(now, SILENCE, presence.grace);
            (book.news(), book.changes())
        };
        for (socket, states) in changes {
            let done = show(&hub, socket, &states);
            presence.lock().told(socket, states, done);
        }
        if !news.is_empty() || now >= beat {
            beat = now + BEAT;
            presence.say(news).await;
        }
        if now >= asked {
            asked = now + ASK_AGAIN;
            let watched = presence.lock().watched();
            presence.ask(watched).await;
        }
        let (here, watched) = presence.lock().size();
        hub.metrics.presence(here, watched);
    }
}

fn show(hub: &Hub, socket: SocketKey, states: &BTreeMap<AccountId, PresenceState>) -> bool {
    let frame = Outgoing::Presence { states }.frame();
    hub.sockets
        .outbox(socket)
        .is_none_or(|outbox| outbox.push_passing(frame.bytes()))
}

/// Hears what other gateways say and ask, for as long as the process lives.
pub(super) async fn listen(hub: Arc<Hub>) {
    let presence = &hub.presence;
    loop {
        match presence.client.subscribe("live.presence.*").await {
            Ok(mut messages) => {
                while let Some(message) = messages.next().await {
                    hear(presence, &message).await;
                }
            }
            Err(error) => tracing::debug!(error.message = %error, "presence cannot be heard yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn hear(presence: &Presence, message: &async_nats::Message) {
    if message.subject.as_str() == ASKED {
        let Ok(asked) = serde_json::from_slice::<Asked>(&message.payload) else {
            return;
        };
        if asked.gateway != presence.gateway {
            let here = presence.lock().here(&asked.accounts);
            match &message.reply {
                _ if here.is_empty() => {}
                // Who is no gateway wants to know it alone.
                Some(inbox) => {
                    let said = Said {
                        gateway: presence.gateway,
                        states: here,
                    };
                    presence.publish(inbox.clone(), &said).await;
                }
                None => presence.say(here).await,
            }
        }
        return;
    }
    let Ok(said) = serde_json::from_slice::<Said>(&message.payload) else {
        return;
    };
    if said.gateway == presence.gateway {
        return;
    }
    let watched = {
        let mut book = presence.lock();
        let new = book.heard(said.gateway, &said.states, Instant::now());
        if new { book.watched() } else { Vec::new() }
    };
    presence.ask(watched).await;
}

/// Looks again at who may watch whom after memberships have ended.
pub(super) async fn settle(hub: Arc<Hub>, mut doubts: Doubts) {
    while let Some((account, seq, stream)) = doubts.recv().await {
        let doubtful = hub.presence.lock().doubt(account);
        for (socket, watcher, targets) in doubtful {
            let mut allowed = BTreeSet::new();
            for _ in 0..DOUBT_RETRY.0 {
                let asked: Vec<_> = targets.iter().copied().collect();
                match hub
                    .services
                    .acquainted(watcher, asked, Some((stream.clone(), seq)))
                    .await
                {
                    Ok(known) => {
                        allowed = known.into_iter().collect();
                        break;
                    }
                    Err(_) => tokio::time::sleep(DOUBT_RETRY.1).await,
                }
            }
            let lost = hub.presence.lock().keep(socket, &allowed);
            if !lost.is_empty() {
                let states = lost.into_iter().map(|account| (account, PresenceState::Offline));
                show(&hub, socket, &states.collect());
            }
        }
    }
}

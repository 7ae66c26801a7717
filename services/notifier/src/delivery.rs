//! From what somebody is told to their devices.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::sync::mpsc;
use veza_events::AccountId;
use veza_platform::ambient;
use veza_platform::config::Config;
use veza_platform::contract::Problem;
use veza_platform::outgoing::{Answer, Longer, Outgoing, OutgoingError, Want};
use veza_platform::push::{PushKeys, PushSubscription, PushSubscriptions, Receiver};
use veza_readmodel::ReadModel;

use crate::decide::Push;
use crate::metrics::Metrics;
use crate::presence::Presence;
use crate::who::Why;

/// A session younger than this may not be in the read models yet.
const YOUNG: time::Duration = time::Duration::minutes(1);

/// Pushes whose receivers gateways are asked for at once.
const BATCH: usize = 256;

/// Everything that it takes.
pub(crate) struct Delivery {
    pub(crate) subscriptions: PushSubscriptions,
    pub(crate) keys: PushKeys,
    pub(crate) outgoing: Outgoing,
    pub(crate) read: ReadModel,
    pub(crate) presence: Presence,
    pub(crate) metrics: Metrics,
    pub(crate) contact: String,
    pub(crate) ttl: HeaderValue,
    pub(crate) at_once: usize,
    pub(crate) tries: u32,
    pub(crate) pause: Duration,
    pub(crate) longest_pause: Duration,
}

/// What became of a push to one device.
enum Outcome {
    Taken,
    /// The device is not there any more.
    Gone,
    /// The service does not want it; another time it would not either.
    Refused,
    /// The service is away, or wants to be left alone for a while.
    Later(Option<Duration>),
}

impl Delivery {
    pub(crate) fn new(
        config: &Config,
        subscriptions: PushSubscriptions,
        keys: PushKeys,
        outgoing: Outgoing,
        read: ReadModel,
        presence: Presence,
        metrics: Metrics,
    ) -> Self {
        let (push, notifier) = (&config.push, &config.notifier);
        let contact = if push.contact.is_empty() {
            &config.gateway.public_url
        } else {
            &push.contact
        };
        Self {
            subscriptions,
            keys,
            outgoing,
            read,
            presence,
            metrics,
            contact: contact.clone(),
            ttl: HeaderValue::from(push.ttl_s),
            at_once: notifier.max_deliveries,
            tries: notifier.max_tries.max(1),
            pause: Duration::from_millis(notifier.retry_delay_ms),
            longest_pause: Duration::from_millis(notifier.max_retry_delay_ms),
        }
    }

    /// Delivers what comes, until nothing can come any more.
    pub(crate) async fn run(self: Arc<Self>, queue: mpsc::Receiver<Push>) {
        let batches = futures::stream::unfold(queue, async |mut queue| {
            let mut batch = Vec::new();
            let count = queue.recv_many(&mut batch, BATCH).await;
            (count > 0).then_some((batch, queue))
        });
        batches
            .then(|batch| self.of_absent(batch))
            .flat_map(futures::stream::iter)
            .for_each_concurrent(self.at_once, async |push| {
                self.metrics.waiting.dec();
                self.tell(push).await;
            })
            .await;
    }

    /// Without those to people in front of a screen: they see it there.
    async fn of_absent(&self, mut batch: Vec<Push>) -> Vec<Push> {
        let mut accounts: Vec<AccountId> = batch.iter().map(|push| push.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let here = self.presence.here(&accounts).await;
        batch.retain(|push| {
            let is_here = here.contains(&push.account);
            if is_here {
                self.metrics.waiting.dec();
                self.metrics.push("here");
            }
            !is_here
        });
        batch
    }

    async fn tell(&self, push: Push) {
        let devices = match self.subscriptions.of(push.account).await {
            Ok(devices) => devices,
            Err(problem) => {
                tracing::debug!(%problem, "devices cannot be looked up");
                self.metrics.push("dropped");
                return;
            }
        };
        let told = devices.iter().map(async |device| {
            if !self.is_signed_in(push.account, device).await {
                self.metrics.push("signed_out");
                self.forget(push.account, device).await;
                return;
            }
            match self.deliver(device, &push).await {
                Ok(Outcome::Taken) => self.metrics.push("taken"),
                Ok(Outcome::Gone) => {
                    self.metrics.push("gone");
                    self.forget(push.account, device).await;
                }
                Ok(Outcome::Refused) => self.metrics.push("refused"),
                Ok(Outcome::Later(_)) => self.metrics.push("dropped"),
                Err(problem) => {
                    tracing::debug!(%problem, "a push could not be made");
                    self.metrics.push("dropped");
                }
            }
        });
        futures::future::join_all(told).await;
    }

    /// Whether the session that made a subscription goes on. While nobody can be asked, it does.
    async fn is_signed_in(&self, account: AccountId, device: &PushSubscription) -> bool {
        let young = ambient::now() - device.made_at.time() < YOUNG;
        young || !matches!(self.read.session(account, device.session).await, Ok(None))
    }

    async fn forget(&self, account: AccountId, device: &PushSubscription) {
        if let Err(problem) = self.subscriptions.remove(account, device.id).await {
            tracing::debug!(%problem, "a device that is gone is still listed");
        }
    }

    /// Tries to deliver, a bounded number of times.
    async fn deliver(&self, device: &PushSubscription, push: &Push) -> Result<Outcome, Problem> {
        let mut pause = self.pause;
        let mut tried = 1;
        loop {
            match self.send(device, push).await? {
                Outcome::Later(asked) if tried < self.tries => {
                    tokio::time::sleep(asked.unwrap_or(pause).min(self.longest_pause)).await;
                    pause = (pause * 2).min(self.longest_pause);
                    tried += 1;
                }
                outcome => return Ok(outcome),
            }
        }
    }

    async fn send(&self, device: &PushSubscription, push: &Push) -> Result<Outcome, Problem> {
        let Ok(url) = self.outgoing.address(&device.endpoint) else {
            return Ok(Outcome::Refused);
        };
        let Some(authorization) = self.keys.authorization(&device.key, &url, &self.contact).await? else {
            return Ok(Outcome::Gone);
        };
        let Ok(receiver) = Receiver::parse(&device.p256dh, &device.auth) else {
            return Ok(Outcome::Gone);
        };
        let sealed = receiver.encrypt(push.words.as_bytes());
        let body = sealed.map_err(|_| Problem::internal(&"a push is too long"))?;
        let authorization = HeaderValue::try_from(authorization);
        let mut authorization = authorization.map_err(|error| Problem::internal(&error))?;
        authorization.set_sensitive(true);
        let urgency = match push.why {
            Why::Mention | Why::Reply | Why::Direct => "high",
            Why::All => "normal",
        };
        let headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, authorization),
            (header::CONTENT_ENCODING, HeaderValue::from_static("aes128gcm")),
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            ),
            (header::CONTENT_LENGTH, HeaderValue::from(body.len())),
            (HeaderName::from_static("ttl"), self.ttl.clone()),
            (
                HeaderName::from_static("urgency"),
                HeaderValue::from_static(urgency),
            ),
        ]);
        // What the service says beside its status does not matter.
        let want = Want {
            accept: "*/*",
            accepts: &|_| true,
            max_bytes: 0,
            longer: Longer::Cut,
        };
        Ok(judged(self.outgoing.post(&url, headers, body.into(), want).await))
    }
}

/// RFC 8030, sections 5 and 7.3, and what services do beside it.
fn judged(answer: Result<Answer, OutgoingError>) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.is_passing() => return Outcome::Later(None),
        Err(_) => return Outcome::Refused,
    };
    let asked = answer.headers.get(header::RETRY_AFTER);
    let asked = asked.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    match answer.status {
        status if status.is_success() => Outcome::Taken,
        StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Gone,
        StatusCode::TOO_MANY_REQUESTS => Outcome::Later(asked.map(Duration::from_secs)),
        status if status.is_server_error() => Outcome::Later(asked.map(Duration::from_secs)),
        _ => Outcome::Refused,
    }
}

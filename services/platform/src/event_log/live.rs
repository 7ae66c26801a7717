//! Events as they are stored. Plain subscriptions: nothing is kept for a subscriber that is away, so every
//! reason to believe that something was missed is passed on.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::SelectAll;
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::link::{Connection, Link, LinkError};
use super::metrics::LogMetrics;
use super::types::{Live, StreamName};
use super::wire;
use crate::lifecycle::Lifecycle;

/// Events that a feed holds for a reader that is slower than they come; then it reports a lag.
pub(super) const BUFFER: usize = 1_024;

/// Events of one subject, or of a pattern of subjects, from now on: a [`Stream`] of [`Live`] that ends only
/// with the connection's client. Dropping it ends the subscription.
#[derive(Debug)]
pub struct LiveFeed {
    events: mpsc::Receiver<Live>,
    forwarder: AbortHandle,
}

impl Drop for LiveFeed {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

impl Stream for LiveFeed {
    type Item = Live;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Live>> {
        self.events.poll_recv(cx)
    }
}

/// Subscribes, all filters into one feed. The order between filters is not kept.
pub(super) async fn subscribe(
    link: &Link,
    filters: &[String],
    metrics: LogMetrics,
    lifecycle: &Lifecycle,
) -> Result<LiveFeed, LinkError> {
    let connection = link.connection()?;
    let mut messages = SelectAll::new();
    for filter in filters {
        messages.push(link.subscribe(filter).await?);
    }
    let (sender, events) = mpsc::channel(BUFFER);
    let forwarder = Forwarder {
        messages,
        connection,
        sender,
        lagged: false,
        metrics,
    };
    let forwarder = lifecycle.accompany("live feed", forwarder.run());
    Ok(LiveFeed { events, forwarder })
}

/// Takes events from the connection at once, so that a slow reader loses them here, where it shows.
struct Forwarder {
    messages: SelectAll<async_nats::Subscriber>,
    connection: Connection,
    sender: mpsc::Sender<Live>,
    /// The reader is to be told that events are missing.
    lagged: bool,
    metrics: LogMetrics,
}

impl Forwarder {
    async fn run(mut self) {
        loop {
            if self.lagged && self.sender.try_send(Live::Lagged).is_ok() {
                self.lagged = false;
            }
            tokio::select! {
                biased;
                () = self.connection.replaced() => self.lag(),
                room = room(&self.sender), if self.lagged => if !room { return },
                message = self.messages.next() => match message {
                    Some(message) => self.forward(message),
                    None => return,
                },
            }
        }
    }

    fn forward(&mut self, message: async_nats::Message) {
        if self.lagged {
            return;
        }
        let stream = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get(async_nats::header::NATS_STREAM));
        let Some(stream) = stream.map(|name| StreamName::from(name.as_str())) else {
            return;
        };
        match wire::record(&stream, message) {
            Ok(record) => {
                if self.sender.try_send(Live::Event(record)).is_err() {
                    self.lag();
                }
            }
            Err(error) => tracing::warn!(error.message = %error, "a live message is not a record"),
        }
    }

    fn lag(&mut self) {
        self.lagged = true;
        self.metrics.lagged.inc();
    }
}

/// Waits until the reader has taken something; false when there is no reader.
async fn room(sender: &mpsc::Sender<Live>) -> bool {
    sender.reserve().await.is_ok()
}

//! The connection to the servers. It knows when the connection is lost, so that nobody waits for an answer
//! that can no longer come.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind, Subscriber};
use bytes::Bytes;
use tokio::sync::watch;

use super::types::{AppendError, ReadError};
use crate::lifecycle::Lifecycle;

/// How often the connection is looked at; the price is one comparison.
const PULSE: Duration = Duration::from_millis(50);
/// The advice after a lost connection: clients of the server try again about this often.
const AFTER_LOSS: Duration = Duration::from_secs(1);
/// The advice when the servers are there but have no leader for the stream yet.
const AFTER_NO_LEADER: Duration = Duration::from_millis(250);

/// A client that fails fast. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    client: Client,
    pulse: watch::Receiver<Pulse>,
}

/// The state of the connection as last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pulse {
    /// Grows with every connection made.
    connects: u64,
    up: bool,
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkError {
    /// Not connected, or the connection was lost while waiting.
    Lost,
    /// No answer in time.
    Silent,
    /// Nobody serves the subject: the stream does not exist or has no leader.
    Unserved,
    /// Headers and payload are more than the server takes.
    TooLarge { size: usize, limit: usize },
    /// The subject is not one.
    Invalid(String),
}

impl LinkError {
    pub(crate) fn retry_after(&self) -> Duration {
        match self {
            Self::Unserved => AFTER_NO_LEADER,
            Self::Lost | Self::Silent | Self::TooLarge { .. } | Self::Invalid(_) => AFTER_LOSS,
        }
    }
}

impl From<LinkError> for AppendError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::TooLarge { size, limit } => Self::TooLarge { size, limit },
            LinkError::Invalid(description) => Self::Refused { code: 0, description },
            LinkError::Lost | LinkError::Silent | LinkError::Unserved => Self::Unavailable {
                retry_after: error.retry_after(),
            },
        }
    }
}

impl From<LinkError> for ReadError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::TooLarge { .. } => Self::Refused {
                code: 0,
                description: "the request is too large".into(),
            },
            LinkError::Invalid(description) => Self::Refused { code: 0, description },
            LinkError::Lost | LinkError::Silent | LinkError::Unserved => Self::Unavailable {
                retry_after: error.retry_after(),
            },
        }
    }
}

/// One connection, from a moment on: tells when it is gone.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pulse: watch::Receiver<Pulse>,
    connects: u64,
}

impl Connection {
    /// Returns once this connection is lost, even if there is a new one already.
    pub(crate) async fn lost(&mut self) {
        let connects = self.connects;
        let gone = |pulse: &Pulse| pulse.connects > connects || (pulse.connects == connects && !pulse.up);
        if self.pulse.wait_for(gone).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns once there is another connection than this one, which then is this one.
    pub(crate) async fn replaced(&mut self) {
        let connects = self.connects;
        let another = |pulse: &Pulse| pulse.up && pulse.connects > connects;
        let found = self.pulse.wait_for(another).await.map(|pulse| pulse.connects);
        match found {
            Ok(connects) => self.connects = connects,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Link {
    pub(crate) fn new(client: Client, lifecycle: &Lifecycle) -> Self {
        let (sender, pulse) = watch::channel(look(&client));
        let watched = client.clone();
        lifecycle.accompany("log connection", async move {
            while !sender.is_closed() {
                tokio::time::sleep(PULSE).await;
                let now = look(&watched);
                sender.send_if_modified(|pulse| std::mem::replace(pulse, now) != now);
            }
        });
        Self { client, pulse }
    }

    /// The present connection.
    ///
    /// # Errors
    /// [`LinkError::Lost`] when there is none: what is sent now would wait in the client and arrive later.
    pub(crate) fn connection(&self) -> Result<Connection, LinkError> {
        let Pulse { connects, up } = look(&self.client);
        if up {
            Ok(Connection {
                pulse: self.pulse.clone(),
                connects,
            })
        } else {
            Err(LinkError::Lost)
        }
    }

    /// Sends and waits for one answer.
    pub(crate) async fn request(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Message, LinkError> {
        let mut connection = self.connection()?;
        let size = payload.len() + headers.as_ref().map_or(0, wire_len);
        let mut request = Request::new().payload(payload).timeout(Some(timeout));
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let answer = tokio::select! {
            biased;
            answer = self.client.send_request(subject, request) => answer,
            () = connection.lost() => return Err(LinkError::Lost),
        };
        answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => LinkError::Unserved,
            RequestErrorKind::MaxPayloadExceeded => LinkError::TooLarge {
                size,
                limit: self.client.max_payload(),
            },
            RequestErrorKind::InvalidSubject => LinkError::Invalid("the subject is not valid".into()),
            RequestErrorKind::TimedOut => LinkError::Silent,
            RequestErrorKind::Other => LinkError::Lost,
        })
    }

    /// Sends and expects nothing back.
    pub(crate) async fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), LinkError> {
        use async_nats::PublishErrorKind;
        let size = payload.len() + wire_len(&headers);
        let sent = self.client.publish_with_headers(subject, headers, payload).await;
        sent.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => LinkError::TooLarge {
                size,
                limit: self.client.max_payload(),
            },
            PublishErrorKind::InvalidSubject => LinkError::Invalid("the subject is not valid".into()),
            PublishErrorKind::Send => LinkError::Lost,
        })
    }

    /// Sends a request whose many answers come to the returned subscription.
    pub(crate) async fn ask_many(&self, subject: String, payload: Bytes) -> Result<Subscriber, LinkError> {
        let inbox = self.client.new_inbox();
        let answers = self.subscribe(&inbox).await?;
        let sent = self.client.publish_with_reply(subject, inbox, payload).await;
        sent.map_err(|_| LinkError::Lost)?;
        Ok(answers)
    }

    pub(crate) async fn subscribe(&self, subject: &str) -> Result<Subscriber, LinkError> {
        use async_nats::SubscribeErrorKind;
        let subscribed = self.client.subscribe(subject.to_owned()).await;
        subscribed.map_err(|error| match error.kind() {
            SubscribeErrorKind::InvalidSubject => LinkError::Invalid("the subject is not valid".into()),
            SubscribeErrorKind::InvalidQueueName | SubscribeErrorKind::Other => LinkError::Lost,
        })
    }

    /// Returns once the server has read everything that was sent before.
    pub(crate) async fn settle(&self, timeout: Duration) -> Result<(), LinkError> {
        // Nobody listens there, and the server says so at once, in order.
        let nowhere = self.client.new_inbox();
        match self.request(nowhere, None, Bytes::new(), timeout).await {
            Ok(_) | Err(LinkError::Unserved) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn look(client: &Client) -> Pulse {
    Pulse {
        connects: client.statistics().connects.load(Ordering::Relaxed),
        up: client.connection_state() == State::Connected,
    }
}

/// Bytes of the headers on the wire.
fn wire_len(headers: &HeaderMap) -> usize {
    const FRAME: usize = "NATS/1.0\r\n\r\n".len();
    let lines = headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values
            .iter()
            .map(move |value| name.len() + value.as_str().len() + ": \r\n".len())
    });
    FRAME + lines.sum::<usize>()
}

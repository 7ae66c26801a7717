//! The command bus: gateways ask, any worker of the right queue group answers (NATS services, ADR-32).
//!
//! A command is a JSON body with headers for its name, its id and who gives it. The answer is the reply
//! or a [`Problem`]. A worker never sees a token: the gateway has verified it, and NATS lets only
//! gateways and operators publish commands.

mod metrics;

use std::{borrow::Cow, collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use async_nats::{HeaderMap, HeaderValue, RequestError, RequestErrorKind, service::ServiceExt};
use bytes::Bytes;
use futures::StreamExt;
use tokio::{sync::Semaphore, time::Instant};
use tracing::Instrument;
use veza_events::Shards;

use crate::{
    contract::{
        Caller, Command, Problem, ProblemKind,
        chat::InSpace,
        media::{CallPlaced, PlaceCall},
    },
    lifecycle::Lifecycle,
    telemetry,
};

pub use metrics::BusMetrics;

const COMMAND: &str = "veza-command";
const COMMAND_ID: &str = "veza-command-id";
const ACTOR: &str = "veza-actor";
const SESSION: &str = "veza-session";
const SEEN: &str = "veza-seen";

/// When nobody answers, how soon to ask again, milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// How soon a chat command that nobody has answered is given a second time: who took it may be gone, killed or stopped
/// (async-nats drops what is on its way to a subscription that ends). It has an id, and is done once all the same.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Gives commands to workers. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    client: async_nats::Client,
    shards: Shards,
    timeout: Duration,
}

impl Bus {
    /// A bus over `client` that waits at most `timeout` for an answer.
    pub fn new(client: async_nats::Client, shards: Shards, timeout: Duration) -> Self {
        Self {
            client,
            shards,
            timeout,
        }
    }

    /// Gives a command to the accounts workers.
    ///
    /// # Errors
    /// The worker's refusal, or `platform.unavailable` when none answers in time: the outcome is then
    /// unknown, and the same command can be given again.
    pub async fn accounts<C: Command>(&self, caller: &Caller, command: &C) -> Result<C::Reply, Problem> {
        // Not given twice: a password costs a worker more than the answer is worth.
        self.call(format!("cmd.accounts.{}", C::NAME), caller, command, self.timeout)
            .await
    }

    /// Gives a command to the chat workers.
    ///
    /// # Errors
    /// As [`Self::accounts`].
    pub async fn chat<C: Command + InSpace>(
        &self,
        caller: &Caller,
        command: &C,
    ) -> Result<C::Reply, Problem> {
        let space = command.space();
        self.call(
            format!("cmd.chat.{}.{space}", self.shards.of(space)),
            caller,
            command,
            AGAIN_AFTER.min(self.timeout),
        )
        .await
    }

    /// Asks the media workers who carries the calls of a room.
    ///
    /// # Errors
    /// As [`Self::accounts`].
    pub async fn place_call(&self, caller: &Caller, command: &PlaceCall) -> Result<CallPlaced, Problem> {
        self.call("cmd.media.place".to_owned(), caller, command, self.timeout)
            .await
    }

    /// Gives a command to the media worker of this name.
    ///
    /// # Errors
    /// As [`Self::accounts`].
    pub async fn media<C: Command>(
        &self,
        worker: &str,
        caller: &Caller,
        command: &C,
    ) -> Result<C::Reply, Problem> {
        self.call(format!("cmd.media.at.{worker}"), caller, command, self.timeout)
            .await
    }

    #[tracing::instrument(name = "command", skip_all, fields(command = C::NAME))]
    async fn call<C: Command>(
        &self,
        subject: String,
        caller: &Caller,
        command: &C,
        first: Duration,
    ) -> Result<C::Reply, Problem> {
        let body = serde_json::to_vec(command).expect("commands are plain data");
        let (headers, body) = (headers_of(C::NAME, caller), Bytes::from(body));
        let answer = match self.ask(&subject, &headers, &body, first).await {
            Err(error) if error.kind() == RequestErrorKind::TimedOut && first < self.timeout => {
                tracing::debug!(command = C::NAME, "no answer yet; another worker is asked");
                self.ask(&subject, &headers, &body, self.timeout.saturating_sub(first))
                    .await
            }
            answer => answer,
        };
        let answer = answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => unanswered("no worker is running"),
            RequestErrorKind::TimedOut => unanswered("no worker answered in time"),
            RequestErrorKind::InvalidSubject
            | RequestErrorKind::MaxPayloadExceeded
            | RequestErrorKind::Other => unanswered("the message bus is away"),
        })?;
        serde_json::from_slice::<Result<C::Reply, Problem>>(&answer.payload)
            .unwrap_or_else(|error| Err(Problem::internal(&error)))
    }

    async fn ask(
        &self,
        subject: &str,
        headers: &HeaderMap,
        body: &Bytes,
        within: Duration,
    ) -> Result<async_nats::Message, RequestError> {
        // A request to a server that is away would be buffered and then arrive late: say so at once.
        if self.client.connection_state() != async_nats::connection::State::Connected {
            return Err(RequestErrorKind::Other.into());
        }
        let request = async_nats::Request::new()
            .headers(headers.clone())
            .payload(body.clone())
            .timeout(Some(within));
        self.client.send_request(subject.to_owned(), request).await
    }
}

fn unanswered(why: &str) -> Problem {
    Problem::unavailable(format!("{why}; repeat with the same command id"), RETRY_AFTER_MS)
}

fn headers_of(command: &'static str, caller: &Caller) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(COMMAND, command);
    headers.insert(COMMAND_ID, caller.command.to_string());
    if let Some(account) = caller.account {
        headers.insert(ACTOR, account.to_string());
    }
    if let Some(session) = caller.session {
        headers.insert(SESSION, session.to_string());
    }
    if let Some(seen) = caller.seen {
        headers.insert(SEEN, seen.to_string());
    }
    telemetry::inject(&mut headers);
    headers
}

fn caller_of(headers: &HeaderMap) -> Option<Caller> {
    let text = |name| headers.get(name).map(HeaderValue::as_str);
    let account = text(ACTOR).map(str::parse).transpose().ok()?;
    let session = text(SESSION).map(str::parse).transpose().ok()?;
    let seen = text(SEEN).map(str::parse).transpose().ok()?;
    Some(Caller {
        command: text(COMMAND_ID)?.parse().ok()?,
        account,
        session,
        seen,
    })
}

type Answer = Pin<Box<dyn Future<Output = (Bytes, Option<String>)> + Send>>;
type Handler<S> = Box<dyn Fn(Arc<S>, Caller, Bytes) -> Answer + Send + Sync>;

/// Which function takes which command.
pub struct Router<S> {
    state: Arc<S>,
    handlers: BTreeMap<&'static str, Handler<S>>,
}

impl<S: Send + Sync + 'static> Router<S> {
    /// A router whose handlers share `state`.
    pub fn new(state: Arc<S>) -> Self {
        Self {
            state,
            handlers: BTreeMap::new(),
        }
    }

    /// Lets `handler` take every command of type `C`.
    #[must_use]
    pub fn on<C, H, F>(mut self, handler: H) -> Self
    where
        C: Command,
        H: Fn(Arc<S>, Caller, C) -> F + Send + Sync + 'static,
        F: Future<Output = Result<C::Reply, Problem>> + Send + 'static,
    {
        let take: Handler<S> = Box::new(move |state, caller, body| {
            let answer = match serde_json::from_slice(&body) {
                Ok(command) => Ok(handler(state, caller, command)),
                Err(error) => Err(Problem::internal(&error)),
            };
            Box::pin(async move {
                let reply = match answer {
                    Ok(future) => future.await,
                    Err(problem) => Err(problem),
                };
                encode(&reply)
            })
        });
        let earlier = self.handlers.insert(C::NAME, take);
        assert!(earlier.is_none(), "two handlers for `{}`", C::NAME);
        self
    }

    fn answer(&self, name: &str, caller: Option<Caller>, body: Bytes) -> Answer {
        if let (Some(take), Some(caller)) = (self.handlers.get(name), caller) {
            return take(Arc::clone(&self.state), caller, body);
        }
        let detail = "this worker does not know the command; are all roles of one version?";
        let problem = Problem::new(ProblemKind::Internal, "platform.unknown_command", detail);
        Box::pin(async move { encode::<()>(&Err(problem)) })
    }
}

fn encode<R: serde::Serialize>(reply: &Result<R, Problem>) -> (Bytes, Option<String>) {
    let bytes = serde_json::to_vec(reply).expect("replies are plain data");
    (
        bytes.into(),
        reply.as_ref().err().map(|problem| problem.code.clone()),
    )
}

/// How a worker listens.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Name of the service and of its queue group.
    pub name: &'static str,
    /// What it listens to, such as `cmd.chat.*.*`.
    pub subject: Cow<'static, str>,
    /// Commands under way at once; more wait in the subscription.
    pub concurrency: usize,
}

/// Takes commands until the soft stop, then answers those already received.
///
/// # Errors
/// When the service cannot be announced.
pub async fn serve<S: Send + Sync + 'static>(
    client: &async_nats::Client,
    lifecycle: &Lifecycle,
    metrics: &BusMetrics,
    options: ServeOptions,
    router: Router<S>,
) -> anyhow::Result<()> {
    let service = client
        .service_builder()
        .queue_group(options.name)
        .start(options.name, env!("CARGO_PKG_VERSION"))
        .await
        .map_err(anyhow::Error::from_boxed)?;
    let mut requests = service
        .endpoint_builder()
        .name("commands")
        .add(options.subject.into_owned())
        .await
        .map_err(anyhow::Error::from_boxed)?;
    let router = Arc::new(router);
    let permits = Arc::new(Semaphore::new(options.concurrency));
    let mut stopping = false;
    loop {
        let permit = Arc::clone(&permits)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let request = tokio::select! {
            request = requests.next() => request,
            () = lifecycle.soft.cancelled(), if !stopping => {
                stopping = true;
                requests.stop().await?;
                continue;
            }
        };
        let Some(request) = request else { break };
        let (router, metrics) = (Arc::clone(&router), metrics.clone());
        lifecycle.spawn("command", async move {
            answer(&router, &metrics, request).await;
            drop(permit);
        });
    }
    service.stop().await.map_err(anyhow::Error::from_boxed)?;
    Ok(())
}

async fn answer<S: Send + Sync + 'static>(
    router: &Router<S>,
    metrics: &BusMetrics,
    request: async_nats::service::Request,
) {
    let started = Instant::now();
    let headers = request.message.headers.clone().unwrap_or_default();
    let name = headers
        .get(COMMAND)
        .map(HeaderValue::as_str)
        .unwrap_or_default()
        .to_owned();
    let span = tracing::info_span!("decide", command = %name);
    telemetry::continue_from(&span, telemetry::extract(&headers));
    let (body, refused) = router
        .answer(&name, caller_of(&headers), request.message.payload.clone())
        .instrument(span)
        .await;
    metrics.answered(&name, refused.as_deref(), started.elapsed());
    if let Err(error) = request.respond(Ok(body)).await {
        tracing::warn!(%error, "an answer could not be sent; the caller will ask again");
    }
}

//! The one way to servers that people name: pages they link to, addresses they are reached at.
//!
//! Whoever can name an address can otherwise make this machine ask its neighbours. So a name is resolved here, only
//! public addresses are taken (or those that `outgoing.allow` names), and the connection goes to the very address
//! that was looked at: a name that changes its mind in between changes nothing. Each redirect is looked at anew.
//! Neither cookies nor credentials go out, and every request has a limit in time and size.

mod addresses;
mod connect;
mod metrics;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use url::Host;

pub use url::Url;

use addresses::Reach;
use metrics::OutgoingMetrics;

use crate::config::Config;
use crate::telemetry::Metrics;

/// Longest address.
const MAX_URL_BYTES: usize = 2_048;

/// Why something was not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OutgoingError {
    /// Not an address by http or https, or one with a user name in it, or too long.
    #[error("it must be a plain http or https address without a user name in it")]
    BadAddress,
    /// Leads into a network that is not for everyone, or to a port that is not for web pages.
    #[error("the address is not a public one")]
    NotPublic,
    /// The name does not exist.
    #[error("there is no such host")]
    NoSuchHost,
    /// Nobody takes the connection.
    #[error("the server cannot be reached")]
    Unreachable,
    /// The server's certificate is not believed.
    #[error("the server cannot show who it is")]
    Tls,
    /// It took too long.
    #[error("the server did not answer in time")]
    Timeout,
    /// What the server said is not HTTP, or broke off.
    #[error("the server's answer cannot be understood")]
    Protocol,
    /// Redirected too often.
    #[error("the server redirects too often")]
    TooManyRedirects,
    /// The answer is larger than wanted.
    #[error("the answer is too large")]
    TooLarge,
    /// The answer is of a kind that is not wanted.
    #[error("the answer is of another kind")]
    Unwanted,
}

impl OutgoingError {
    fn label(self) -> &'static str {
        match self {
            Self::BadAddress => "bad_address",
            Self::NotPublic => "not_public",
            Self::NoSuchHost => "no_such_host",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::TooManyRedirects => "too_many_redirects",
            Self::TooLarge => "too_large",
            Self::Unwanted => "unwanted",
        }
    }

    /// Whether the same may go well another time.
    pub fn is_passing(self) -> bool {
        match self {
            Self::NoSuchHost | Self::Unreachable | Self::Tls | Self::Timeout | Self::Protocol => true,
            Self::BadAddress | Self::NotPublic | Self::TooManyRedirects | Self::TooLarge | Self::Unwanted => {
                false
            }
        }
    }
}

/// What to do with an answer that is longer than wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Longer {
    /// Make do with its beginning.
    Cut,
    /// Give up.
    Refuse,
}

/// What is wanted of an answer.
#[derive(Clone, Copy)]
pub struct Want<'a> {
    /// Value of `Accept`.
    pub accept: &'static str,
    /// Looks at the head of a good answer before its body is read.
    pub accepts: &'a (dyn Fn(&HeaderMap) -> bool + Send + Sync),
    /// Most bytes of the body.
    pub max_bytes: usize,
    /// And if there are more.
    pub longer: Longer,
}

impl fmt::Debug for Want<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Want")
            .field("accept", &self.accept)
            .finish_non_exhaustive()
    }
}

/// What a server said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Where it came from in the end.
    pub url: Url,
    /// How it went.
    pub status: StatusCode,
    /// Its head.
    pub headers: HeaderMap,
    /// Its body; empty unless it went well.
    pub body: Bytes,
}

/// Asks servers that people name. Cheap to clone.
#[derive(Clone)]
pub struct Outgoing(Arc<Parts>);

struct Parts {
    reach: Reach,
    tls: TlsConnector,
    agent: HeaderValue,
    connect: Duration,
    whole: Duration,
    redirects: usize,
    turns: Semaphore,
    metrics: OutgoingMetrics,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("reach", &self.0.reach)
            .finish_non_exhaustive()
    }
}

impl Outgoing {
    /// The way out of `role`. Asks nothing yet.
    ///
    /// # Errors
    /// When the settings name what is no network, or certificates that cannot be read.
    pub fn new(config: &Config, metrics: &Metrics, role: &str) -> anyhow::Result<Self> {
        let outgoing = &config.outgoing;
        let version = env!("CARGO_PKG_VERSION");
        let agent = format!("Veza/{version} (+{})", config.gateway.public_url);
        Ok(Self(Arc::new(Parts {
            reach: Reach::new(outgoing)?,
            tls: connect::tls(outgoing)?,
            agent: HeaderValue::try_from(agent).unwrap_or(HeaderValue::from_static("Veza")),
            connect: Duration::from_millis(outgoing.connect_timeout_ms),
            whole: Duration::from_millis(outgoing.timeout_ms),
            redirects: outgoing.max_redirects,
            turns: Semaphore::new(outgoing.max_in_flight.clamp(1, Semaphore::MAX_PERMITS)),
            metrics: OutgoingMetrics::register(metrics, role),
        })))
    }

    /// Reads an address, and refuses what would be refused later whatever its name stands for.
    ///
    /// # Errors
    /// [`OutgoingError::BadAddress`], [`OutgoingError::NotPublic`]
    pub fn address(&self, text: &str) -> Result<Url, OutgoingError> {
        if text.len() > MAX_URL_BYTES {
            return Err(OutgoingError::BadAddress);
        }
        let url = Url::parse(text).map_err(|_| OutgoingError::BadAddress)?;
        self.checked(url)
    }

    /// Fetches what lies at `url`, and follows redirects.
    ///
    /// # Errors
    /// Why there is no answer. One that says no is an answer.
    pub async fn get(&self, url: &Url, want: Want<'_>) -> Result<Answer, OutgoingError> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(want.accept))]);
        self.timed(async {
            let mut url = self.checked(url.clone())?;
            for _ in 0..=self.0.redirects {
                let request = (Method::GET, headers.clone(), Bytes::new());
                let answer = self.ask(url, request, &want).await?;
                let Some(next) = redirect(&answer) else {
                    return Ok(answer);
                };
                url = self.checked(next?)?;
            }
            Err(OutgoingError::TooManyRedirects)
        })
        .await
    }

    /// Brings `body` to `url`. A redirect is the answer.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        want: Want<'_>,
    ) -> Result<Answer, OutgoingError> {
        self.timed(async {
            let url = self.checked(url.clone())?;
            self.ask(url, (Method::POST, headers, body), &want).await
        })
        .await
    }

    fn checked(&self, url: Url) -> Result<Url, OutgoingError> {
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.as_str().len() <= MAX_URL_BYTES;
        let port = url.port_or_known_default().filter(|_| plain);
        let port = port.ok_or(OutgoingError::BadAddress)?;
        let literal = match url.host().ok_or(OutgoingError::BadAddress)? {
            Host::Domain(_) => return Ok(url),
            Host::Ipv4(address) => address.into(),
            Host::Ipv6(address) => address.into(),
        };
        if self.0.reach.includes(literal, port) {
            Ok(url)
        } else {
            Err(OutgoingError::NotPublic)
        }
    }

    async fn ask(
        &self,
        url: Url,
        (method, headers, body): (Method, HeaderMap, Bytes),
        want: &Want<'_>,
    ) -> Result<Answer, OutgoingError> {
        let addresses = connect::resolve(&self.0.reach, &url).await?;
        let stream = connect::dial(&addresses, self.0.connect).await?;
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let request = Request::builder().method(method).uri(path).body(Full::new(body));
        let mut request = request.map_err(|_| OutgoingError::BadAddress)?;
        *request.headers_mut() = headers;
        let own = [
            (header::HOST, connect::host_of(&url)?),
            (header::USER_AGENT, self.0.agent.clone()),
            (header::CONNECTION, HeaderValue::from_static("close")),
        ];
        request.headers_mut().extend(own);
        // On the heap: what TLS keeps on its way is large.
        let (head, body) = Box::pin(connect::talk(stream, &self.0.tls, &url, request, want)).await?;
        Ok(Answer {
            url,
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    async fn timed(
        &self,
        request: impl Future<Output = Result<Answer, OutgoingError>>,
    ) -> Result<Answer, OutgoingError> {
        let begun = Instant::now();
        let in_turn = async {
            let _turn = self.0.turns.acquire().await.expect("it is never closed");
            request.await
        };
        let ended = tokio::time::timeout(self.0.whole, in_turn).await;
        let ended = ended.unwrap_or(Err(OutgoingError::Timeout));
        let outcome = ended.as_ref().map_or_else(|error| error.label(), |_| "answered");
        self.0.metrics.ended(outcome, begun.elapsed());
        ended
    }
}

/// Where an answer sends on to.
fn redirect(answer: &Answer) -> Option<Result<Url, OutgoingError>> {
    let moved = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let location = answer.headers.get(header::LOCATION);
    let location = location.filter(|_| moved.contains(&answer.status))?;
    let next = location.to_str().ok().and_then(|text| answer.url.join(text).ok());
    Some(next.ok_or(OutgoingError::BadAddress))
}

//! Questions to the servers about streams, asked until they answer.

use std::time::Duration;

use async_nats::Message;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::link::LinkError;
use super::read::Reader;
use super::streams::ApplyError;
use super::wire::ApiError;

/// The error code for a stream that does not exist.
const NO_STREAM: u64 = 10059;
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Asks until a deadline.
pub(super) struct Admin<'a> {
    pub(super) reader: &'a Reader,
    pub(super) deadline: tokio::time::Instant,
}

impl ApiError {
    fn refused(self, stream: String) -> ApplyError {
        ApplyError::Refused {
            stream,
            code: self.err_code,
            description: self.description,
        }
    }
}

/// What the servers say.
#[derive(Deserialize)]
pub(super) struct Answer {
    error: Option<ApiError>,
    config: Option<Map<String, Value>>,
    streams: Option<Vec<String>>,
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
struct Cluster {
    #[serde(default)]
    leader: String,
}

impl Admin<'_> {
    /// An installation keeps the number of shards that it began with.
    pub(super) async fn same_shards(&self, wanted: usize) -> Result<(), ApplyError> {
        let answer = self.ask("STREAM.NAMES", &json!({ "subject": "evt.>" })).await?;
        let names = answer.streams.unwrap_or_default();
        let found = names.iter().filter(|name| name.starts_with("SPACES_")).count();
        // Fewer may be an installation that was interrupted; the numbers then have no gap.
        let begun = (0..found).all(|shard| names.contains(&format!("SPACES_{shard}")));
        if found > wanted || !begun || (found < wanted && self.any_events(found).await?) {
            return Err(ApplyError::Shards { found, wanted });
        }
        Ok(())
    }

    async fn any_events(&self, shards: usize) -> Result<bool, ApplyError> {
        for shard in 0..shards {
            let head = self.reader.head(&format!("SPACES_{shard}").as_str().into()).await;
            if head.map_err(|_| ApplyError::Unavailable)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The settings of a stream, if there is one.
    pub(super) async fn present(&self, stream: &str) -> Result<Option<Map<String, Value>>, ApplyError> {
        match self.ask(&format!("STREAM.INFO.{stream}"), &json!({})).await {
            Ok(answer) => Ok(answer.config),
            Err(ApplyError::Refused { code: NO_STREAM, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until a new stream has a leader, so that the first append finds one.
    pub(super) async fn led(&self, stream: &str) -> Result<(), ApplyError> {
        loop {
            let answer = self.ask(&format!("STREAM.INFO.{stream}"), &json!({})).await?;
            if answer.cluster.is_none_or(|cluster| !cluster.leader.is_empty()) {
                return Ok(());
            }
            self.pause().await?;
        }
    }

    /// Asks until the servers answer.
    pub(super) async fn ask(&self, what: &str, body: &Value) -> Result<Answer, ApplyError> {
        loop {
            match self.reader.api(what.to_owned(), body.clone()).await {
                Ok(message) => {
                    let answer = read(&message)?;
                    match answer.error {
                        None => return Ok(answer),
                        Some(error) if error.is_passing() => {}
                        Some(error) => {
                            let stream = what.rsplit('.').next().unwrap_or(what).to_owned();
                            return Err(error.refused(stream));
                        }
                    }
                }
                Err(LinkError::Lost | LinkError::Silent | LinkError::Unserved) => {}
                Err(LinkError::TooLarge { .. } | LinkError::Invalid(_)) => {
                    return Err(ApplyError::Invalid(format!("{what} cannot be asked")));
                }
            }
            self.pause().await?;
        }
    }

    async fn pause(&self) -> Result<(), ApplyError> {
        if tokio::time::Instant::now() > self.deadline {
            return Err(ApplyError::Unavailable);
        }
        tokio::time::sleep(ASK_AGAIN).await;
        Ok(())
    }
}

fn read(message: &Message) -> Result<Answer, ApplyError> {
    serde_json::from_slice(&message.payload).map_err(|error| ApplyError::Invalid(error.to_string()))
}

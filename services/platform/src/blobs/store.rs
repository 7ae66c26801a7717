//! Requests to an S3-compatible store: bounded in number and time, and repeated where that may help.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use s3::bucket_ops::BucketConfiguration;
use s3::creds::Credentials;
use s3::error::S3Error;
use s3::serde_types::Part;
use s3::{Bucket, Region};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::metrics::BlobMetrics;
use super::{BlobError, Object, Objects};
use crate::config::S3Config;
use crate::telemetry::Metrics;

/// What is stored is encrypted: nothing can be said of its type.
const CONTENT_TYPE: &str = "application/octet-stream";
/// Pause before the second try; it doubles, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// One bucket. Cheap to clone.
#[derive(Clone)]
pub(super) struct Store(Arc<Inner>);

struct Inner {
    bucket: Box<Bucket>,
    region: Region,
    credentials: Credentials,
    turns: Semaphore,
    tries: usize,
    metrics: BlobMetrics,
}

impl Store {
    /// Makes no request.
    pub(super) fn open(config: &S3Config, metrics: &Metrics, role: &str) -> Result<Self, BlobError> {
        // The binary has done so by now; tests have not, and the client would panic.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // Its own repeats have neither jitter nor metrics.
        s3::set_retries(0);
        let region = Region::Custom {
            region: config.region.clone(),
            endpoint: config.endpoint.trim_end_matches('/').to_owned(),
        };
        let (access, secret) = (config.access_key.expose(), config.secret_key.expose());
        let credentials = Credentials::new(Some(access), Some(secret), None, None, None)
            .map_err(|error| BlobError::Refused(error.to_string()))?;
        let bucket = Bucket::new(&config.bucket, region.clone(), credentials.clone()).map_err(fault)?;
        let timeout = Duration::from_millis(config.request_timeout_ms);
        let bucket = bucket
            .with_path_style()
            .with_request_timeout(timeout)
            .map_err(fault)?;
        Ok(Self(Arc::new(Inner {
            bucket,
            region,
            credentials,
            turns: Semaphore::new(config.max_requests),
            tries: config.max_tries,
            metrics: BlobMetrics::register(metrics, role),
        })))
    }

    /// Makes the bucket if it is not there.
    pub(super) async fn create_bucket(&self) -> Result<(), BlobError> {
        let Inner {
            bucket,
            region,
            credentials,
            ..
        } = &*self.0;
        let name = bucket.name();
        let make = || async {
            // `exists` lists all buckets, which not every key may; a look into this one is allowed to all.
            match bucket.list_page(String::new(), None, None, None, Some(1)).await {
                Ok(_) => return Ok(()),
                Err(error) if fault_is_absent(&error) => {}
                Err(error) => return Err(error),
            }
            let config = BucketConfiguration::private();
            let made = Bucket::create_with_path_style(&name, region.clone(), credentials.clone(), config);
            match made.await {
                Ok(made) if made.success() || made.response_code == 409 => Ok(()),
                Ok(made) => Err(S3Error::HttpFailWithBody(made.response_code, made.response_text)),
                // Somebody else made it meanwhile.
                Err(S3Error::HttpFailWithBody(409, _)) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.ask("create_bucket", make).await
    }

    pub(super) async fn put(&self, name: &str, content: &[u8]) -> Result<(), BlobError> {
        let put = || async {
            let bucket = &self.0.bucket;
            bucket
                .put_object_with_content_type(name, content, CONTENT_TYPE)
                .await
        };
        self.ask("put", put).await.map(drop)
    }

    /// Bytes `from` to `to`, exclusive, of a stored object.
    pub(super) async fn get(&self, name: &str, from: u64, to: u64) -> Result<Bytes, BlobError> {
        let get = || async { self.0.bucket.get_object_range(name, from, Some(to - 1)).await };
        Ok(self.ask("get", get).await?.into_bytes())
    }

    /// Removes an object; one that is not there is no error.
    pub(super) async fn delete(&self, name: &str) -> Result<(), BlobError> {
        match self
            .ask("delete", || async { self.0.bucket.delete_object(name).await })
            .await
        {
            Ok(_) | Err(BlobError::Absent) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Objects by name, behind `after`.
    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<Objects, BlobError> {
        let list = || async {
            let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
            let page = self.0.bucket.list_page(prefix, None, None, after, Some(most));
            page.await.map(|(page, _)| page)
        };
        let page = self.ask("list", list).await?;
        let object = |found: s3::serde_types::Object| {
            let stored_at = OffsetDateTime::parse(&found.last_modified, &Rfc3339)
                .map_err(|error| BlobError::Refused(format!("a date that is none: {error}")))?;
            Ok::<_, BlobError>(Object {
                name: found.key,
                stored_at,
            })
        };
        Ok(Objects {
            more: page.is_truncated,
            objects: page.contents.into_iter().map(object).collect::<Result<_, _>>()?,
        })
    }

    pub(super) async fn begin(&self, name: &str) -> Result<String, BlobError> {
        let begin = || async { self.0.bucket.initiate_multipart_upload(name, CONTENT_TYPE).await };
        Ok(self.ask("begin_parts", begin).await?.upload_id)
    }

    pub(super) async fn part(
        &self,
        name: &str,
        upload: &str,
        number: u32,
        content: Vec<u8>,
    ) -> Result<Part, BlobError> {
        let put = || {
            let content = content.clone();
            async move {
                let bucket = &self.0.bucket;
                bucket
                    .put_multipart_chunk(content, name, number, upload, CONTENT_TYPE)
                    .await
            }
        };
        self.ask("put_part", put).await
    }

    pub(super) async fn complete(&self, name: &str, upload: &str, parts: Vec<Part>) -> Result<(), BlobError> {
        let complete = || {
            let parts = parts.clone();
            async move { self.0.bucket.complete_multipart_upload(name, upload, parts).await }
        };
        self.ask("complete_parts", complete).await.map(drop)
    }

    pub(super) async fn abort(&self, name: &str, upload: &str) -> Result<(), BlobError> {
        self.ask("abort_parts", || async {
            self.0.bucket.abort_upload(name, upload).await
        })
        .await
    }

    /// Takes a turn, makes the request, and repeats it while the store is away.
    async fn ask<T, F>(&self, operation: &'static str, request: impl Fn() -> F) -> Result<T, BlobError>
    where
        F: Future<Output = Result<T, S3Error>>,
    {
        let inner = &*self.0;
        let once = || async {
            let _turn = inner
                .turns
                .acquire()
                .await
                .expect("the semaphore is never closed");
            let begun = Instant::now();
            let answer = request().await.map_err(fault);
            let outcome = answer.as_ref().map_or_else(BlobError::outcome, |_| "ok");
            inner.metrics.answered(operation, outcome, begun.elapsed());
            answer
        };
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_times(inner.tries.saturating_sub(1))
            .with_jitter();
        once.retry(pauses)
            .when(|error| matches!(error, BlobError::Unavailable(_)))
            .await
    }
}

fn fault_is_absent(error: &S3Error) -> bool {
    matches!(error, S3Error::HttpFailWithBody(404, _))
}

fn fault(error: S3Error) -> BlobError {
    match error {
        S3Error::HttpFailWithBody(404, _) => BlobError::Absent,
        S3Error::HttpFailWithBody(status, body) if status >= 500 || matches!(status, 408 | 429) => {
            BlobError::Unavailable(format!("status {status}: {body}"))
        }
        S3Error::Reqwest(error) => BlobError::Unavailable(error.without_url().to_string()),
        S3Error::Io(error) => BlobError::Unavailable(error.to_string()),
        error => BlobError::Refused(error.to_string()),
    }
}

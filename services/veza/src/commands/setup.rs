//! `veza setup`: everything that must exist before a role can run. Safe to repeat, also side by side.

use std::{path::Path, time::Duration};

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use veza_platform::{
    blobs::{self, BlobError},
    config::Config,
    event_log::{EventLog, LogOptions, StreamsSpec},
    keyring::Keks,
    lifecycle::Lifecycle,
    push::PushKeys,
};

use crate::{cli::Cli, console::Console, roles};

/// How long setup waits for servers that are still starting.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pause between two looks for the store of files.
const BUCKET_PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn run(cli: &Cli, console: &Console) -> anyhow::Result<()> {
    let config = roles::checked(roles::settings(cli)?)?;
    let progress = console.step("streams, tables, keys and the bucket of files");
    let stop = CancellationToken::new();
    let all = async { tokio::try_join!(apply(&config, &stop), bucket(&config)) };
    tokio::time::timeout(PATIENCE, all)
        .await
        .context("the servers did not answer within a minute")??;
    progress.done();
    Ok(())
}

/// Creates streams, buckets, tables and keys; each is left as it is when it is there and right.
pub(crate) async fn apply(config: &Config, stop: &CancellationToken) -> anyhow::Result<()> {
    create_key(config.keys.kek_file.as_deref())?;
    let tables = async {
        veza_migrations::migrate(config.postgres.url.expose())
            .await
            .context("creating tables")
    };
    let streams = async {
        let client = veza_platform::nats::connect(&config.nats, "setup", stop).await?;
        let life = Lifecycle::new("setup");
        let log = EventLog::connect(client, LogOptions::new(&config.nats, &life));
        log.apply(&StreamsSpec::builtin())
            .await
            .context("creating streams")?;
        let keks = Keks::load(&config.keys).context("reading the key of all keys")?;
        PushKeys::open(&log, keks)
            .ensure()
            .await
            .context("making the key that push services know")
    };
    tokio::try_join!(tables, streams)?;
    Ok(())
}

/// Makes the bucket of files as soon as the store answers, in an installation that has files.
pub(crate) async fn bucket(config: &Config) -> anyhow::Result<()> {
    if config.s3.endpoint.is_empty() {
        return Ok(());
    }
    loop {
        match blobs::create_bucket(&config.s3).await {
            Err(BlobError::Unavailable(reason)) => {
                tracing::info!(reason, "the store of files is not there yet");
            }
            outcome => return outcome.context("creating the bucket of files"),
        }
        tokio::time::sleep(BUCKET_PAUSE).await;
    }
}

fn create_key(file: Option<&Path>) -> anyhow::Result<()> {
    let file = file.context("keys.kek_file names no file; set it to where the key of all keys shall lie")?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    Keks::create_file(file).with_context(|| format!("creating {}", file.display()))?;
    Ok(())
}

//! `veza push`: the keys by which push services know this installation.

use anyhow::Context;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use veza_events::Timestamp;
use veza_platform::{
    event_log::{EventLog, LogOptions},
    keyring::Keks,
    lifecycle::Lifecycle,
    push::PushKeys,
};

use crate::{
    cli::{Cli, PushAction},
    console::{self, Console},
    roles,
};

/// A key.
#[derive(Serialize)]
struct Key {
    public: String,
    made_at: Timestamp,
    /// Whether browsers subscribe with it.
    newest: bool,
}

pub(crate) async fn run(cli: &Cli, action: &PushAction, console: &Console) -> anyhow::Result<()> {
    let config = roles::checked(roles::settings(cli)?)?;
    let client = veza_platform::nats::connect(&config.nats, "push", &CancellationToken::new()).await?;
    let life = Lifecycle::new("push");
    let log = EventLog::connect(client, LogOptions::new(&config.nats, &life));
    let wrapping = Keks::load(&config.keys).context("reading the key of all keys")?;
    let keys = PushKeys::open(&log, wrapping);
    match action {
        PushAction::Keys => {}
        PushAction::RotateKeys => keys.rotate().await.context("making a new key")?,
    }
    let all = keys.all().await.context("reading the keys")?;
    let newest = all.len().saturating_sub(1);
    let list: Vec<Key> = (0..)
        .zip(all)
        .map(|(at, (public, made_at))| Key {
            public,
            made_at,
            newest: at == newest,
        })
        .collect();
    console.result(&list, |list| {
        let rows: Vec<(&str, String)> = list
            .iter()
            .map(|key| {
                let made = key.made_at.to_string();
                let made = if key.newest {
                    format!("{made}  browsers subscribe with it")
                } else {
                    made
                };
                (key.public.as_str(), made)
            })
            .collect();
        console::table(&rows)
    });
    Ok(())
}

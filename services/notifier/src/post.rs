//! From a mail to the server that takes it: a few at once, each tried a bounded number of times.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use veza_platform::config::Config;

use crate::mail::{Mail, MailError, Mailer};
use crate::metrics::Metrics;

/// Mails that wait for the server side by side, for each connection: one that has to be tried again keeps no
/// connection, and must not keep the others waiting.
const PER_CONNECTION: usize = 16;

/// Everything that it takes.
pub(crate) struct Post {
    mailer: Mailer,
    metrics: Metrics,
    at_once: usize,
    tries: u32,
    pause: Duration,
    longest_pause: Duration,
}

impl Post {
    pub(crate) fn new(config: &Config, mailer: Mailer, metrics: Metrics) -> Self {
        let mail = &config.mail;
        let connections = usize::try_from(mail.max_connections).unwrap_or(1).max(1);
        Self {
            mailer,
            metrics,
            at_once: connections.saturating_mul(PER_CONNECTION),
            tries: mail.max_tries.max(1),
            pause: Duration::from_millis(mail.retry_delay_ms),
            longest_pause: Duration::from_millis(mail.max_retry_delay_ms),
        }
    }

    /// Sends what comes, until nothing can come any more.
    pub(crate) async fn run(self: Arc<Self>, queue: mpsc::Receiver<Mail>) {
        let mails = futures::stream::unfold(queue, async |mut queue| {
            let mail = queue.recv().await?;
            Some((mail, queue))
        });
        mails
            .for_each_concurrent(self.at_once, async |mail| {
                self.metrics.mails_waiting.dec();
                let outcome = self.send(&mail).await;
                self.metrics.mail(outcome);
            })
            .await;
        self.mailer.close().await;
    }

    async fn send(&self, mail: &Mail) -> &'static str {
        let mut pause = self.pause;
        let mut tried = 1;
        loop {
            match self.mailer.send(mail).await {
                Ok(()) => return "taken",
                Err(MailError::Later(_)) if tried < self.tries => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(self.longest_pause);
                    tried += 1;
                }
                Err(error @ MailError::Later(_)) => {
                    tracing::warn!(%error, "a mail was given up");
                    return "dropped";
                }
                Err(error @ MailError::Refused(_)) => {
                    tracing::info!(%error, "a mail was refused");
                    return "refused";
                }
                Err(MailError::Address) => return "address",
            }
        }
    }
}

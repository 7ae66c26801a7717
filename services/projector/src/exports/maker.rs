//! Makes the exports that people ask for, into the store of files; one at a time in each process. Of several makers the
//! bucket's revisions choose one; what one began that died is begun anew by the next, in another object.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::io::AsyncReadExt;
use veza_events::{AccountId, Timestamp};
use veza_platform::ambient;
use veza_platform::blobs::Blobs;
use veza_platform::contract::Problem;
use veza_platform::exports::{Export, ExportOf, ExportState, Exports, held_until, object};
use veza_platform::kv::{Change, Entry, KvError, Watch};
use veza_platform::notices::Notices;
use veza_platform::telemetry::Metrics;
use veza_readmodel::notice::{AccountNotice, NoticeData};

use super::{ExportError, Exporter, What};
use crate::role::Parts;

/// Bytes between the maker of an archive and who stores it.
const PIPE: usize = 65_536;
/// Pause after something was away.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause between two looks at what is due.
const LOOK: Duration = Duration::from_secs(5);
/// An export that was begun so often and never finished is given up.
const MAX_TRIES: u32 = 20;

/// What became of an export.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    /// `done`, `failed`, `again` or `expired`.
    outcome: &'static str,
}

/// Why one try came to nothing.
enum Trouble {
    /// It will never be.
    Final(&'static str),
    /// Somebody else has taken over.
    Lost,
    /// Something is away.
    Away(String),
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Away(problem.detail)
    }
}

impl From<ExportError> for Trouble {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::NotFound => Self::Final("export.nothing_there"),
            ExportError::TooLarge(_) => Self::Final("export.too_large"),
            ExportError::Tables(_)
            | ExportError::Platform(_)
            | ExportError::Files(_)
            | ExportError::Bucket(_)
            | ExportError::Archive(_)
            | ExportError::Output(_) => Self::Away(error.to_string()),
        }
    }
}

/// Looks after the exports.
pub(crate) struct Maker {
    parts: Arc<Parts>,
    blobs: Blobs,
    exporter: Exporter,
    exports: Exports,
    notices: Notices,
    lease: Duration,
    ttl: Duration,
    most: u64,
    known: BTreeMap<AccountId, Entry<Export>>,
    outcomes: Family<Outcome, Counter>,
}

impl Maker {
    pub(crate) fn new(parts: Arc<Parts>, blobs: Blobs, metrics: &Metrics) -> Self {
        let outcomes = Family::default();
        let counted = outcomes.clone();
        metrics.register(|registry| {
            let help = "Exports that people asked for, by what became of them";
            registry.register("projector_exports", help, counted);
        });
        let files = &parts.config.files;
        Self {
            exporter: Exporter {
                parts: Arc::clone(&parts),
                blobs: Some(blobs.clone()),
            },
            exports: Exports::open(parts.ledger.log()),
            notices: Notices::open(parts.ledger.log()),
            lease: Duration::from_secs(files.export_lease_s),
            ttl: Duration::from_secs(files.export_ttl_s),
            most: files.max_export_bytes,
            known: BTreeMap::new(),
            blobs,
            outcomes,
            parts,
        }
    }

    /// Ends when the role is asked to stop; an export that is being made is then left to another.
    pub(crate) async fn run(mut self) {
        let soft = self.parts.lifecycle.soft.clone();
        let mut changes = self.exports.watch();
        let pause = (self.lease / 3).min(LOOK);
        loop {
            tokio::select! {
                () = soft.cancelled() => return,
                () = self.follow(&mut changes) => {}
                () = tokio::time::sleep(pause) => {}
            }
            tokio::select! {
                () = soft.cancelled() => return,
                looked = self.look() => if let Err(problem) = looked {
                    tracing::warn!(error = %problem, "exports have to wait");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn follow(&mut self, changes: &mut Watch<Export>) {
        match changes.next().await {
            Ok(Change::Put { key, entry }) => {
                if let Ok(account) = key.parse() {
                    self.known.insert(account, entry);
                }
            }
            Ok(Change::Removed { key, .. }) => {
                if let Ok(account) = key.parse() {
                    self.known.remove(&account);
                }
            }
            Ok(Change::Current) => {}
            Err(error) => {
                tracing::warn!(%error, "the exports that were asked for cannot be followed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Does what is due of what is known: makes one export, or removes what is over.
    async fn look(&mut self) -> Result<(), Problem> {
        let now: Timestamp = ambient::now().into();
        let due = self.known.iter().find(|(_, entry)| match &entry.value.state {
            ExportState::Waiting => true,
            ExportState::Running { until } => *until < now,
            ExportState::Done { expires_at, .. } => *expires_at < now,
            ExportState::Failed { at, .. } => held_until(*at, self.ttl) < now,
        });
        let Some((account, entry)) = due.map(|(account, entry)| (*account, entry.clone())) else {
            return Ok(());
        };
        // Whatever comes of it, the bucket tells.
        self.known.remove(&account);
        let outcome = match entry.value.state {
            ExportState::Waiting | ExportState::Running { .. } => self.attend(account, entry.clone()).await,
            ExportState::Done { .. } | ExportState::Failed { .. } => {
                self.discard(entry.value.id, entry.value.tries).await?;
                self.count("expired");
                self.exports.forget(account, entry.revision).await
            }
        };
        if outcome.is_err() {
            self.known.insert(account, entry);
        }
        outcome
    }

    /// Takes an export, makes it, and says what came of it.
    async fn attend(&self, account: AccountId, entry: Entry<Export>) -> Result<(), Problem> {
        let now: Timestamp = ambient::now().into();
        let mut export = entry.value;
        if export.tries >= MAX_TRIES {
            let code = "export.given_up".to_owned();
            export.state = ExportState::Failed { at: now, code };
            self.count("failed");
            return self
                .exports
                .update(account, &export, entry.revision)
                .await
                .map(drop);
        }
        let previous = export.previous.take();
        export.tries += 1;
        export.state = ExportState::Running {
            until: held_until(now, self.lease),
        };
        let Some(mut revision) = self.exports.update(account, &export, entry.revision).await? else {
            return Ok(());
        };
        if let Some((id, tries)) = previous {
            self.discard(id, tries).await?;
        }
        let made = {
            let making = self.make(account, &export);
            let holding = self.hold(account, &export, &mut revision);
            tokio::select! {
                made = making => made,
                trouble = holding => Err(trouble),
            }
        };
        let at: Timestamp = ambient::now().into();
        let (state, outcome) = match made {
            Ok(size) => {
                let expires_at = held_until(at, self.ttl);
                (ExportState::Done { at, size, expires_at }, "done")
            }
            Err(Trouble::Final(code)) => {
                let code = code.to_owned();
                (ExportState::Failed { at, code }, "failed")
            }
            Err(Trouble::Lost) => return Ok(()),
            Err(Trouble::Away(reason)) => {
                tracing::warn!(reason, account.id = %account, "an export has to be begun anew");
                let until = held_until(at, PAUSE);
                (ExportState::Running { until }, "again")
            }
        };
        self.count(outcome);
        export.state = state;
        if self.exports.update(account, &export, revision).await?.is_some() && outcome != "again" {
            self.tell(account, export.id).await?;
        }
        Ok(())
    }

    /// Says again and again that it is still being made, until somebody else has it.
    async fn hold(&self, account: AccountId, export: &Export, revision: &mut u64) -> Trouble {
        let mut export = export.clone();
        loop {
            tokio::time::sleep(self.lease / 3).await;
            export.state = ExportState::Running {
                until: held_until(ambient::now().into(), self.lease),
            };
            match self.exports.update(account, &export, *revision).await {
                Ok(Some(next)) => *revision = next,
                Ok(None) => return Trouble::Lost,
                // The lease lapses if that goes on.
                Err(problem) => tracing::debug!(error = %problem, "an export cannot be held just now"),
            }
        }
    }

    /// Makes the archive, encrypted for who asked, without ever having it as a whole. Returns its bytes.
    async fn make(&self, account: AccountId, export: &Export) -> Result<u64, Trouble> {
        let what = match export.of {
            ExportOf::Account => What::Account(account),
            ExportOf::Space(space) => What::Space(space),
        };
        let away = |error: veza_platform::blobs::BlobError| Trouble::Away(error.to_string());
        let mut writer = self.blobs.writer(&export.object(), account).await.map_err(away)?;
        let (near, mut far) = tokio::io::duplex(PIPE);
        let making = self.exporter.export(what, near, self.most, |_| {});
        let storing = async {
            let mut buffer = vec![0; PIPE];
            loop {
                let read = far.read(&mut buffer).await;
                match read.map_err(|error| Trouble::Away(error.to_string()))? {
                    0 => return Ok::<_, Trouble>(()),
                    count => writer.write(&buffer[..count]).await.map_err(away)?,
                }
            }
        };
        // Each ends when the other does: the pipe is closed, or broken.
        let (made, stored) = futures::join!(making, storing);
        stored?;
        let made = made?;
        writer.finish().await.map_err(away)?;
        Ok(made.size)
    }

    async fn discard(&self, id: uuid::Uuid, tries: u32) -> Result<(), Problem> {
        for number in 1..=tries {
            self.blobs.delete(&object(id, number)).await?;
        }
        Ok(())
    }

    async fn tell(&self, account: AccountId, id: uuid::Uuid) -> Result<(), Problem> {
        let notice = AccountNotice {
            source: None,
            kind: "account.export".to_owned(),
            at: ambient::now().into(),
            data: NoticeData::default(),
        };
        let told = self
            .notices
            .tell(account, Some(&format!("export {id}")), &notice)
            .await;
        told.map(drop).map_err(|error| KvError::from(error).into())
    }

    fn count(&self, outcome: &'static str) {
        self.outcomes.get_or_create(&Outcome { outcome }).inc();
    }
}

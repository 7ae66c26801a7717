//! What a person has in Veza, and what was said in a space, as a ZIP of JSON and files. All of it is read in one
//! transaction, so it is as of one moment; the bytes of files are those that are there when their turn comes.

mod archive;
pub mod format;
pub(crate) mod maker;
mod page;
mod queries;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use tokio::io::AsyncWrite;
use uuid::Uuid;
use veza_events::{AccountId, AttachmentId, SpaceId};
use veza_platform::ambient;
use veza_platform::blobs::{BlobError, Blobs};
use veza_platform::contract::Problem;
use veza_platform::kv::{Kv, KvError};
use veza_platform::runtime::Runtime;
use veza_platform::uploads::blob_name;

use crate::role::Parts;
use archive::Archive;
use format::{Manifest, Settings};
use queries::Which;
use source::Source;

/// Buckets with what an account has read and chosen; the gateway writes them.
const READ_MARKERS: &str = "READ_MARKERS";
const CHOICES: &str = "ACCOUNT_SETTINGS";

/// What is to be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// What belongs to a person: profile, memberships, what they said, their reactions, settings and files.
    Account(AccountId),
    /// What was said in a space, in all its rooms, by anybody.
    Space(SpaceId),
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is nothing to export.
    #[error("there is no such account or space; conversations between a few are exported by each of them")]
    NotFound,
    /// The archive would be larger than allowed.
    #[error("the export is larger than {0} bytes")]
    TooLarge(u64),
    /// Postgres is away or refuses.
    #[error("the tables cannot be read: {0}")]
    Tables(#[from] sea_orm::sqlx::Error),
    /// The log or the keys are away.
    #[error(transparent)]
    Platform(#[from] Problem),
    /// The store of files is away.
    #[error(transparent)]
    Files(BlobError),
    /// A bucket cannot be read.
    #[error(transparent)]
    Bucket(#[from] KvError),
    /// The archive cannot be made.
    #[error("the archive cannot be made: {0}")]
    Archive(#[from] zip::result::ZipError),
    /// The archive cannot be written.
    #[error("the archive cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

/// How far an export is: messages written, and messages in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Written.
    pub done: u64,
    /// In all.
    pub of: u64,
}

/// What came of an export.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// Bytes of the archive.
    pub size: u64,
    /// What is in it.
    pub manifest: Manifest,
}

/// Makes exports.
pub struct Exporter {
    parts: Arc<Parts>,
    blobs: Option<Blobs>,
}

impl Exporter {
    /// Connects to everything that the settings name.
    ///
    /// # Errors
    /// When a setting cannot be used, or the stop comes before NATS is reached.
    pub async fn open(rt: &Runtime) -> anyhow::Result<Self> {
        let parts = Arc::new(Parts::open(rt).await?);
        let keys = || parts.ledger.keys().clone();
        let there = !rt.config.s3.endpoint.is_empty();
        let blobs = there.then(|| Blobs::open(&rt.config.s3, keys(), &rt.metrics, &rt.lifecycle, "export"));
        Ok(Self {
            blobs: blobs.transpose()?,
            parts,
        })
    }

    /// The account that is called by this handle, or has this id.
    ///
    /// # Errors
    /// [`ExportError::NotFound`] and what is away.
    pub async fn account_named(&self, name: &str) -> Result<AccountId, ExportError> {
        if let Ok(id) = name.parse() {
            return Ok(id);
        }
        let mut source = Source::open(&self.parts.config.postgres).await?;
        let found = source.account_named(name.trim_start_matches('@')).await?;
        found.map(AccountId::new).ok_or(ExportError::NotFound)
    }

    /// Writes an archive of at most `most` bytes into `output`.
    ///
    /// # Errors
    /// [`ExportError`]; what was written until then has no manifest.
    pub async fn export(
        &self,
        what: What,
        output: impl AsyncWrite + Unpin,
        most: u64,
        progress: impl Fn(Progress),
    ) -> Result<Exported, ExportError> {
        let mut run = Run {
            exporter: self,
            source: Source::open(&self.parts.config.postgres).await?,
            archive: Archive::new(output, most),
            progress,
            lines: BTreeMap::new(),
            rooms: Vec::new(),
            files: 0,
            missing: Vec::new(),
        };
        let (format, of) = match what {
            What::Account(account) => {
                run.account(account).await?;
                ("veza.export.account.v1", account.uuid())
            }
            What::Space(space) => {
                run.space(space.uuid()).await?;
                ("veza.export.space.v1", space.uuid())
            }
        };
        run.finish(format, of).await
    }

    async fn settings(&self, account: AccountId) -> Result<Settings, ExportError> {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Markers {
            rooms: BTreeMap<Uuid, u64>,
        }
        let (log, key) = (self.parts.ledger.log(), account.to_string());
        let read = Kv::<Markers>::open(log, READ_MARKERS)
            .get_consistent(&key)
            .await?;
        let chosen = Kv::<serde_json::Value>::open(log, CHOICES)
            .get_consistent(&key)
            .await?;
        Ok(Settings {
            read: read.map(|entry| entry.value.rooms).unwrap_or_default(),
            notifications: chosen.map(|entry| entry.value),
        })
    }
}

/// One export under way.
struct Run<'a, O, P> {
    exporter: &'a Exporter,
    source: Source,
    archive: Archive<O>,
    progress: P,
    lines: BTreeMap<String, u64>,
    /// Id and line of each room, for the page.
    rooms: Vec<format::Room>,
    files: u64,
    missing: Vec<Uuid>,
}

impl<O: AsyncWrite + Unpin, P: Fn(Progress)> Run<'_, O, P> {
    async fn account(&mut self, account: AccountId) -> Result<(), ExportError> {
        let id = account.uuid();
        self.one("account.json", &queries::account(id)).await?;
        self.many("spaces.jsonl", &queries::memberships(id)).await?;
        self.room_list(&queries::rooms_of_account(id)).await?;
        self.many("reactions.jsonl", &queries::reactions(id)).await?;
        self.many("scheduled.jsonl", &queries::scheduled(id)).await?;
        self.many("held.jsonl", &queries::held(id)).await?;
        let settings = self.exporter.settings(account).await?;
        let settings = serde_json::to_vec_pretty(&settings).expect("settings are plain data");
        self.archive.add("settings.json", &settings).await?;
        // There even if nothing was said.
        self.archive.begin("messages.jsonl")?;
        self.lines.insert("messages.jsonl".into(), 0);
        self.messages(Which::By(id), |_| None).await?;
        self.files(Which::By(id)).await
    }

    async fn space(&mut self, space: Uuid) -> Result<(), ExportError> {
        self.one("space.json", &queries::space(space)).await?;
        self.many("members.jsonl", &queries::members(space)).await?;
        self.room_list(&queries::rooms_of_space(space)).await?;
        self.messages(Which::In(space), |room| Some(format!("rooms/{room}.jsonl")))
            .await?;
        self.files(Which::In(space)).await
    }

    /// A file of one document, which must be there.
    async fn one(&mut self, name: &str, query: &str) -> Result<(), ExportError> {
        let found = self.source.texts(query).await?;
        let document = found.first().ok_or(ExportError::NotFound)?;
        self.archive.add(name, document.as_bytes()).await
    }

    /// A file of lines.
    async fn many(&mut self, name: &str, query: &str) -> Result<(), ExportError> {
        self.archive.begin(name)?;
        self.source.begin(query).await?;
        let mut count = 0;
        loop {
            let lines = self.source.next_texts().await?;
            if lines.is_empty() {
                break;
            }
            count += lines.len() as u64;
            self.archive.write((lines.join("\n") + "\n").as_bytes()).await?;
        }
        self.lines.insert(name.to_owned(), count);
        self.source.end().await
    }

    async fn room_list(&mut self, query: &str) -> Result<(), ExportError> {
        let lines = self.source.texts(query).await?;
        let read = |line: &String| serde_json::from_str(line).ok();
        self.rooms = lines.iter().filter_map(read).collect();
        self.lines.insert("rooms.jsonl".into(), lines.len() as u64);
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        self.archive.add("rooms.jsonl", text.as_bytes()).await
    }

    /// Messages, each in the file of its room; all in the one that was begun where `file` gives none.
    async fn messages(
        &mut self,
        which: Which,
        file: impl Fn(Uuid) -> Option<String>,
    ) -> Result<(), ExportError> {
        let of = self.source.count(&queries::count(which)).await?;
        let mut done = 0;
        let mut current = "messages.jsonl".to_owned();
        self.source.begin(&queries::messages(which)).await?;
        loop {
            (self.progress)(Progress { done, of });
            let lines = self.source.next_messages().await?;
            if lines.is_empty() {
                break;
            }
            for (room, line) in lines {
                if let Some(name) = file(room)
                    && name != current
                {
                    self.archive.begin(&name)?;
                    current = name;
                }
                self.archive.write(line.as_bytes()).await?;
                self.archive.write(b"\n").await?;
                *self.lines.entry(current.clone()).or_default() += 1;
                done += 1;
            }
        }
        self.source.end().await
    }

    async fn files(&mut self, which: Which) -> Result<(), ExportError> {
        let exporter = self.exporter;
        self.source.begin(&queries::files(which)).await?;
        loop {
            let files = self.source.next_files().await?;
            if files.is_empty() {
                break;
            }
            for (id, path, size) in files {
                let Some(blobs) = &exporter.blobs else {
                    self.missing.push(id);
                    continue;
                };
                let reader = match blobs.reader(&blob_name(AttachmentId::new(id)), size).await {
                    Ok(reader) => reader,
                    Err(BlobError::Absent | BlobError::KeyGone) => {
                        self.missing.push(id);
                        continue;
                    }
                    Err(error) => return Err(ExportError::Files(error)),
                };
                self.archive.begin_packed(&path)?;
                let mut parts = std::pin::pin!(reader.read(0..size));
                while let Some(part) = parts.next().await {
                    self.archive.write(&part.map_err(ExportError::Files)?).await?;
                }
                self.files += 1;
            }
        }
        self.source.end().await
    }

    async fn finish(mut self, format: &str, of: Uuid) -> Result<Exported, ExportError> {
        let manifest = Manifest {
            format: format.to_owned(),
            of,
            made_at: ambient::now(),
            positions: self.source.positions().await?,
            lines: self.lines,
            files: self.files,
            missing: self.missing,
        };
        let page = page::page(&manifest, &self.rooms);
        self.archive.add("index.html", page.as_bytes()).await?;
        let document = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        self.archive.add("manifest.json", &document).await?;
        let size = self.archive.finish().await?;
        Ok(Exported { size, manifest })
    }
}

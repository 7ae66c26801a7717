//! `veza import`: what was said elsewhere, as commands through the domain. Each message has an id that follows from
//! where it came from, so a second run adds nothing and a broken one goes on.

mod item;
mod mattermost;
mod pack;
mod slack;
mod text;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, bail};
use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use tokio::sync::mpsc;
use veza_events::attachment::{AboutAttachment, Attachment, AttachmentKind};
use veza_events::room::{ImportSource, Imported, ImportedReaction};
use veza_events::space::RoomKind;
use veza_events::{AccountId, AttachmentId, MessageId, RoomId, SpaceId};
use veza_platform::ambient;
use veza_platform::blobs::Blobs;
use veza_platform::bus::Bus;
use veza_platform::contract::chat::{CreateRoom, ImportMessage};
use veza_platform::contract::{Caller, Problem, ProblemKind};
use veza_platform::keyring::hex;
use veza_platform::runtime::Runtime;
use veza_platform::uploads::{Upload, Uploads, blob_name};
use veza_projector::imports::Destination;

use crate::cli::{Cli, ImportArgs, ImportFormat};
use crate::console::Console;
use crate::roles;
use item::{Channel, Found, Message};
use pack::Pack;

/// Things that were read and wait for being taken.
const READ_AHEAD: usize = 1_000;
/// Messages that are looked for in the tables at once.
const BATCH: usize = 200;
/// Tries of one command while something is away.
const TRIES: u32 = 30;
/// Refused messages that the report names.
const NAMED: usize = 20;
/// Longest name of an author.
const MAX_AUTHOR_CHARS: usize = 64;

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Rooms that were made.
    rooms: Vec<String>,
    /// Messages that are new.
    imported: u64,
    /// Messages that were there already.
    there: u64,
    /// Files that came with new messages.
    files: u64,
    /// What was not taken, and how often.
    not_taken: BTreeMap<String, u64>,
    /// The first messages that were refused, and why.
    refused: Vec<String>,
}

impl Report {
    fn skip(&mut self, why: &str) {
        *self.not_taken.entry(why.to_owned()).or_default() += 1;
    }

    fn refuse(&mut self, what: &str, problem: &Problem) {
        self.skip(&format!("refused: {}", problem.code));
        if self.refused.len() < NAMED {
            self.refused.push(format!("{what}: {}", problem.detail));
        }
    }
}

pub(crate) async fn run(cli: &Cli, args: &ImportArgs, console: &Console) -> anyhow::Result<()> {
    let runtime = Runtime::new(roles::checked(roles::settings(cli)?)?);
    runtime.lifecycle.listen_for_signals()?;
    let destination = Destination::open(&runtime, args.space.into()).await?;
    let owner = destination.account_named(&args.author).await?;
    let owner = owner.with_context(|| format!("there is no account {:?}", args.author))?;
    if !destination.lock().await? {
        bail!("another import into this space is running");
    }
    let mut import = Import::new(&runtime, destination, owner, args)?;
    let bar = console.bar("messages", 0);
    let (sender, mut found) = mpsc::channel(READ_AHEAD);
    let (file, format, most) = (args.file.clone(), args.format, args.max_unpacked_bytes);
    let reading = runtime.lifecycle.spawn_blocking(move || {
        let mut take = |found| sender.blocking_send(found).context("the import has ended");
        match format {
            ImportFormat::Mattermost => mattermost::read(&file, most, &mut take),
            ImportFormat::Slack => slack::read(&file, most, &mut take),
        }
    });
    let taking = async {
        let mut batch = Vec::with_capacity(BATCH);
        while found.recv_many(&mut batch, BATCH).await > 0 {
            import.take(std::mem::take(&mut batch)).await?;
            bar.set_position(import.report.imported + import.report.there);
        }
        anyhow::Ok(())
    };
    tokio::select! {
        () = runtime.lifecycle.soft.cancelled() => bail!("stopped; the same command goes on where this one was"),
        taken = taking => taken?,
    }
    reading.await.context("reading the export")??;
    bar.finish_and_clear();
    import.tell(args, console)
}

/// One import under way.
struct Import {
    bus: Bus,
    destination: Destination,
    uploads: Uploads,
    blobs: Option<Blobs>,
    pack: Option<Pack>,
    owner: AccountId,
    space: SpaceId,
    source: ImportSource,
    dry_run: bool,
    limits: Limits,
    /// By the channel's key; none where a dry run would make one.
    rooms: HashMap<String, Option<RoomId>>,
    report: Report,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    chars: usize,
    bytes: usize,
    files: usize,
    file_bytes: u64,
}

impl Import {
    fn new(
        runtime: &Runtime,
        destination: Destination,
        owner: AccountId,
        args: &ImportArgs,
    ) -> anyhow::Result<Self> {
        let config = &runtime.config;
        let keys = || destination.keys();
        let there = !config.s3.endpoint.is_empty();
        let blobs =
            there.then(|| Blobs::open(&config.s3, keys(), &runtime.metrics, &runtime.lifecycle, "import"));
        let (source, pack) = match args.format {
            ImportFormat::Mattermost => {
                let pack = mattermost::open(&args.file, args.max_unpacked_bytes)?;
                (ImportSource::Mattermost, Some(pack))
            }
            ImportFormat::Slack => (ImportSource::Slack, None),
        };
        Ok(Self {
            bus: destination.bus(),
            uploads: Uploads::new(destination.log(), keys()),
            blobs: blobs.transpose()?,
            pack,
            owner,
            space: args.space.into(),
            source,
            dry_run: args.dry_run,
            limits: Limits {
                chars: config.chat.max_message_chars,
                bytes: config.chat.max_message_bytes,
                files: config.files.max_per_message,
                file_bytes: config.files.max_file_bytes,
            },
            rooms: HashMap::new(),
            report: Report::default(),
            destination,
        })
    }

    async fn take(&mut self, batch: Vec<Found>) -> anyhow::Result<()> {
        let ids: Vec<MessageId> = batch
            .iter()
            .filter_map(|found| match found {
                Found::Message(message) => Some(self.id(&message.key)),
                Found::Channel(_) | Found::Skipped(_) => None,
            })
            .collect();
        let known = self.destination.known(&ids).await?;
        for found in batch {
            match found {
                Found::Skipped(why) => self.report.skip(why),
                Found::Channel(channel) => self.channel(channel).await?,
                // Its later pieces may be missing after a run that broke off; the first one came before them.
                Found::Message(message) if known.contains(&self.id(&message.key)) => {
                    self.report.there += 1;
                    self.message(message, true).await?;
                }
                Found::Message(message) => self.message(message, false).await?,
            }
        }
        Ok(())
    }

    fn id(&self, key: &str) -> MessageId {
        ImportMessage::id_of(self.space, self.source, key)
    }

    /// The room of the channel's name, which is made if there is none.
    async fn channel(&mut self, channel: Channel) -> anyhow::Result<()> {
        let name = text::clean(&channel.name);
        if let Some(room) = self.destination.room_named(&name, channel.private).await? {
            self.rooms.insert(channel.key, Some(room));
            return Ok(());
        }
        self.report.rooms.push(name.clone());
        let mut room = None;
        if !self.dry_run {
            let command = CreateRoom {
                space: self.space,
                name,
                kind: RoomKind::Text,
                category: None,
                private: channel.private,
            };
            let made = self.bus.chat(&self.caller(), &command).await;
            room = Some(
                made.with_context(|| format!("making the room {:?}", channel.name))?
                    .room,
            );
        }
        self.rooms.insert(channel.key, room);
        Ok(())
    }

    async fn message(&mut self, message: Message, first_is_there: bool) -> anyhow::Result<()> {
        let Some(room) = self.rooms.get(&message.channel).copied() else {
            self.report
                .skip("message of a channel that the export does not describe");
            return Ok(());
        };
        let body = text::clean(&message.body);
        let mut bodies = text::pieces(&body, self.limits.chars, self.limits.bytes);
        if bodies.is_empty() && message.files.is_empty() {
            self.report.skip("message without text and files");
            return Ok(());
        }
        if bodies.is_empty() {
            bodies.push(String::new());
        }
        let pieces = bodies.len();
        for (number, body) in bodies.into_iter().enumerate() {
            if number == 0 && first_is_there {
                continue;
            }
            let key = if number == 0 {
                message.key.clone()
            } else {
                format!("{}#{number}", message.key)
            };
            if number > 0 && first_is_there && self.destination.known(&[self.id(&key)]).await?.len() == 1 {
                continue;
            }
            let (Some(room), false) = (room, self.dry_run) else {
                self.report.imported += u64::from(number == 0);
                continue;
            };
            let attachments = if number == 0 {
                self.bring(room, &message).await?
            } else {
                Vec::new()
            };
            let command = self.command(room, key, body, &message, (number, pieces), attachments);
            self.import(&command, number == 0).await?;
        }
        Ok(())
    }

    fn command(
        &self,
        room: RoomId,
        key: String,
        body: String,
        message: &Message,
        (number, pieces): (usize, usize),
        attachments: Vec<AttachmentId>,
    ) -> ImportMessage {
        let reactions = message.reactions.iter().map(|(name, count)| ImportedReaction {
            emoji: name.clone(),
            count: *count,
        });
        let author = text::clean(&message.author).replace(['\n', '\t'], " ");
        ImportMessage {
            space: self.space,
            room,
            key,
            body,
            reply_to: message.reply_to.as_deref().map(|key| self.id(key)),
            attachments,
            imported: Imported {
                source: self.source,
                author: author.chars().take(MAX_AUTHOR_CHARS).collect(),
                at: message.at.into(),
                // The last piece is where one reacts.
                reactions: if number + 1 == pieces {
                    reactions.collect()
                } else {
                    Vec::new()
                },
            },
        }
    }

    /// Stores the files of a message.
    async fn bring(&mut self, room: RoomId, message: &Message) -> anyhow::Result<Vec<AttachmentId>> {
        let mut brought = Vec::new();
        for path in &message.files {
            let (Some(blobs), Some(pack)) = (&self.blobs, &mut self.pack) else {
                self.report.skip("file: this installation has no store of files");
                continue;
            };
            if brought.len() >= self.limits.files {
                self.report.skip("file: more than a message has here");
                continue;
            }
            let bytes = match tokio::task::block_in_place(|| pack.read(path, self.limits.file_bytes)) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    self.report.skip("file that is not in the export");
                    continue;
                }
                Err(_) => {
                    self.report.skip("file: too large, or outside of the export");
                    continue;
                }
            };
            let id = attachment_id(self.id(&message.key), path);
            blobs.put(&blob_name(id), self.owner, &bytes).await?;
            let upload = Upload {
                by: self.owner,
                room,
                made_at: ambient::now().into(),
                taken_by: None,
                attachment: described(id, path, &bytes),
            };
            self.uploads.add(upload).await?;
            brought.push(id);
        }
        Ok(brought)
    }

    async fn import(&mut self, command: &ImportMessage, counts: bool) -> anyhow::Result<()> {
        // The same for all tries: the log then takes one of them.
        let caller = self.caller();
        let mut tries = 0;
        loop {
            match self.bus.chat(&caller, command).await {
                Ok(_) => {
                    self.report.imported += u64::from(counts);
                    self.report.files += command.attachments.len() as u64;
                    return Ok(());
                }
                Err(problem) if problem.kind == ProblemKind::Unavailable && tries < TRIES => tries += 1,
                Err(problem) if stops(&problem) => return Err(problem.into()),
                Err(problem) => {
                    self.report.refuse(&command.key, &problem);
                    return Ok(());
                }
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }

    fn caller(&self) -> Caller {
        Caller {
            command: ambient::new_uuid().into(),
            account: Some(self.owner),
            session: None,
            seen: None,
        }
    }

    fn tell(self, args: &ImportArgs, console: &Console) -> anyhow::Result<()> {
        let report = self.report;
        if let Some(path) = &args.report {
            let text = serde_json::to_string_pretty(&report)? + "\n";
            std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        let would = if args.dry_run { "would be " } else { "" };
        console.result(&report, |report| {
            let mut lines = vec![format!(
                "{} messages and {} files {would}imported, {} were there already, {} rooms {would}made",
                report.imported,
                report.files,
                report.there,
                report.rooms.len()
            )];
            let skipped = report.not_taken.iter();
            lines.extend(skipped.map(|(why, count)| format!("  not taken: {count} × {why}")));
            lines.extend(report.refused.iter().map(|refused| format!("  {refused}")));
            lines.join("\n")
        });
        Ok(())
    }
}

/// Whether nothing else would be taken either.
fn stops(problem: &Problem) -> bool {
    match problem.kind {
        ProblemKind::Unavailable
        | ProblemKind::Internal
        | ProblemKind::Unauthenticated
        | ProblemKind::Forbidden => true,
        ProblemKind::NotFound => problem.code == "space.not_found",
        ProblemKind::Malformed
        | ProblemKind::Invalid
        | ProblemKind::Conflict
        | ProblemKind::Gone
        | ProblemKind::TooMany
        | ProblemKind::TooLarge
        | ProblemKind::Stale => false,
    }
}

/// The same for the same file of the same message.
fn attachment_id(message: MessageId, path: &str) -> AttachmentId {
    AttachmentId::new(uuid::Uuid::new_v5(&message.uuid(), path.as_bytes()))
}

/// A file that nobody looked at: what is in it is for who opens it.
fn described(id: AttachmentId, path: &str, bytes: &[u8]) -> Attachment {
    let name = Path::new(path)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    Attachment {
        attachment: id,
        kind: AttachmentKind::File,
        size: bytes.len() as u64,
        about: AboutAttachment {
            name: text::clean(&name.unwrap_or_default()).replace(['\n', '\t', '/', '\\'], "_"),
            media_type: "application/octet-stream".into(),
            sha256: hex(digest(&SHA256, bytes).as_ref()),
            pixels: None,
            blur_hash: None,
            thumbnails: Vec::new(),
            duration_ms: None,
            peaks: Vec::new(),
        }
        .into(),
    }
}

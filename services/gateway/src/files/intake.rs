//! From a request body to a stored file.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::StatusCode;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};
use veza_events::attachment::{AboutAttachment, Attachment, AttachmentKind, Thumbnail};
use veza_events::{AccountId, AttachmentId, RoomId};
use veza_platform::ambient;
use veza_platform::blobs::Blobs;
use veza_platform::config::FilesConfig;
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::keyring::hex;
use veza_platform::lifecycle::Lifecycle;
use veza_platform::uploads::{Upload, Uploads, blob_name, thumbnail_name};

use super::picture::{Picture, PictureError, PictureLimits};
use super::sniff::{Content, LOOK};
use super::{Shown, Sound, clean_name, picture, smaller, sound};
use crate::http::Failure;

/// When too many files arrive at once, how soon to try again, milliseconds.
const BUSY_RETRY_MS: u64 = 1_000;

/// Takes files in.
pub(crate) struct Intake {
    config: FilesConfig,
    lifecycle: Lifecycle,
    uploads: Uploads,
    /// Uploads under way.
    turns: Semaphore,
    /// Pictures and recordings that are looked at.
    looks: Arc<Semaphore>,
}

/// Who brings what for where.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) id: AttachmentId,
    pub(crate) by: AccountId,
    pub(crate) room: RoomId,
    pub(crate) name: String,
    pub(crate) voice: bool,
}

impl Intake {
    pub(crate) fn new(config: &FilesConfig, lifecycle: &Lifecycle, uploads: Uploads) -> Self {
        Self {
            turns: Semaphore::new(config.max_uploads_in_flight.min(Semaphore::MAX_PERMITS)),
            looks: Arc::new(Semaphore::new(config.max_looks.min(Semaphore::MAX_PERMITS))),
            config: config.clone(),
            lifecycle: lifecycle.clone(),
            uploads,
        }
    }

    /// Stores what `body` brings. What was brought before under the same id is answered again.
    ///
    /// # Errors
    /// What is wrong with the file; `platform.busy`, `platform.unavailable`.
    pub(crate) async fn take(
        &self,
        blobs: &Blobs,
        arrival: Arrival,
        body: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<Attachment, Failure> {
        let _turn = self.turns.try_acquire().map_err(|_| busy())?;
        if let Some(known) = self.uploads.get(arrival.id).await? {
            return Ok(known.attachment);
        }
        let mut source = Source {
            body: Box::pin(body),
            ahead: None,
            taken: 0,
            pause: Duration::from_millis(self.config.upload_pause_ms),
            until: Instant::now() + Duration::from_millis(self.config.upload_timeout_ms),
        };
        let head = source.head().await?;
        let mut content = Content::of(&head);
        if arrival.voice {
            content.kind = as_voice(content.kind)?;
        }
        let (size, about, done) = match content.kind {
            AttachmentKind::Image => self.picture(blobs, &arrival, content, &mut source).await?,
            AttachmentKind::Audio | AttachmentKind::Voice | AttachmentKind::Video | AttachmentKind::File => {
                self.other(blobs, &arrival, content, &mut source).await?
            }
        };
        let attachment = Attachment {
            attachment: arrival.id,
            kind: content.kind,
            size,
            about: about.into(),
        };
        self.finish(arrival, attachment.clone(), done).await?;
        Ok(attachment)
    }

    /// A smaller picture of one that is not stored; none of what is no picture, or too large.
    ///
    /// # Errors
    /// `platform.internal`
    pub(crate) async fn smaller(&self, bytes: Bytes, edge: u32) -> Result<Option<Shown>, Failure> {
        let pixels = self.config.max_image_pixels;
        Ok(self.look(move || smaller(&bytes, pixels, edge)).await?.ok())
    }

    /// A picture is held in memory: it has to be looked at as a whole, and may be stored as another.
    async fn picture(
        &self,
        blobs: &Blobs,
        arrival: &Arrival,
        content: Content,
        source: &mut Source,
    ) -> Result<(u64, AboutAttachment, Finish), Failure> {
        let bytes = source.all(self.config.max_image_bytes, image_too_large).await?;
        let limits = PictureLimits {
            pixels: self.config.max_image_pixels,
            strip: self.config.strip_metadata,
        };
        let seen = self.look(move || picture(bytes, limits)).await?;
        let seen = seen.map_err(|error| of_picture(&error, self.config.max_image_pixels))?;
        let Picture {
            original,
            width,
            height,
            blur_hash,
            thumbnails,
        } = seen;
        let shown = thumbnails.iter().map(|small| Thumbnail {
            width: small.width,
            height: small.height,
            size: small.bytes.len() as u64,
            media_type: small.media_type.to_owned(),
        });
        let about = AboutAttachment {
            sha256: hex(aws_lc_rs::digest::digest(&SHA256, &original).as_ref()),
            pixels: Some((width, height)),
            blur_hash: Some(blur_hash),
            thumbnails: shown.collect(),
            ..nothing_known(arrival, content)
        };
        let size = original.len() as u64;
        let (blobs, by, id) = (blobs.clone(), arrival.by, arrival.id);
        let done = Box::pin(async move {
            for (number, small) in thumbnails.iter().enumerate() {
                blobs.put(&thumbnail_name(id, number), by, &small.bytes).await?;
            }
            Ok(blobs.put(&blob_name(id), by, &original).await?)
        });
        Ok((size, about, done))
    }

    /// Anything else goes through in pieces; of a recording a copy is kept, to be listened to.
    async fn other(
        &self,
        blobs: &Blobs,
        arrival: &Arrival,
        content: Content,
        source: &mut Source,
    ) -> Result<(u64, AboutAttachment, Finish), Failure> {
        let audible = matches!(content.kind, AttachmentKind::Audio | AttachmentKind::Voice);
        let mut copy = audible.then(Vec::new);
        let mut digest = Context::new(&SHA256);
        let mut writer = blobs
            .writer(&blob_name(arrival.id), arrival.by)
            .await
            .map_err(Problem::from)?;
        while let Some(piece) = source.next().await? {
            if source.taken > self.config.max_file_bytes {
                return Err(too_large(self.config.max_file_bytes));
            }
            digest.update(&piece);
            writer.write(&piece).await.map_err(Problem::from)?;
            match &mut copy {
                Some(kept) if source.taken <= self.config.max_audio_bytes => kept.extend_from_slice(&piece),
                _ => copy = None,
            }
        }
        let seconds = self.config.max_audio_s;
        let heard = match copy {
            Some(copy) => self.look(move || sound(copy, seconds)).await?,
            None => Sound::default(),
        };
        let about = AboutAttachment {
            sha256: hex(digest.finish().as_ref()),
            duration_ms: heard.duration_ms,
            peaks: heard.peaks,
            ..nothing_known(arrival, content)
        };
        let done = Box::pin(async move { Ok(writer.finish().await.map(drop)?) });
        Ok((source.taken, about, done))
    }

    async fn look<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let turn = Arc::clone(&self.looks).acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        let looked = self.lifecycle.spawn_blocking(move || {
            let seen = work();
            drop(turn);
            seen
        });
        // A decoder that panics on a file is a defect; the file is refused all the same.
        looked
            .await
            .map_err(|error| Problem::internal(&format!("a file could not be looked at: {error}")).into())
    }

    /// Everything is here. What is stored now is also remembered, whether or not the client waits for it.
    async fn finish(&self, arrival: Arrival, attachment: Attachment, done: Finish) -> Result<(), Failure> {
        let (told, outcome) = oneshot::channel();
        let uploads = self.uploads.clone();
        self.lifecycle.spawn("upload", async move {
            let stored = async {
                done.await?;
                let upload = Upload {
                    by: arrival.by,
                    room: arrival.room,
                    made_at: ambient::now().into(),
                    taken_by: None,
                    attachment,
                };
                uploads.add(upload).await
            };
            // Nobody may be waiting any more.
            let _ = told.send(stored.await);
        });
        let outcome = outcome.await;
        Ok(outcome.map_err(|_| Problem::unavailable("this server is stopping", BUSY_RETRY_MS))??)
    }
}

type Finish = Pin<Box<dyn Future<Output = Result<(), Problem>> + Send>>;

/// A request body, within its time.
struct Source {
    body: Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>,
    /// What was looked at and not taken yet.
    ahead: Option<Bytes>,
    taken: u64,
    pause: Duration,
    until: Instant,
}

impl Source {
    /// The first bytes, which are given out again.
    async fn head(&mut self) -> Result<Bytes, Failure> {
        let mut head = Vec::new();
        while head.len() < LOOK {
            match self.piece().await? {
                Some(piece) => head.extend_from_slice(&piece),
                None => break,
            }
        }
        if head.is_empty() {
            let detail = "send the file as the body of the request; it was empty";
            return Err(Problem::new(ProblemKind::Invalid, "attachment.empty", detail).into());
        }
        let head = Bytes::from(head);
        self.ahead = Some(head.clone());
        Ok(head)
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let piece = match self.ahead.take() {
            Some(ahead) => Some(ahead),
            None => self.piece().await?,
        };
        self.taken += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Ok(piece)
    }

    async fn all(&mut self, most: u64, refuse: fn(u64) -> Failure) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            if self.taken > most {
                return Err(refuse(most));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        let deadline = self.until.min(Instant::now() + self.pause);
        match timeout_at(deadline, self.body.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(piece))) => Ok(Some(piece)),
            Ok(Some(Err(_))) => {
                let detail = "the body broke off";
                Err(Failure::new(ProblemKind::Malformed, "request.malformed", detail))
            }
            Err(_) => {
                let detail = "the file took too long to arrive";
                let failure = Failure::new(ProblemKind::Malformed, "request.timeout", detail);
                Err(failure.with_status(StatusCode::REQUEST_TIMEOUT))
            }
        }
    }
}

fn nothing_known(arrival: &Arrival, content: Content) -> AboutAttachment {
    AboutAttachment {
        name: clean_name(&arrival.name),
        media_type: content.media_type.to_owned(),
        sha256: String::new(),
        pixels: None,
        blur_hash: None,
        thumbnails: Vec::new(),
        duration_ms: None,
        peaks: Vec::new(),
    }
}

/// Recorders put sound alone into containers of films, too.
fn as_voice(kind: AttachmentKind) -> Result<AttachmentKind, Failure> {
    match kind {
        AttachmentKind::Audio | AttachmentKind::Video | AttachmentKind::Voice => Ok(AttachmentKind::Voice),
        AttachmentKind::Image | AttachmentKind::File => {
            let detail = "a voice message is a recording: Ogg, WebM, MP4, MP3, FLAC or WAV";
            Err(Problem::new(ProblemKind::Invalid, "attachment.not_audio", detail).into())
        }
    }
}

fn of_picture(error: &PictureError, most: u64) -> Failure {
    match error {
        PictureError::TooLarge { width, height } => {
            let detail = format!("{width} by {height} pixels are more than the {most} that are taken");
            Problem::new(ProblemKind::TooLarge, "attachment.too_many_pixels", detail).into()
        }
        PictureError::Broken => {
            let detail = "the picture cannot be read; it is cut off or not what its first bytes say";
            Problem::new(ProblemKind::Invalid, "attachment.broken", detail).into()
        }
    }
}

fn too_large(most: u64) -> Failure {
    let detail = format!("a file has at most {most} bytes");
    Problem::new(ProblemKind::TooLarge, "attachment.too_large", detail).into()
}

fn image_too_large(most: u64) -> Failure {
    let detail = format!("a picture has at most {most} bytes");
    Problem::new(ProblemKind::TooLarge, "attachment.too_large", detail).into()
}

fn busy() -> Failure {
    let detail = "too many files arrive here at once";
    Failure::from(Problem {
        retry_after_ms: Some(BUSY_RETRY_MS),
        ..Problem::new(ProblemKind::Unavailable, "platform.busy", detail)
    })
}

//! Files that nobody can see any more leave the object store.

use std::time::Duration;

use veza_events::attachment::{AboutAttachment, Attachment, AttachmentKind};
use veza_events::room::{MessageDeleted, RoomEvent};
use veza_events::{AttachmentId, MessageId, Subject};
use veza_platform::ambient;
use veza_platform::blobs::{BlobError, Blobs, create_bucket};
use veza_platform::config::{Config, Secret};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::telemetry::Metrics;
use veza_platform::uploads::{Upload, Uploads, blob_name, thumbnail_name};
use veza_projector::projection::{self, RebuildOptions};
use veza_projector::workload::{Community, Fact};
use veza_testkit::TestS3;

use crate::site::{Site, eventually};

/// An installation with a store, and a space in it.
struct Shelf {
    site: Site,
    _s3: TestS3,
    config: Config,
    blobs: Blobs,
    community: Community,
}

impl Shelf {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let (site, s3) = Box::pin(async { tokio::join!(Site::new(), TestS3::start()) }).await;
        let mut config = site.config();
        config.s3.endpoint = s3.url();
        config.s3.access_key = Secret::new(s3.access_key());
        config.s3.secret_key = Secret::new(s3.secret_key());
        config.files.deleted_grace_s = 0;
        config.files.upload_timeout_ms = 100;
        change(&mut config);
        create_bucket(&config.s3).await.unwrap();
        let life = Lifecycle::default();
        let blobs = Blobs::open(&config.s3, site.keys.clone(), &Metrics::new(), &life, "test").unwrap();
        let community = site.community().await;
        Self {
            site,
            _s3: s3,
            config,
            blobs,
            community,
        }
    }

    /// Stores a picture and its small ones.
    async fn store(&self, id: AttachmentId) {
        let owner = self.community.people[0];
        for name in [blob_name(id), thumbnail_name(id, 0), thumbnail_name(id, 1)] {
            self.blobs.put(&name, owner, b"bytes").await.unwrap();
        }
    }

    /// How many of the three are there.
    async fn stored(&self, id: AttachmentId) -> usize {
        let mut there = 0;
        for name in [blob_name(id), thumbnail_name(id, 0), thumbnail_name(id, 1)] {
            match self.blobs.reader(&name, 5).await {
                Ok(_) => there += 1,
                Err(BlobError::Absent) => {}
                Err(error) => panic!("{error}"),
            }
        }
        there
    }

    /// Somebody posts these files.
    async fn post(&self, files: &[AttachmentId]) -> (MessageId, u64) {
        let mut fact = self
            .community
            .says(self.community.people[0], self.community.rooms[0], "look");
        let veza_events::Event::Room(RoomEvent::MessagePosted(posted)) = &mut fact.event else {
            panic!("it says something");
        };
        posted.attachments = files.iter().map(|&id| attachment(id)).collect();
        let message = posted.message;
        (message, self.site.scribe.write(vec![fact]).await.unwrap())
    }

    async fn delete(&self, (message, posted): (MessageId, u64)) {
        let by = self.community.people[0];
        let room = self.community.rooms[0];
        let deleted = MessageDeleted {
            space: self.community.space,
            room,
            message,
            posted,
            by,
            author: by,
            parent: None,
        };
        let fact = Fact {
            subject: Subject::Room(self.community.shard, room),
            actor: by,
            event: RoomEvent::from(deleted).into(),
        };
        self.site.scribe.write(vec![fact]).await.unwrap();
    }

    async fn swept(&self) -> u64 {
        let swept = self
            .site
            .sql("SELECT COALESCE(max(seq), 0) FROM veza.swept")
            .await;
        swept.parse().unwrap()
    }
}

fn attachment(id: AttachmentId) -> Attachment {
    Attachment {
        attachment: id,
        kind: AttachmentKind::Image,
        size: 5,
        about: AboutAttachment {
            name: "a.png".into(),
            media_type: "image/png".into(),
            sha256: String::new(),
            pixels: None,
            blur_hash: None,
            thumbnails: Vec::new(),
            duration_ms: None,
            peaks: Vec::new(),
        }
        .into(),
    }
}

fn new_file() -> AttachmentId {
    AttachmentId::new(ambient::new_uuid())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_deleted_messages_go_once_and_a_rebuild_does_not_begin_anew() {
    let shelf = Shelf::new(|_| {}).await;
    let (kept, gone, twin, later) = (new_file(), new_file(), new_file(), new_file());
    for id in [kept, gone, twin, later] {
        shelf.store(id).await;
    }
    shelf.post(&[kept]).await;
    let doomed = shelf.post(&[gone, twin]).await;
    let doomed_later = shelf.post(&[later]).await;
    let projector = shelf.site.projector_with(shelf.config.clone()).await;
    shelf.delete(doomed).await;
    eventually("both files are gone", async || {
        shelf.stored(gone).await + shelf.stored(twin).await == 0
    })
    .await;
    eventually("it is remembered", async || shelf.swept().await > 0).await;
    assert!(projector.metric("veza_projector_files_removed_total") >= 2);
    projector.kill().await;

    // What is deleted while nobody looks is not forgotten; what was removed is not looked for again.
    let swept = shelf.swept().await;
    shelf.store(gone).await;
    shelf.delete(doomed_later).await;
    let projector = shelf.site.projector_with(shelf.config.clone()).await;
    eventually("the last file is gone", async || shelf.stored(later).await == 0).await;
    eventually("it is remembered", async || shelf.swept().await > swept).await;
    assert_eq!(shelf.stored(gone).await, 3, "done once");
    projector.stop().await;

    let bench = shelf.site.bench().await;
    let url = shelf.site.postgres.url();
    let make = async |schema: &'static str| veza_migrations::migrate_read(&url, schema).await;
    let options = RebuildOptions {
        verify: true,
        park: false,
    };
    projection::rebuild(&bench, options, make, |_| {}).await.unwrap();
    let swept = shelf.swept().await;
    let _projector = shelf.site.projector_with(shelf.config.clone()).await;
    let last = new_file();
    shelf.store(last).await;
    let doomed = shelf.post(&[last]).await;
    shelf.delete(doomed).await;
    eventually("new deletions go on", async || shelf.stored(last).await == 0).await;
    assert!(shelf.swept().await >= swept);
    assert_eq!(shelf.stored(gone).await, 3, "nothing begins anew");
    assert_eq!(shelf.stored(kept).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_deleted_messages_wait_out_their_grace() {
    let shelf = Shelf::new(|config| config.files.deleted_grace_s = 4).await;
    let id = new_file();
    shelf.store(id).await;
    let doomed = shelf.post(&[id]).await;
    let _projector = shelf.site.projector_with(shelf.config.clone()).await;
    shelf.site.caught_up().await;
    let before = std::time::Instant::now();
    shelf.delete(doomed).await;
    eventually("it goes in the end", async || shelf.stored(id).await == 0).await;
    assert!(
        before.elapsed() >= Duration::from_secs(4),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_nothing_knows_of_are_found_and_others_stay() {
    let shelf = Shelf::new(|config| {
        config.files.orphan_age_s = 1;
        config.files.orphan_look_s = 1;
    })
    .await;
    let (orphan, waits, posted) = (new_file(), new_file(), new_file());
    for id in [orphan, waits, posted] {
        shelf.store(id).await;
    }
    let foreign = "exports/00000000-0000-0000-0000-000000000001";
    let owner = shelf.community.people[0];
    shelf.blobs.put(foreign, owner, b"bytes").await.unwrap();
    shelf.post(&[posted]).await;
    let uploads = Uploads::new(&shelf.site.log, shelf.site.keys.clone());
    let upload = Upload {
        by: owner,
        room: shelf.community.rooms[0],
        made_at: ambient::now().into(),
        taken_by: None,
        attachment: attachment(waits),
    };
    uploads.add(upload).await.unwrap();
    let _projector = shelf.site.projector_with(shelf.config.clone()).await;
    eventually("the orphan is gone", async || shelf.stored(orphan).await == 0).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((shelf.stored(waits).await, shelf.stored(posted).await), (3, 3));
    assert!(
        shelf.blobs.reader(foreign, 5).await.is_ok(),
        "not a file of a message"
    );
}

//! Files on their way into messages.

use futures::future::join_all;
use veza_events::attachment::{AboutAttachment, Attachment, AttachmentKind};
use veza_events::{AttachmentId, RoomId};
use veza_platform::ambient;
use veza_platform::contract::chat::{Post, Preset};
use veza_platform::uploads::{Upload, Uploads};

use super::site::{Home, Person, Site, code, post};

fn about() -> AboutAttachment {
    AboutAttachment {
        name: "plan.pdf".into(),
        media_type: "application/pdf".into(),
        sha256: "00".repeat(32),
        pixels: None,
        blur_hash: None,
        thumbnails: Vec::new(),
        duration_ms: None,
        peaks: Vec::new(),
    }
}

async fn upload(site: &Site, by: Person, room: RoomId) -> AttachmentId {
    let id = AttachmentId::new(ambient::new_uuid());
    let upload = Upload {
        by: by.0,
        room,
        made_at: ambient::now().into(),
        taken_by: None,
        attachment: Attachment {
            attachment: id,
            kind: AttachmentKind::File,
            size: 7,
            about: about().into(),
        },
    };
    let uploads = Uploads::new(site.ledger.log(), site.ledger.keys().clone());
    uploads.add(upload).await.unwrap();
    id
}

fn with(home: Home, body: &str, attachments: &[AttachmentId]) -> Post {
    Post {
        attachments: attachments.to_vec(),
        ..post(home, body)
    }
}

#[tokio::test]
async fn a_file_goes_with_one_message_and_its_name_is_sealed_in_the_log() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, grace) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[grace]).await;
    let file = upload(&site, ada, home.room).await;
    assert_eq!(
        code(grace.ask(&site, &with(home, "", &[file])).await),
        "attachment.not_found"
    );
    ada.ask(&site, &with(home, "", &[file])).await.unwrap();
    assert_eq!(
        code(ada.ask(&site, &with(home, "", &[file])).await),
        "attachment.used"
    );
    let messages = site.messages().await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].attachments[0].about.clear(), Some(&about()));
    for record in site.records().await {
        let stored = String::from_utf8_lossy(&record.payload);
        assert!(!stored.contains("plan.pdf"), "{stored}");
    }
}

#[tokio::test]
async fn a_message_with_a_file_that_is_given_many_times_is_stored_once() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let ada = site.person().await;
    let home = site.home(Preset::Team, ada, &[]).await;
    let say = with(home, "look", &[upload(&site, ada, home.room).await]);
    let caller = ada.caller();
    let answers = join_all((0..8).map(|_| site.bus.chat(&caller, &say))).await;
    for answer in answers {
        answer.unwrap();
    }
    assert_eq!(site.messages().await.len(), 1);
}

#[tokio::test]
async fn of_many_messages_that_want_the_same_file_one_gets_it() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let ada = site.person().await;
    let home = site.home(Preset::Team, ada, &[]).await;
    let say = with(home, "mine", &[upload(&site, ada, home.room).await]);
    let answers = join_all((0..8).map(|_| ada.ask(&site, &say))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(site.messages().await.len(), 1);
}

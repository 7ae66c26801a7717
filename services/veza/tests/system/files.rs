//! Files, from an upload to somebody else's screen.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tonic::transport::Channel;
use uuid::Uuid;
use veza_client::{Person, Socket};
use veza_gateway::grpc::wire::chat_client::ChatClient;
use veza_gateway::grpc::wire::{ListRequest, PostRequest};

use crate::grpc;
use crate::platform::{Platform, eventually};

struct Door {
    http: reqwest::Client,
    url: String,
}

impl Door {
    async fn upload(
        &self,
        person: &Person,
        room: Uuid,
        query: &str,
        key: &str,
        body: Vec<u8>,
    ) -> (u16, Value) {
        let url = format!("{}/v1/rooms/{room}/uploads?{query}", self.url);
        let request = self
            .http
            .post(url)
            .bearer_auth(person.access_token())
            .header("idempotency-key", key);
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn post(&self, person: &Person, room: Uuid, body: &Value) -> (u16, Value, String) {
        let url = format!("{}/v1/rooms/{room}/messages", self.url);
        let request = self.http.post(url).bearer_auth(person.access_token());
        let answer = request.json(body).send().await.unwrap();
        let seq = answer
            .headers()
            .get("veza-seq")
            .map(|seq| seq.to_str().unwrap().to_owned());
        (
            answer.status().as_u16(),
            answer.json().await.unwrap(),
            seq.unwrap_or_default(),
        )
    }

    async fn get(&self, person: &Person, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self
            .http
            .get(format!("{}{path}", self.url))
            .bearer_auth(person.access_token());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }
}

/// A photograph with a camera's note in it.
fn photo() -> Vec<u8> {
    let picture = RgbImage::from_fn(800, 600, |x, y| {
        Rgb([u8::try_from(x % 256).unwrap(), u8::try_from(y % 256).unwrap(), 7])
    });
    let mut jpeg = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut jpeg), ImageFormat::Jpeg)
        .unwrap();
    let note = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\0\0\0\0\0GPS 48.8584 2.2945";
    let length = u16::try_from(note.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, note, &jpeg[2..]].concat()
}

/// A key for each case.
fn query_key(query: &str, size: usize) -> String {
    format!("{query}-{size}")
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

fn id(file: &Value) -> &str {
    file["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_reaches_those_who_may_see_it_and_nobody_else() {
    let platform = Platform::with_files(&[]).await;
    let ([ada, grace], space, room) = platform.people(["ada", "grace"]).await;
    let mallory = platform
        .api()
        .register("mallory", "M", crate::platform::PASSWORD)
        .await
        .unwrap();
    let door = Door {
        http: reqwest::Client::new(),
        url: platform.fleet.url(),
    };
    let mut socket = Socket::connect(&grace, &json!({})).await.unwrap();
    socket.watch(room).await.unwrap();

    let (status, file) = door
        .upload(&ada, room, "name=..%2Fsummer%20%C3%A9.jpg", "one", photo())
        .await;
    assert_eq!(status, 201, "{file}");
    assert_eq!(
        (&file["kind"], &file["media_type"]),
        (&json!("image"), &json!("image/jpeg"))
    );
    assert_eq!(
        (&file["name"], &file["width"]),
        (&json!("summer é.jpg"), &json!(800))
    );
    assert_eq!(file["blur_hash"].as_str().unwrap().len(), 28);
    assert_eq!(file["thumbnails"][0]["width"], json!(320));
    let (_, again) = door.upload(&ada, room, "name=x", "one", photo()).await;
    assert_eq!(again, file, "the same key brings the same file");

    // Not posted yet, not the poster's, not in the room.
    let path = format!("/v1/attachments/{}", id(&file));
    assert_eq!(door.get(&ada, &path, &[]).await.status(), 404);
    let with_file = json!({ "body": "", "attachments": [id(&file)] });
    let (status, problem, _) = door.post(&grace, room, &with_file).await;
    assert_eq!((status, &problem["code"]), (404, &json!("attachment.not_found")));
    let (status, problem) = door.upload(&mallory, room, "name=x", "k", photo()).await;
    assert_eq!((status, &problem["code"]), (404, &json!("room.not_found")));

    let (status, posted, seq) = door.post(&ada, room, &with_file).await;
    assert_eq!(status, 201, "{posted}");
    let event = socket.wait_for("event").await.unwrap();
    let seen = &event["data"]["attachments"][0];
    assert_eq!(
        (&seen["id"], &seen["name"], &seen["size"]),
        (&file["id"], &file["name"], &file["size"])
    );
    let (status, problem, _) = door.post(&ada, room, &with_file).await;
    assert_eq!((status, &problem["code"]), (409, &json!("attachment.used")));

    let page = door
        .get(
            &grace,
            &format!("/v1/rooms/{room}/messages"),
            &[("veza-min-seq", &seq)],
        )
        .await;
    let page: Value = page.json().await.unwrap();
    assert_eq!(page["items"][0]["attachments"], json!([file]));

    shows_the_picture(&door, &grace, &path, &file).await;

    assert_eq!(door.get(&mallory, &path, &[]).await.status(), 404);
    let out = format!("/v1/spaces/{space}/members/{}", grace.account);
    ada.call(Method::DELETE, &out, None).await.unwrap();
    eventually("who left is refused", async || {
        (door.get(&grace, &path, &[]).await.status() == 404).then_some(())
    })
    .await;
}

/// The whole, its parts and its thumbnail, as a browser asks for them.
async fn shows_the_picture(door: &Door, person: &Person, path: &str, file: &Value) {
    let whole = door.get(person, path, &[]).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(header(&whole, "content-type"), "image/jpeg");
    assert_eq!(
        header(&whole, "cache-control"),
        "private, max-age=31536000, immutable"
    );
    assert_eq!(
        header(&whole, "content-security-policy"),
        "default-src 'none'; sandbox"
    );
    assert_eq!(header(&whole, "x-content-type-options"), "nosniff");
    assert!(header(&whole, "content-disposition").starts_with("inline; filename=\"summer _.jpg\""));
    let tag = header(&whole, "etag").to_owned();
    let bytes = whole.bytes().await.unwrap();
    assert_eq!(json!(bytes.len()), file["size"]);
    assert!(
        !bytes.windows(3).any(|window| window == b"GPS"),
        "the place stays with who took it"
    );
    image::load_from_memory(&bytes).unwrap();

    let known = door.get(person, path, &[("if-none-match", &tag)]).await;
    assert_eq!(known.status(), 304);
    let part = door
        .get(person, path, &[("range", "bytes=10-19"), ("if-range", &tag)])
        .await;
    assert_eq!(part.status(), 206);
    assert_eq!(
        header(&part, "content-range"),
        format!("bytes 10-19/{}", bytes.len())
    );
    assert_eq!(part.bytes().await.unwrap(), bytes[10..20]);
    let parts = door.get(person, path, &[("range", "bytes=0-1,-2")]).await;
    assert_eq!(parts.status(), 206);
    let length: usize = header(&parts, "content-length").parse().unwrap();
    let parts = parts.bytes().await.unwrap();
    assert_eq!(parts.len(), length);
    assert_eq!(
        parts
            .windows(14)
            .filter(|window| window == b"Content-Range:")
            .count(),
        2
    );
    let behind = door.get(person, path, &[("range", "bytes=99999999-")]).await;
    assert_eq!(behind.status(), 416);
    let small = door.get(person, &format!("{path}/thumbnail"), &[]).await;
    let small = image::load_from_memory(&small.bytes().await.unwrap()).unwrap();
    assert_eq!((small.width(), small.height()), (320, 240));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_go_through_and_dangerous_ones_are_only_handed_over() {
    let platform = Platform::with_files(&[("VEZA__FILES__MAX_FILE_BYTES", "20000000")]).await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let door = Door {
        http: reqwest::Client::new(),
        url: platform.fleet.url(),
    };
    let large: Vec<u8> = (0..18_000_000_u32)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    let page = b"<html><script>alert(1)</script></html>".to_vec();
    let (status, large_file) = door.upload(&ada, room, "name=data.bin", "1", large.clone()).await;
    assert_eq!(status, 201, "{large_file}");
    let (_, page_file) = door.upload(&ada, room, "name=page.png", "2", page.clone()).await;
    assert_eq!(page_file["media_type"], json!("application/octet-stream"));
    let body = json!({ "body": "both", "attachments": [id(&large_file), id(&page_file)] });
    let (status, posted, seq) = door.post(&ada, room, &body).await;
    assert_eq!(status, 201, "{posted}");
    let fresh = [("veza-min-seq", seq.as_str())];
    let got = door
        .get(&ada, &format!("/v1/attachments/{}", id(&large_file)), &fresh)
        .await;
    assert!(got.bytes().await.unwrap() == large);
    let got = door
        .get(&ada, &format!("/v1/attachments/{}", id(&page_file)), &fresh)
        .await;
    assert!(header(&got, "content-disposition").starts_with("attachment;"));
    assert_eq!(got.bytes().await.unwrap(), page);

    for (query, body, refused) in [
        ("name=x", vec![1; 20_000_001], (413, "attachment.too_large")),
        ("name=x", Vec::new(), (422, "attachment.empty")),
        (
            "name=x&voice=true",
            b"only words".to_vec(),
            (422, "attachment.not_audio"),
        ),
        ("name=x", photo()[..5_000].to_vec(), (422, "attachment.broken")),
    ] {
        let (status, problem) = door
            .upload(&ada, room, query, query_key(query, body.len()).as_str(), body)
            .await;
        // A length that is announced is refused before the endpoint.
        let code = problem["code"]
            .as_str()
            .unwrap()
            .replace("request.too_large", "attachment.too_large");
        assert_eq!((status, code.as_str()), refused);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_posts_is_swept_and_what_was_posted_stays() {
    let platform = Platform::with_files(&[("VEZA__FILES__UNPOSTED_TTL_S", "8")]).await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let door = Door {
        http: reqwest::Client::new(),
        url: platform.fleet.url(),
    };
    let (_, posted) = door.upload(&ada, room, "name=kept.jpg", "1", photo()).await;
    let (status, answer, _) = door
        .post(&ada, room, &json!({ "body": "", "attachments": [id(&posted)] }))
        .await;
    assert_eq!(status, 201, "{answer}");
    let (_, forgotten) = door.upload(&ada, room, "name=forgotten.jpg", "2", photo()).await;
    // The same key brings a file anew once it was swept.
    eventually("the file that nobody posted is gone", async || {
        let body = json!({ "body": "", "attachments": [id(&forgotten)] });
        tokio::time::sleep(std::time::Duration::from_secs(12)).await;
        let (status, problem, _) = door.post(&ada, room, &body).await;
        assert_ne!(status, 201, "it was swept before");
        (problem["code"] == json!("attachment.not_found")).then_some(())
    })
    .await;
    let got = door
        .get(&ada, &format!("/v1/attachments/{}", id(&posted)), &[])
        .await;
    assert_eq!(got.status(), 200);
    image::load_from_memory(&got.bytes().await.unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_posts_files_over_grpc_by_the_same_rules() {
    let platform = Platform::with_files(&[]).await;
    let ([ada, eve], _, room) = platform.people(["ada", "eve"]).await;
    let door = Door {
        http: reqwest::Client::new(),
        url: platform.fleet.url(),
    };
    let mut files = Vec::new();
    for key in ["one", "two"] {
        let uploaded = door.upload(&ada, room, "name=notes.txt", key, b"a few words".to_vec());
        files.push(id(&uploaded.await.1).to_owned());
    }
    let channel = Channel::from_shared(platform.fleet.url()).unwrap();
    let mut chat = ChatClient::new(channel.connect().await.unwrap());
    let with = |file: &str| PostRequest {
        attachments: vec![file.to_owned()],
        ..grpc::words(room, "")
    };
    for (who, file, refusal) in [
        (&eve, files[0].clone(), "attachment.not_found"),
        (&ada, Uuid::nil().to_string(), "attachment.not_found"),
        (&ada, "notes.txt".to_owned(), "request.malformed"),
    ] {
        let refused = grpc::post(&mut chat, &who.access_token(), with(&file)).await;
        assert_eq!(grpc::reason(&refused.unwrap_err()).1, refusal);
    }
    let once = PostRequest {
        command_id: veza_client::new_id().to_string(),
        ..with(&files[0])
    };
    let token = ada.access_token();
    let posted = grpc::post(&mut chat, &token, once.clone()).await.unwrap();
    let again = grpc::post(&mut chat, &token, once).await.unwrap();
    assert_eq!((&posted.message, again.duplicate), (&again.message, true));
    let used = grpc::post(&mut chat, &token, with(&files[0])).await;
    assert_eq!(grpc::reason(&used.unwrap_err()).1, "attachment.used");
    let range = ListRequest {
        room: room.to_string(),
        min_position: posted.position,
        ..ListRequest::default()
    };
    let listed = grpc::list(&mut chat, &eve.access_token(), range).await.unwrap();
    assert_eq!(listed.messages.len(), 1, "{listed:?}");
    let file = &listed.messages[0].attachments[0];
    assert_eq!(
        (&file.id, file.size, file.name.as_deref()),
        (&files[0], 11, Some("notes.txt"))
    );
    let fetched = door.get(&eve, &format!("/v1/attachments/{}", file.id), &[]).await;
    assert_eq!(fetched.text().await.unwrap(), "a few words");
}

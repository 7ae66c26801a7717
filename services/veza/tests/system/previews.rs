//! What is shown of pages that messages link to.

use std::io::Cursor;

use bytes::Bytes;
use http::Response;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::Person;
use veza_testkit::{Met, Web};

use crate::platform::{Platform, eventually, words};
use crate::structure::code;

const PAGE: &str = r#"<html><head><title>Old</title><meta property="og:title" content="Tides">
    <meta property="og:description" content="When the sea comes"><meta property="og:image" content="/wave.png">"#;

fn site(met: &Met) -> Response<Bytes> {
    let answer = Response::builder();
    match met.path.as_str() {
        "/tides" => answer.header("content-type", "text/html").body(PAGE.into()),
        "/wave.png" => {
            let mut png = Cursor::new(Vec::new());
            let wave = image::RgbImage::from_pixel(1_600, 800, image::Rgb([0, 90, 160]));
            wave.write_to(&mut png, image::ImageFormat::Png).unwrap();
            answer
                .header("content-type", "image/png")
                .body(png.into_inner().into())
        }
        _ => answer.status(404).body(Bytes::new()),
    }
    .unwrap()
}

async fn post(person: &Person, room: Uuid, text: &str) -> Uuid {
    let path = format!("/v1/rooms/{room}/messages");
    let posted = person.post(&path, &words(text)).await.unwrap();
    let message = posted["id"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/messages/{message}");
    eventually("it can be read", async || person.get(&path).await.ok()).await;
    message
}

async fn shown(person: &Person, message: Uuid) -> Vec<Value> {
    let found = person
        .get(&format!("/v1/messages/{message}/previews"))
        .await
        .unwrap();
    found["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_looked_at_once_for_everybody_and_nobody_asks_it_themselves() {
    let pages = Web::start(site).await;
    let neighbour = Web::on("127.0.0.2", site).await;
    let env = [("VEZA__OUTGOING__ALLOW", "127.0.0.1")];
    let mut platform = Platform::with(&crate::platform::EVERY_ROLE, 1, &env).await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let (tides, none, inside) = (pages.url("/tides"), pages.url("/none"), neighbour.url("/tides"));
    let text = format!("look: {tides}, {none} {inside} and <{}>", pages.url("/quiet"));
    let message = post(&ada, room, &text).await;

    let (mine, his) = tokio::join!(shown(&ada, message), shown(&ben, message));
    assert_eq!(mine, his);
    assert_eq!(mine.len(), 1, "{mine:?}");
    assert_eq!(
        (&mine[0]["link"], &mine[0]["title"], &mine[0]["description"]),
        (&json!(tides), &json!("Tides"), &json!("When the sea comes"))
    );
    let picture = &mine[0]["picture"];
    assert_eq!(
        (&picture["width"], &picture["height"]),
        (&json!(640), &json!(320))
    );
    assert_eq!((pages.times("/tides"), pages.times("/quiet")), (1, 0));
    assert_eq!(neighbour.met().len(), 0, "a neighbour is not even asked");

    let id = mine[0]["id"].as_str().unwrap();
    let path = format!("/v1/messages/{message}/previews/{id}/picture");
    let answer = reqwest::Client::new()
        .get(format!("{}{path}", platform.fleet.url()))
        .bearer_auth(ben.access_token())
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer.headers()["content-security-policy"],
        "default-src 'none'; sandbox"
    );
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(image::load_from_memory(&bytes).unwrap().width(), 640);
    assert_eq!(pages.times("/wave.png"), 1);

    let eve = platform
        .api()
        .register("eve", "eve", crate::platform::PASSWORD)
        .await
        .unwrap();
    for path in [&path, &format!("/v1/messages/{message}/previews")] {
        assert_eq!(code(eve.get(path).await), (404, "message.not_found".into()));
    }
    let other = format!("/v1/messages/{message}/previews/{}/picture", "0".repeat(32));
    assert_eq!(code(ada.get(&other).await), (404, "message.no_preview".into()));

    // A space may do without.
    let settings = format!("/v1/spaces/{space}");
    let off = json!({ "previews": false });
    let refused = ben.call(Method::PATCH, &settings, Some(&off)).await;
    assert_eq!(code(refused), (403, "space.not_allowed".into()));
    ada.call(Method::PATCH, &settings, Some(&off)).await.unwrap();
    eventually("nothing is shown", async || {
        shown(&ben, message).await.is_empty().then_some(())
    })
    .await;
    assert_eq!(code(ben.get(&path).await), (404, "message.no_preview".into()));
    assert_eq!(ben.get(&settings).await.unwrap()["previews"], json!(false));
    let on = json!({ "previews": true });
    ada.call(Method::PATCH, &settings, Some(&on)).await.unwrap();
    eventually("it is shown again", async || {
        (shown(&ben, message).await == mine).then_some(())
    })
    .await;

    // What one gateway has found, the next one knows.
    platform
        .fleet
        .role_mut("gateway")
        .unwrap()
        .restart()
        .await
        .unwrap();
    assert_eq!(shown(&ada, message).await, mine);
    assert_eq!(pages.times("/tides"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_pages_are_looked_at_for_one_account() {
    let pages = Web::start(site).await;
    let env = [
        ("VEZA__OUTGOING__ALLOW", "127.0.0.1"),
        ("VEZA__LIMITS__PREVIEWS_PER_MINUTE_PER_ACCOUNT", "1"),
    ];
    let platform = Platform::with(&crate::platform::EVERY_ROLE, 1, &env).await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let first = post(&ada, room, &pages.url("/tides")).await;
    assert_eq!(shown(&ada, first).await.len(), 1);
    assert_eq!(shown(&ada, first).await.len(), 1, "what is known costs nothing");
    let second = post(&ada, room, &pages.url("/tides?again")).await;
    let refused = ada.get(&format!("/v1/messages/{second}/previews")).await;
    assert_eq!(code(refused), (429, "message.preview_rate".into()));
}

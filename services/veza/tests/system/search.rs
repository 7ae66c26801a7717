//! Finding messages by their words, as far as one may read them.

use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{ClientError, Person};

use crate::platform::{Platform, eventually, words};

async fn search(person: &Person, q: &str, more: &[(&str, &str)]) -> Result<Vec<Value>, ClientError> {
    let mut url = reqwest::Url::parse("http://veza/v1/search").unwrap();
    url.query_pairs_mut().append_pair("q", q).extend_pairs(more);
    let path = format!("/v1/search?{}", url.query().unwrap());
    let answer = person.get(&path).await?;
    Ok(answer["items"].as_array().unwrap().clone())
}

/// What is found, newest first.
async fn found(person: &Person, q: &str) -> Vec<String> {
    let hits = search(person, q, &[]).await.unwrap();
    hits.iter()
        .map(|hit| hit["message"]["body"].as_str().unwrap().to_owned())
        .collect()
}

async fn say(person: &Person, room: Uuid, text: &str) -> Uuid {
    let posted = person
        .post(&format!("/v1/rooms/{room}/messages"), &words(text))
        .await
        .unwrap();
    posted["id"].as_str().unwrap().parse().unwrap()
}

fn code(outcome: Result<Vec<Value>, ClientError>) -> (u16, String) {
    match outcome {
        Err(ClientError::Refused { status, problem, .. }) => {
            (status, problem["code"].as_str().unwrap().to_owned())
        }
        other => panic!("not refused: {other:?}"),
    }
}

const RESTARTED: &str = "The servers were restarted twice this morning";
const REDEMARRES: &str = "Les serveurs ont été redémarrés deux fois ce matin";
const LINK: &str = "the minutes of the meeting are at https://example.org/minutes";

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_found_by_their_words_in_rooms_that_one_may_read() {
    let platform = Platform::start().await;
    let ([ada, eve], space, room) = platform.people(["ada", "eve"]).await;
    let mallory = platform
        .api()
        .register("mallory", "Mallory", crate::platform::PASSWORD)
        .await
        .unwrap();
    for text in [RESTARTED, REDEMARRES] {
        say(&ada, room, text).await;
    }
    let link = say(&eve, room, LINK).await;
    eventually("the last message can be found", async || {
        (found(&ada, "minutes").await == [LINK]).then_some(())
    })
    .await;

    // In any form of a word, in the language of the message, with accents or without.
    assert_eq!(found(&ada, "server restarting").await, [RESTARTED]);
    assert_eq!(found(&ada, "redemarrer serveur").await, [REDEMARRES]);
    assert_eq!(found(&ada, "\"this morning\"").await, [RESTARTED]);
    assert_eq!(found(&ada, "\"morning twice\"").await, Vec::<String>::new());
    assert_eq!(found(&ada, "matin -\"deux fois\"").await, Vec::<String>::new());
    // Filters, alone and with words; the newest comes first.
    assert_eq!(found(&ada, "from:@Ada").await, [REDEMARRES, RESTARTED]);
    assert_eq!(found(&ada, "from:eve has:link").await, [LINK]);
    assert_eq!(found(&ada, "in:general meeting").await, Vec::<String>::new());
    assert_eq!(found(&ada, "in:#Talk meeting").await, [LINK]);
    assert_eq!(found(&ada, "before:2020-01-01").await, Vec::<String>::new());
    assert_eq!(found(&ada, "after:2020-01-01 minutes").await, [LINK]);
    // What was found is marked.
    let hits = search(&ada, "meeting", &[("room", &room.to_string())])
        .await
        .unwrap();
    assert_eq!(hits[0]["snippet"], LINK);
    assert_eq!(hits[0]["highlights"], json!([[19, 26]]));
    assert_eq!(
        (&hits[0]["message"]["id"], &hits[0]["room"]),
        (&json!(link), &json!(room))
    );
    // In parts.
    let first = ada.get("/v1/search?q=from:ada&limit=1").await.unwrap();
    let next = first["next"].as_str().unwrap();
    let second = ada
        .get(&format!("/v1/search?q=from:ada&limit=1&cursor={next}"))
        .await
        .unwrap();
    assert_eq!(second["items"][0]["message"]["body"], RESTARTED);
    assert_eq!(second["next"], Value::Null);

    // Nobody finds what they may not read.
    assert_eq!(found(&mallory, "meeting").await, Vec::<String>::new());
    for place in [("space", space), ("room", room)] {
        let refused = code(search(&mallory, "meeting", &[(place.0, &place.1.to_string())]).await);
        assert_eq!(refused.0, 404, "{refused:?}");
    }
    eve.call(
        reqwest::Method::DELETE,
        &format!("/v1/spaces/{space}/members/{}", eve.account),
        None,
    )
    .await
    .unwrap();
    eventually("who has left finds nothing", async || {
        found(&eve, "meeting").await.is_empty().then_some(())
    })
    .await;

    for bad in ["", "\"\"", "on:yesterday", "has:wings", &"long ".repeat(200)] {
        assert_eq!(
            code(search(&ada, bad, &[]).await),
            (400, "search.query".to_owned()),
            "{bad}"
        );
    }
}

//! Changing what one has seen, and asking twice, through the documented API.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use veza_client::Person;

use crate::platform::{PASSWORD, Platform, words};

struct Answer {
    status: StatusCode,
    tag: Option<String>,
    seq: Option<String>,
    body: Value,
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
    Answer {
        status: response.status(),
        tag: header("etag"),
        seq: header("veza-seq"),
        body: response.json().await.unwrap_or_default(),
    }
}

struct Desk<'a> {
    platform: &'a Platform,
    person: &'a Person,
    http: reqwest::Client,
}

impl Desk<'_> {
    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.platform.fleet.url());
        self.http
            .request(method, url)
            .bearer_auth(self.person.access_token())
    }

    async fn change(&self, path: &str, tag: &str, body: &Value) -> Answer {
        answer(self.ask(Method::PATCH, path).header("if-match", tag).json(body)).await
    }

    /// Reads a thing with everything that was written.
    async fn read(&self, path: &str, seq: &str) -> Answer {
        answer(self.ask(Method::GET, path).header("veza-min-seq", seq)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_of_an_earlier_answer_guards_a_change() {
    let platform = Platform::start().await;
    let ([ada], space, room) = platform.people(["ada"]).await;
    let desk = Desk {
        platform: &platform,
        person: &ada,
        http: reqwest::Client::new(),
    };
    for (path, first, second) in [
        (
            format!("/v1/rooms/{room}"),
            json!({"topic": "one"}),
            json!({"topic": "two"}),
        ),
        (
            format!("/v1/spaces/{space}"),
            json!({"name": "one"}),
            json!({"name": "two"}),
        ),
        (
            "/v1/accounts/me".to_owned(),
            json!({"display_name": "one"}),
            json!({"display_name": "two"}),
        ),
    ] {
        let begun = answer(desk.ask(Method::PATCH, &path).json(&first)).await;
        let tag = desk.read(&path, &begun.seq.unwrap()).await.tag.unwrap();
        let done = desk.change(&path, &tag, &second).await;
        assert_eq!(done.status, StatusCode::OK, "{path}: {}", done.body);
        let stale = desk.change(&path, &tag, &first).await;
        assert_eq!(
            (stale.status, &stale.body["code"]),
            (
                StatusCode::PRECONDITION_FAILED,
                &json!("request.precondition_failed")
            ),
            "{path}"
        );
        assert_eq!(desk.change(&path, "*", &first).await.status, StatusCode::OK);
        let unreadable = desk.change(&path, "yesterday", &first).await;
        assert_eq!(
            (unreadable.status, &unreadable.body["code"]),
            (StatusCode::BAD_REQUEST, &json!("request.if_match"))
        );
    }

    // What is said in a room changes what is shown of it, but not the room.
    let path = format!("/v1/rooms/{room}");
    let said = ada.post(&format!("{path}/messages"), &words("hi")).await.unwrap();
    let read = desk.read(&path, &format!("SPACES_0/{}", said["seq"])).await;
    let (tag, head) = (read.tag.unwrap(), read.body["head"].clone());
    assert_eq!(head, said["seq"]);
    let said = ada.post(&format!("{path}/messages"), &words("ho")).await.unwrap();
    let again = desk
        .ask(Method::GET, &path)
        .header("veza-min-seq", format!("SPACES_0/{}", said["seq"]));
    let again = answer(again.header("if-none-match", &tag)).await;
    assert_eq!(
        (again.status, &again.body["head"]),
        (StatusCode::OK, &said["seq"])
    );
    assert_eq!(
        desk.change(&path, &tag, &json!({"topic": "three"})).await.status,
        StatusCode::OK
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_twice_is_answered_the_same() {
    let platform = Platform::start().await;
    let (http, url) = (
        reqwest::Client::new(),
        format!("{}/v1/accounts", platform.fleet.url()),
    );
    let body = json!({"handle": "ada", "email": "ada@example.org", "password": PASSWORD});
    let register = || answer(http.post(&url).header("idempotency-key", "once").json(&body));
    let (first, second) = (register().await, register().await);
    assert_eq!(
        (first.status, second.status),
        (StatusCode::CREATED, StatusCode::CREATED)
    );
    assert_eq!((first.body, first.seq), (second.body, second.seq));
}

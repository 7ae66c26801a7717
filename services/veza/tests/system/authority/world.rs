//! A space with people of all kinds, and fresh objects for every call.

use std::collections::{BTreeMap, HashMap};

use reqwest::Method;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use tokio_tungstenite::tungstenite::Message;
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;
use veza_client::{Person, Socket, new_id};
use veza_platform::ambient;

use super::{Case, Row, grpc_rows};
use crate::platform::{PASSWORD, PATIENCE, Platform, eventually};

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Actor {
    /// Without a token.
    Nobody,
    /// Not in the space.
    Stranger,
    /// A member that may see, and no more.
    Plain,
    /// A member with one permission beside that.
    Only(&'static str),
    /// A member with all permissions but one.
    AllBut(&'static str),
    Owner,
}

/// Somebody who came in for one call alone stands below all roles of the test.
const RANK: u16 = 50;

pub(crate) struct World {
    platform: Platform,
    http: reqwest::Client,
    people: HashMap<Actor, Person>,
    owner: Person,
    space: Uuid,
    permissions: Vec<String>,
    /// Where the newest that was written about spaces lies, which reads wait for.
    seen: Option<String>,
    count: u32,
}

impl World {
    pub(crate) async fn new() -> Self {
        let platform = Platform::with_files(&[]).await;
        let owner = platform.api().register("owner", "Owner", PASSWORD).await.unwrap();
        let space = owner.create_space("Lab").await.unwrap();
        let permissions = eventually("the room is listed", async || {
            let rooms = owner.get(&format!("/v1/spaces/{space}/rooms")).await.ok()?;
            let all = rooms["items"][0]["permissions"].as_array()?;
            Some(all.iter().map(text).collect())
        })
        .await;
        let everyone = json!({ "name": "everyone", "permissions": ["view"], "rank": 0 });
        owner
            .call(
                Method::PUT,
                &format!("/v1/spaces/{space}/roles/{space}"),
                Some(&everyone),
            )
            .await
            .unwrap();
        let stranger = platform
            .api()
            .register("stranger", "Stranger", PASSWORD)
            .await
            .unwrap();
        Self {
            people: HashMap::from([(Actor::Owner, owner.clone()), (Actor::Stranger, stranger)]),
            http: reqwest::Client::new(),
            platform,
            owner,
            space,
            permissions,
            seen: None,
            count: 0,
        }
    }

    pub(crate) async fn document(&self) -> Value {
        self.platform
            .api()
            .call(Method::GET, "/openapi.json", None, None)
            .await
            .unwrap()
    }

    /// Makes what the row's path and body name, and calls it.
    pub(crate) async fn call(&mut self, row: &Row, case: &Case) -> (u16, Value) {
        let (method, path) = row.operation.split_once(' ').unwrap();
        let caller = self.person(case.by).await;
        let [url, body] = self
            .filled(case, [&format!("{path}{}", row.query), row.body])
            .await;
        let token = caller.map(|person| person.access_token());
        self.send(method.parse().unwrap(), &url, token.as_deref(), &body)
            .await
    }

    /// Makes the row's call over gRPC.
    pub(crate) async fn grpc(&mut self, row: &Row, call: &str, case: &Case) -> Result<(), Status> {
        let caller = self.person(case.by).await;
        let [words] = self.filled(case, [row.body]).await;
        let words: Value = serde_json::from_str(&words).unwrap();
        let channel = Channel::from_shared(self.platform.fleet.url()).unwrap();
        let token = caller.map(|person| person.access_token()).unwrap_or_default();
        grpc_rows::call(channel.connect().await.unwrap(), call, &words, &token).await
    }

    /// Sends the row's frame on a socket of the caller's, and gives the answer to it.
    pub(crate) async fn frame(&mut self, row: &Row, case: &Case) -> Value {
        let caller = self.person(case.by).await.unwrap();
        let mut made = BTreeMap::new();
        let [_, frame] = self.filled_with(case, [row.operation, row.body], &mut made).await;
        let resume: Value = match row.operation {
            "hello {room}" => serde_json::from_str(&frame).unwrap(),
            _ => json!({}),
        };
        let mut socket = Socket::connect(&caller, &resume).await.unwrap();
        let _call = match row.operation.split_once(' ') {
            Some((kind, _)) if kind.starts_with("call.") && kind != "call.join" => {
                let room = &made["room"];
                let mut call = Socket::connect(&self.owner, &json!({})).await.unwrap();
                assert_eq!(joined(&mut call, room).await["t"], "call.joined");
                // Whoever may not come in is refused what they ask for.
                joined(&mut socket, room).await;
                Some(call)
            }
            _ => None,
        };
        if resume == json!({}) {
            socket.send_raw(Message::text(&frame)).await.unwrap();
        }
        loop {
            let next = tokio::time::timeout(PATIENCE, socket.next()).await;
            let answer = next
                .unwrap_or_else(|_| panic!("{case:?}: no answer to {frame}"))
                .unwrap();
            if answer["id"] == 7 || matches!(answer["t"].as_str(), Some("fill" | "reset")) {
                return answer;
            }
        }
    }

    /// Texts with made things instead of names in braces.
    async fn filled<const N: usize>(&mut self, case: &Case, texts: [&str; N]) -> [String; N] {
        self.filled_with(case, texts, &mut BTreeMap::new()).await
    }

    /// The same. What the texts share, and what a message shares with its room, is made once.
    async fn filled_with<const N: usize>(
        &mut self,
        case: &Case,
        texts: [&str; N],
        made: &mut BTreeMap<String, String>,
    ) -> [String; N] {
        let mut texts = texts.map(str::to_owned);
        while let Some(name) = texts.iter().find_map(|text| named(text)) {
            let value = self.make(&name, case, made).await;
            texts = texts.map(|text| text.replace(&format!("{{{name}}}"), &value));
        }
        texts
    }

    async fn person(&mut self, actor: Actor) -> Option<Person> {
        if actor == Actor::Nobody {
            return None;
        }
        if let Some(person) = self.people.get(&actor) {
            return Some(person.clone());
        }
        let permissions: Vec<String> = match actor {
            Actor::Only(one) => vec![one.to_owned()],
            Actor::AllBut(one) => self
                .permissions
                .iter()
                .filter(|other| *other != one)
                .cloned()
                .collect(),
            Actor::Nobody | Actor::Stranger | Actor::Plain | Actor::Owner => Vec::new(),
        };
        let person = self.newcomer().await;
        if !permissions.is_empty() {
            let role = new_id();
            let what = json!({ "name": format!("role {role}"), "permissions": permissions, "rank": RANK });
            self.set(&format!("/v1/spaces/{}/roles/{role}", self.space), &what)
                .await;
            let path = format!("/v1/spaces/{}/members/{}", self.space, person.account);
            self.set(&path, &json!({ "roles": [role] })).await;
        }
        self.people.insert(actor, person.clone());
        Some(person)
    }

    /// A new account in the space.
    async fn newcomer(&mut self) -> Person {
        self.count += 1;
        let handle = format!("somebody_{}", self.count);
        let person = self
            .platform
            .api()
            .register(&handle, &handle, PASSWORD)
            .await
            .unwrap();
        let code = self.owner.invite(self.space).await.unwrap();
        person.accept(&code).await.unwrap();
        person
    }

    /// What a name in braces stands for.
    async fn make(&mut self, name: &str, case: &Case, made: &mut BTreeMap<String, String>) -> String {
        if let Some(value) = made.get(name) {
            return value.clone();
        }
        let space = self.space;
        let value = match name {
            "space" => space.to_string(),
            "tomorrow" => (ambient::now() + time::Duration::days(1))
                .format(&Rfc3339)
                .unwrap(),
            "room" => {
                self.count += 1;
                let what = json!({ "name": format!("room-{}", self.count), "private": case.private });
                self.post_as(Actor::Owner, &format!("/v1/spaces/{space}/rooms"), &what)
                    .await["id"]
                    .clone()
                    .as_str()
                    .unwrap()
                    .to_owned()
            }
            "message" => {
                let room = Box::pin(self.make("room", case, made)).await;
                let path = format!("/v1/rooms/{room}/messages");
                let posted = self
                    .post_as(case.made_by, &path, &json!({ "body": "hello" }))
                    .await;
                made.insert("seq".into(), posted["seq"].to_string());
                text(&posted["id"])
            }
            "held" => Box::pin(self.held(case, made)).await,
            "id" => {
                let room = Box::pin(self.make("room", case, made)).await;
                let file = self.upload(&room).await;
                let what = json!({ "body": "", "attachments": [file] });
                self.post_as(Actor::Owner, &format!("/v1/rooms/{room}/messages"), &what)
                    .await;
                file
            }
            "category" => {
                self.count += 1;
                let what = json!({ "name": format!("category {}", self.count) });
                text(
                    &self
                        .post_as(Actor::Owner, &format!("/v1/spaces/{space}/categories"), &what)
                        .await["id"],
                )
            }
            "role" => {
                let role = new_id();
                let what = json!({ "name": format!("role {role}"), "permissions": [], "rank": 1 });
                self.set(&format!("/v1/spaces/{space}/roles/{role}"), &what).await;
                role.to_string()
            }
            "invite" => text(
                &self
                    .post_as(case.made_by, &format!("/v1/spaces/{space}/invites"), &json!({}))
                    .await["id"],
            ),
            "code" => self.owner.invite(space).await.unwrap(),
            "account" | "whom" => self.newcomer().await.account.to_string(),
            "handle" => {
                self.count += 1;
                format!("fresh_{}", self.count)
            }
            "direct" => {
                let others = [self.newcomer().await.account, self.newcomer().await.account];
                let space = self
                    .post_as(case.made_by, "/v1/directs", &json!({ "accounts": others }))
                    .await;
                text(&space["id"])
            }
            "session_id" => {
                let of = self
                    .person(case.made_by)
                    .await
                    .unwrap()
                    .get("/v1/accounts/me")
                    .await
                    .unwrap();
                let body = json!({ "login": text(&of["handle"]), "password": PASSWORD });
                let (_, session) = self
                    .send(Method::POST, "/v1/sessions", None, &body.to_string())
                    .await;
                text(&session["session"])
            }
            "command" => new_id().to_string(),
            "emoji" => "%F0%9F%91%8D".to_owned(),
            other => panic!("nothing is known of {{{other}}}"),
        };
        made.insert(name.to_owned(), value.clone());
        value
    }

    /// A message that a rule holds back.
    async fn held(&mut self, case: &Case, made: &mut BTreeMap<String, String>) -> String {
        let rule = json!({ "name": "held", "kind": "words", "entries": ["heldback"], "action": "hold" });
        let filters = format!("/v1/spaces/{}/filters", self.space);
        self.set(&filters, &json!({ "rules": [rule] })).await;
        let room = self.make("room", case, made).await;
        let path = format!("/v1/rooms/{room}/messages");
        let words = json!({ "body": "heldback" });
        let posted = self.post_as(Actor::Only("post"), &path, &words).await;
        assert_eq!(posted["held"], true, "{posted}");
        text(&posted["id"])
    }

    async fn upload(&mut self, room: &str) -> String {
        let url = format!(
            "{}/v1/rooms/{room}/uploads?name=notes.txt",
            self.platform.fleet.url()
        );
        let answer = self
            .http
            .post(url)
            .bearer_auth(self.owner.access_token())
            .header("idempotency-key", new_id().to_string())
            .header("content-type", "application/octet-stream")
            .body("a few words")
            .send()
            .await
            .unwrap();
        text(&answer.json::<Value>().await.unwrap()["id"])
    }

    async fn post_as(&mut self, actor: Actor, path: &str, body: &Value) -> Value {
        let token = self.person(actor).await.unwrap().access_token();
        let (status, answer) = Box::pin(self.send(Method::POST, path, Some(&token), &body.to_string())).await;
        assert!(status < 300, "{actor:?} POST {path}: {status} {answer}");
        answer
    }

    async fn set(&mut self, path: &str, body: &Value) {
        let token = self.owner.access_token();
        let (status, answer) = self
            .send(Method::PUT, path, Some(&token), &body.to_string())
            .await;
        assert!(status < 300, "PUT {path}: {status} {answer}");
    }

    /// One call that waits for everything written before.
    async fn send(&mut self, method: Method, path: &str, token: Option<&str>, body: &str) -> (u16, Value) {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.platform.fleet.url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if method == Method::POST {
            request = request.header("idempotency-key", new_id().to_string());
        }
        if let Some(seen) = &self.seen {
            request = request.header("veza-min-seq", seen);
        }
        if !body.is_empty() {
            let kind = if body.starts_with("v=0") {
                "application/sdp"
            } else {
                "application/json"
            };
            request = request.header("content-type", kind).body(body.to_owned());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let written = answer
            .headers()
            .get("veza-seq")
            .map(|value| value.to_str().unwrap());
        if let Some(written) = written.filter(|written| written.starts_with("SPACES")) {
            self.seen = Some(written.to_owned());
        }
        (status, answer.json().await.unwrap_or_default())
    }
}

/// The answer to a try to be in the call of a room.
async fn joined(socket: &mut Socket, room: &str) -> Value {
    let join = json!({"t": "call.join", "id": 6, "room": room, "command_id": new_id()});
    socket.send(&join).await.unwrap();
    loop {
        let next = tokio::time::timeout(PATIENCE, socket.next()).await;
        let answer = next.expect("an answer comes in time").unwrap();
        if answer["id"] == 6 {
            return answer;
        }
    }
}

/// The first name in braces.
fn named(template: &str) -> Option<String> {
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        rest = &rest[at + 1..];
        let end = rest
            .find(|c: char| !c.is_ascii_lowercase() && c != '_')
            .unwrap_or(rest.len());
        if end > 0 && rest[end..].starts_with('}') {
            return Some(rest[..end].to_owned());
        }
    }
    None
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

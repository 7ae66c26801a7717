//! The HTTP API.

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_platform::ambient;

/// An installation, by its address.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    http: reqwest::Client,
    url: String,
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) api: Api,
    pub(crate) account: Uuid,
    token: String,
}

impl Api {
    pub(crate) fn new(url: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.trim_end_matches('/').to_owned() }
    }

    /// Registers somebody and signs them in.
    pub(crate) async fn register(&self, handle: &str, name: &str, password: &str) -> anyhow::Result<Person> {
        let body = json!({
            "handle": handle, "email": format!("{handle}@example.org"), "password": password, "display_name": name
        });
        self.call(Method::POST, "/v1/accounts", None, Some(&body)).await?;
        self.sign_in(handle, password).await
    }

    pub(crate) async fn sign_in(&self, login: &str, password: &str) -> anyhow::Result<Person> {
        let body = json!({ "login": login, "password": password });
        let session = self.call(Method::POST, "/v1/sessions", None, Some(&body)).await?;
        let text = |field: &str| session[field].as_str().map(str::to_owned);
        Ok(Person {
            api: self.clone(),
            account: text("account").context("no account in the answer")?.parse()?,
            token: text("access_token").context("no token in the answer")?,
        })
    }

    async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> anyhow::Result<Value> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if method == Method::POST {
            request = request.header("Idempotency-Key", ambient::new_uuid().to_string());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let value: Value = answer.json().await.unwrap_or_default();
        anyhow::ensure!(status.is_success(), "{method} {path}: {status} {value}");
        Ok(value)
    }
}

impl Person {
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.api.call(Method::POST, path, Some(&self.token), Some(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.api.call(Method::GET, path, Some(&self.token), None).await
    }

    /// Makes a space and gives its id.
    pub(crate) async fn create_space(&self, name: &str) -> anyhow::Result<Uuid> {
        let made = self.post("/v1/spaces", &json!({ "name": name, "preset": "open" })).await?;
        id_of(&made, "space")
    }

    /// Makes a text room and gives its id.
    pub(crate) async fn create_room(&self, space: Uuid, name: &str) -> anyhow::Result<Uuid> {
        let body = json!({ "name": name, "kind": "text" });
        id_of(&self.post(&format!("/v1/spaces/{space}/rooms"), &body).await?, "room")
    }

    /// Makes an invitation and gives its code.
    pub(crate) async fn invite(&self, space: Uuid) -> anyhow::Result<String> {
        let made = self.post(&format!("/v1/spaces/{space}/invites"), &json!({})).await?;
        made["code"].as_str().map(str::to_owned).context("no code in the answer")
    }

    pub(crate) async fn accept(&self, code: &str) -> anyhow::Result<()> {
        self.post(&format!("/v1/invites/{code}/accept"), &json!({})).await.map(drop)
    }

    /// A single-use ticket for the WebSocket.
    pub(crate) async fn ticket(&self) -> anyhow::Result<String> {
        let made = self.post("/v1/realtime/tickets", &json!({})).await?;
        made["ticket"].as_str().map(str::to_owned).context("no ticket in the answer")
    }

    pub(crate) fn realtime_url(&self) -> String {
        format!("{}/v1/realtime", self.api.url.replacen("http", "ws", 1))
    }
}

fn id_of(value: &Value, field: &str) -> anyhow::Result<Uuid> {
    let text = value[field].as_str().with_context(|| format!("no `{field}` in {value}"))?;
    Ok(text.parse()?)
}

//! The HTTP API.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{ClientError, new_id};

/// An installation, by its address.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    url: String,
}

/// Somebody who is signed in. Cheap to clone; clones share the session.
#[derive(Clone, Debug)]
pub struct Person {
    /// Where.
    pub api: Api,
    /// Who.
    pub account: Uuid,
    tokens: Arc<Mutex<Tokens>>,
}

#[derive(Clone, Debug)]
struct Tokens {
    access: String,
    renewal: Renewal,
}

/// How a fresh access token is had.
#[derive(Clone, Debug)]
enum Renewal {
    /// A person's refresh token.
    Refresh(String),
    /// The secret of a bot's key.
    Secret(String),
}

impl Api {
    /// The installation at `url`, `http://host:port`.
    pub fn new(url: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: url.trim_end_matches('/').to_owned(),
        }
    }

    /// Registers somebody and signs them in; the address is made up from the handle.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn register(&self, handle: &str, name: &str, password: &str) -> Result<Person, ClientError> {
        let body = json!({
            "handle": handle, "email": format!("{handle}@example.org"), "password": password, "display_name": name
        });
        self.call(Method::POST, "/v1/accounts", None, Some(&body)).await?;
        self.sign_in(handle, password).await
    }

    /// Signs somebody in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sign_in(&self, login: &str, password: &str) -> Result<Person, ClientError> {
        let body = json!({ "login": login, "password": password });
        let session = self.call(Method::POST, "/v1/sessions", None, Some(&body)).await?;
        let account = id_of(&session, "account")?;
        Ok(Person {
            api: self.clone(),
            account,
            tokens: Arc::new(Mutex::new(tokens_of(&session)?)),
        })
    }

    /// A bot, by the secret of one of its keys.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn bot(&self, account: Uuid, secret: &str) -> Result<Person, ClientError> {
        let tokens = Tokens {
            access: self.bot_token(account, secret).await?,
            renewal: Renewal::Secret(secret.to_owned()),
        };
        Ok(Person {
            api: self.clone(),
            account,
            tokens: Arc::new(Mutex::new(tokens)),
        })
    }

    async fn bot_token(&self, account: Uuid, secret: &str) -> Result<String, ClientError> {
        let form = format!("grant_type=client_credentials&client_id={account}&client_secret={secret}");
        let request = self
            .http
            .post(format!("{}/v1/oauth/token", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = request.send().await?;
        let status = answer.status();
        let value = serde_json::from_str(&answer.text().await?).unwrap_or_default();
        if status.is_success() {
            return text_of(&value, "access_token");
        }
        Err(ClientError::Refused {
            what: "POST /v1/oauth/token".to_owned(),
            status: status.as_u16(),
            problem: value,
        })
    }

    /// One call: the body of the answer, `null` when it has none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if method == Method::POST {
            request = request.header("Idempotency-Key", new_id().to_string());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        let value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        Err(ClientError::Refused {
            what: format!("{method} {path}"),
            status: status.as_u16(),
            problem: value,
        })
    }
}

impl Person {
    /// One call in this person's name; a token that has expired is refreshed on the way.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let tokens = self.tokens();
        match self
            .api
            .call(method.clone(), path, Some(&tokens.access), body)
            .await
        {
            Err(ClientError::Refused { status, .. }) if status == StatusCode::UNAUTHORIZED.as_u16() => {}
            answer => return answer,
        }
        let fresh = match tokens.renewal {
            Renewal::Refresh(token) => {
                let refresh = json!({ "refresh_token": token });
                let path = "/v1/sessions/refresh";
                tokens_of(&self.api.call(Method::POST, path, None, Some(&refresh)).await?)?
            }
            Renewal::Secret(secret) => Tokens {
                access: self.api.bot_token(self.account, &secret).await?,
                renewal: Renewal::Secret(secret),
            },
        };
        *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        self.api.call(method, path, Some(&fresh.access), body).await
    }

    /// `POST` with a body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `GET`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.call(Method::GET, path, None).await
    }

    /// Makes a space where everyone may post and invite; gives its id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_space(&self, name: &str) -> Result<Uuid, ClientError> {
        let made = self
            .post("/v1/spaces", &json!({ "name": name, "preset": "open" }))
            .await?;
        id_of(&made, "id")
    }

    /// Makes a text room and gives its id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_room(&self, space: Uuid, name: &str) -> Result<Uuid, ClientError> {
        let body = json!({ "name": name, "kind": "text" });
        id_of(
            &self.post(&format!("/v1/spaces/{space}/rooms"), &body).await?,
            "id",
        )
    }

    /// Makes an invitation and gives its code.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn invite(&self, space: Uuid) -> Result<String, ClientError> {
        let made = self
            .post(&format!("/v1/spaces/{space}/invites"), &json!({}))
            .await?;
        text_of(&made, "code")
    }

    /// Comes in by an invitation.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn accept(&self, code: &str) -> Result<(), ClientError> {
        self.post(&format!("/v1/invites/{code}/accept"), &json!({}))
            .await
            .map(drop)
    }

    /// A single-use ticket for the WebSocket.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ticket(&self) -> Result<String, ClientError> {
        text_of(&self.post("/v1/realtime/tickets", &json!({})).await?, "ticket")
    }

    /// Address of the WebSocket.
    pub fn realtime_url(&self) -> String {
        format!("{}/v1/realtime", self.api.url.replacen("http", "ws", 1))
    }

    /// The access token, for requests by other means.
    pub fn access_token(&self) -> String {
        self.tokens().access
    }

    fn tokens(&self) -> Tokens {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn tokens_of(session: &Value) -> Result<Tokens, ClientError> {
    Ok(Tokens {
        access: text_of(session, "access_token")?,
        renewal: Renewal::Refresh(text_of(session, "refresh_token")?),
    })
}

fn text_of(value: &Value, field: &str) -> Result<String, ClientError> {
    let text = value[field].as_str().map(str::to_owned);
    text.ok_or_else(|| ClientError::Unexpected(format!("no `{field}` in the answer")))
}

fn id_of(value: &Value, field: &str) -> Result<Uuid, ClientError> {
    let text = text_of(value, field)?;
    text.parse()
        .map_err(|_| ClientError::Unexpected(format!("`{field}` is no id")))
}

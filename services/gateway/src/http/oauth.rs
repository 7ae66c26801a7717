//! `/v1/oauth/token`: tokens for programs (RFC 6749, 4.4).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use uuid::Uuid;
use veza_events::Scopes;
use veza_platform::ambient;
use veza_platform::contract::accounts::IssueBotToken;
use veza_platform::contract::{Caller, Problem, Sensitive};

use super::form::Form;
use super::problem::Failure;
use super::rates::Rates;
use super::tags::Chapter;
use crate::state::Gateway;

/// The one grant there is.
const GRANT: &str = "client_credentials";

/// Operations of OAuth.
pub(super) struct OAuth(pub(super) Arc<Gateway>);

/// What is sent for a token.
#[derive(Object)]
struct TokenRequest {
    /// `client_credentials`.
    grant_type: String,
    /// The bot's account, unless it stands in `Authorization: Basic`.
    client_id: Option<Uuid>,
    /// The secret of one of its keys, unless it stands in `Authorization: Basic`.
    client_secret: Option<String>,
    /// Names with blanks between them; all scopes of the key when absent.
    scope: Option<String>,
}

/// A token.
#[derive(Object)]
#[expect(clippy::struct_field_names, reason = "the names of RFC 6749")]
struct Token {
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// `Bearer`.
    token_type: String,
    /// Its life, in seconds. There is no refresh token: ask again.
    expires_in: u64,
    /// What it is good for.
    scope: String,
}

/// Why there is none (RFC 6749, 5.2).
#[derive(Object)]
struct TokenError {
    /// `invalid_request`, `invalid_client`, `invalid_scope`, `unsupported_grant_type`.
    error: String,
    /// What happened and what to do, for people.
    error_description: String,
    /// Our own code, as everywhere.
    code: String,
}

#[derive(ApiResponse)]
enum Answer {
    /// A token.
    #[oai(status = 200)]
    Issued(Json<Token>),
    /// The request is wrong.
    #[oai(status = 400)]
    Refused(Json<TokenError>),
    /// The bot or its secret is wrong.
    #[oai(status = 401)]
    Unknown(Json<TokenError>, #[oai(header = "WWW-Authenticate")] String),
}

/// What stands in `Authorization: Basic`.
enum Basic {
    /// There is no such header.
    Absent,
    /// It cannot be read.
    Unreadable,
    /// An id and a secret.
    Pair(String, String),
}

impl<'a> FromRequest<'a> for Basic {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let Some(value) = request.headers().get(header::AUTHORIZATION) else {
            return Ok(Self::Absent);
        };
        let read = || {
            let (scheme, text) = value.to_str().ok()?.split_once(' ')?;
            let bytes = BASE64.decode(text.trim()).ok();
            let bytes = bytes.filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
            pair(std::str::from_utf8(&bytes).ok()?)
        };
        Ok(read().map_or(Self::Unreadable, |(id, secret)| Self::Pair(id, secret)))
    }
}

/// Both parts are encoded as in a form (RFC 6749, 2.3.1).
fn pair(text: &str) -> Option<(String, String)> {
    let (id, secret) = text.split_once(':')?;
    let decoded = |text: &str| Some(form_urlencoded::parse(text.as_bytes()).next()?.0.into_owned());
    Some((decoded(id)?, decoded(secret)?))
}

fn refused(error: &str, code: &str, description: impl Into<String>) -> Answer {
    Answer::Refused(Json(TokenError {
        error: error.to_owned(),
        error_description: description.into(),
        code: code.to_owned(),
    }))
}

fn malformed(description: &str) -> Answer {
    refused("invalid_request", "request.malformed", description)
}

/// The id and secret of who asks.
fn credentials(basic: Basic, fields: &mut BTreeMap<String, String>) -> Result<(String, String), Answer> {
    let (id, secret) = (fields.remove("client_id"), fields.remove("client_secret"));
    match (basic, id, secret) {
        (Basic::Pair(id, secret), None, None) | (Basic::Absent, Some(id), Some(secret)) => Ok((id, secret)),
        (Basic::Pair(known, secret), Some(id), None) if id == known => Ok((id, secret)),
        (Basic::Unreadable, ..) => Err(malformed("`Authorization` is no `Basic` that can be read")),
        (Basic::Pair(..), ..) => Err(malformed("name the bot and its secret in one place, not in two")),
        (Basic::Absent, ..) => Err(malformed("`client_id` and `client_secret` are missing")),
    }
}

/// The command that a form asks for.
fn command(basic: Basic, form: Form<TokenRequest>) -> Result<IssueBotToken, Answer> {
    let fields = form.into_fields();
    let mut fields =
        fields.ok_or_else(|| malformed("send `application/x-www-form-urlencoded`, with each name once"))?;
    match fields.get("grant_type").map(String::as_str) {
        Some(GRANT) => {}
        Some(_) => {
            let words = "the only grant is `client_credentials`";
            return Err(refused("unsupported_grant_type", "request.grant_type", words));
        }
        None => return Err(malformed("`grant_type` is missing; it is `client_credentials`")),
    }
    let (id, secret) = credentials(basic, &mut fields)?;
    let scopes = fields.get("scope").map(|text| Scopes::parse(text)).transpose();
    let scopes = scopes.map_err(|unknown| {
        refused(
            "invalid_scope",
            "bot.scope",
            format!("there is no scope `{unknown}`"),
        )
    })?;
    Ok(IssueBotToken {
        // What is no id is nobody's.
        bot: Uuid::try_parse(&id).unwrap_or_default().into(),
        secret: Sensitive::new(secret),
        scopes,
    })
}

fn answer(problem: Problem) -> Result<Answer, Failure> {
    match &*problem.code {
        "bot.scope" => Ok(refused("invalid_scope", &problem.code, problem.detail)),
        "bot.credentials" => {
            let error = TokenError {
                error: "invalid_client".to_owned(),
                error_description: problem.detail,
                code: problem.code,
            };
            Ok(Answer::Unknown(Json(error), "Basic realm=\"veza\"".to_owned()))
        }
        _ => Err(problem.into()),
    }
}

#[OpenApi(tag = "Chapter::Bots")]
impl OAuth {
    /// Trade the secret of a bot's key for an access token of a few minutes. The bot's id and secret stand in the form
    /// or in `Authorization: Basic`.
    #[oai(path = "/v1/oauth/token", method = "post", operation_id = "issue_token")]
    async fn token(&self, rates: Rates, basic: Basic, form: Form<TokenRequest>) -> Result<Answer, Failure> {
        // By address alone: whoever knows a bot's id must not be able to lock it out.
        rates.token()?;
        let command = match command(basic, form) {
            Ok(command) => command,
            Err(refused) => return Ok(refused),
        };
        let caller = Caller {
            command: ambient::new_uuid().into(),
            account: None,
            session: None,
            seen: None,
        };
        match self.0.accounts(&caller, &command).await {
            Ok(token) => Ok(Answer::Issued(Json(Token {
                access_token: token.access_token.expose().to_owned(),
                token_type: "Bearer".to_owned(),
                expires_in: token.expires_in,
                scope: token.scopes.to_string(),
            }))),
            Err(problem) => answer(problem),
        }
    }
}

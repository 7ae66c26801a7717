//! `/v1/accounts/me/notifications`: how one is told while one is away; and the link that ends mail without signing in.

use std::sync::Arc;

use http::StatusCode;
use poem::endpoint::make;
use poem::{Endpoint, Request, Response};
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use veza_platform::ambient;
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::links::{Link, Purpose};
use veza_readmodel::{QuietHours, Ways, is_zone};

use super::body::Json;
use super::problem::Failure;
use super::reply::Found;
use super::session::Session;
use super::tags::Chapter;
use crate::state::Gateway;

/// Longest name of a time zone.
const MAX_ZONE: usize = 64;

/// Operations on how one is told.
pub(super) struct WaysToTell(pub(super) Arc<Gateway>);

/// Of what one is told by mail, at a confirmed address.
#[derive(Clone, Copy, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(remote = "veza_readmodel::MailLevel", rename_all = "snake_case")]
enum MailLevel {
    /// Of nothing.
    Off,
    /// Of mentions, answers and conversations between a few that one has missed for a while.
    Mentions,
    /// Of the same, once a day.
    Daily,
}

/// In which language mails are written.
#[derive(Clone, Copy, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(remote = "veza_readmodel::Language", rename_all = "snake_case")]
enum Language {
    /// English.
    En,
    /// French.
    Fr,
}

/// Hours in which one is left alone; over midnight when they end before they begin.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct Quiet {
    /// When they begin, `22:00`.
    from: String,
    /// When they end, `07:00`.
    to: String,
}

/// How one is told while one is away; it replaces what was chosen before.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
struct Told {
    /// By mail, at a confirmed address.
    mail: MailLevel,
    /// When nothing is told. Mail waits until they end, pushes are left out.
    quiet: Option<Quiet>,
    /// By which clock, `Europe/Paris`; UTC when absent.
    zone: Option<String>,
    /// In which language mails are written; English when absent.
    language: Option<Language>,
}

#[OpenApi(tag = "Chapter::Accounts")]
impl WaysToTell {
    /// How one is told while one is away. Of which messages: see `/v1/notifications`.
    #[oai(
        path = "/v1/accounts/me/notifications",
        method = "get",
        operation_id = "get_ways_to_tell"
    )]
    async fn get(&self, session: Session) -> Result<Found<Told>, Failure> {
        let all = self.0.choices.of(session.account()).await?;
        Ok(Found::new(all.ways.into()))
    }

    /// Choose how one is told while one is away. It holds within seconds, also for what waits to be told.
    #[oai(
        path = "/v1/accounts/me/notifications",
        method = "put",
        operation_id = "choose_ways_to_tell"
    )]
    async fn choose(&self, session: Session, Json(body): Json<Told>) -> Result<Found<Told>, Failure> {
        let chosen = body.read()?;
        let chosen = self
            .0
            .choices
            .choose_ways(session.account(), |ways| ways.clone_from(&chosen));
        Ok(Found::new(chosen.await?.into()))
    }
}

impl Told {
    fn read(self) -> Result<Ways, Problem> {
        let quiet = match &self.quiet {
            Some(quiet) => Some(QuietHours {
                from: minute("quiet.from", &quiet.from)?,
                to: minute("quiet.to", &quiet.to)?,
            }),
            None => None,
        };
        let unknown = |zone: &str| zone.len() > MAX_ZONE || !is_zone(zone);
        if self.zone.as_deref().is_some_and(unknown) {
            let detail = "name a time zone like Europe/Paris";
            return Err(Problem::field("account.zone_unknown", "zone", detail));
        }
        Ok(Ways {
            mail: self.mail.into(),
            quiet,
            zone: self.zone,
            language: self.language.map(Into::into),
        })
    }
}

impl From<Ways> for Told {
    fn from(ways: Ways) -> Self {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        Self {
            mail: ways.mail.into(),
            quiet: ways.quiet.map(|quiet| Quiet {
                from: clock(quiet.from),
                to: clock(quiet.to),
            }),
            zone: ways.zone,
            language: ways.language.map(Into::into),
        }
    }
}

fn minute(field: &str, text: &str) -> Result<u16, Problem> {
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let two = |part: &str| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_digit());
        let (hour, minute) = (
            hour.parse::<u16>().ok().filter(|_| two(hour))?,
            minute.parse::<u16>().ok().filter(|_| two(minute))?,
        );
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    read().ok_or_else(|| Problem::field("account.hours_invalid", field, "write hours like 22:00"))
}

/// Ends the mails of who has the link, at one click of theirs or of their mail program (RFC 8058). Nobody signs in, and
/// whoever makes a link up learns nothing: its tag is looked at before anything else.
pub(super) fn unsubscribe(gateway: Arc<Gateway>) -> impl Endpoint<Output = Response> + 'static {
    make(move |request: Request| {
        let gateway = Arc::clone(&gateway);
        async move {
            end_mail(&gateway, &request).await?;
            Ok::<_, Failure>(Response::builder().status(StatusCode::NO_CONTENT).finish())
        }
    })
}

async fn end_mail(gateway: &Gateway, request: &Request) -> Result<(), Failure> {
    let query = request.uri().query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let token = pairs
        .find(|(name, _)| name == "t")
        .map(|(_, token)| token.into_owned());
    let key = gateway.ledger.keys().installation_key().await?;
    let link = token.and_then(|token| Link::read(&key, Purpose::Unsubscribe, &token, ambient::now()));
    let link = link.ok_or_else(|| {
        let detail = "the link is not good, or not any more; choose in your settings";
        Problem::new(ProblemKind::Gone, "account.link_over", detail)
    })?;
    let off = |ways: &mut Ways| ways.mail = veza_readmodel::MailLevel::Off;
    gateway.choices.choose_ways(link.account, off).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_as_they_are_shown() {
        assert_eq!(minute("quiet.from", "00:00"), Ok(0));
        assert_eq!(minute("quiet.from", "23:59"), Ok(1_439));
        for wrong in ["", "7:00", "24:00", "12:60", "+1:00", "12", "12:0a", "12:00:00"] {
            let refused = minute("quiet.to", wrong).unwrap_err();
            assert_eq!(refused.code, "account.hours_invalid", "{wrong}");
        }
    }
}

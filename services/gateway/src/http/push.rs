//! `/v1/push`: the devices that want to be told while nobody looks.

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_platform::ambient;
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::event_log::Position;
use veza_platform::outgoing::OutgoingError;
use veza_platform::push::{PushSubscription, Receiver};

use super::body::Json;
use super::problem::Failure;
use super::reply::{Changed, Created, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::state::Gateway;

/// Operations on devices.
pub(super) struct Push(pub(super) Arc<Gateway>);

/// What browsers subscribe with.
#[derive(Object)]
struct PushKey {
    /// The `applicationServerKey`: a point of P-256, base64url.
    key: String,
}

/// The keys of a subscription.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct DeviceKeys {
    /// The device's public key.
    p256dh: String,
    /// The device's secret.
    auth: String,
}

/// A subscription as the browser made it.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewDevice {
    /// Where its push service takes messages.
    endpoint: String,
    /// With what they are sealed.
    keys: DeviceKeys,
    /// The key of `GET /v1/push/key` that it was made with; the newest one when absent.
    key: Option<String>,
}

/// A device is told from now on.
#[derive(Object)]
struct DeviceAdded {
    /// Names it.
    id: Uuid,
}

/// A device. Its address is not told again: who has it can knock.
#[derive(Object)]
struct Device {
    /// Names it.
    id: Uuid,
    /// The host of its push service.
    service: String,
    /// The session that made it; with its end it is told no more.
    session: Uuid,
    /// When.
    made_at: OffsetDateTime,
    /// Whether it was made with the newest key.
    newest_key: bool,
}

/// The devices of an account.
#[derive(Object)]
struct Devices {
    /// Oldest first.
    items: Vec<Device>,
}

#[OpenApi(tag = "Chapter::Accounts")]
impl Push {
    /// The key that browsers subscribe with (RFC 8292).
    #[oai(path = "/v1/push/key", method = "get", operation_id = "get_push_key")]
    async fn key(&self, _session: Session) -> Result<Found<PushKey>, Failure> {
        let key = self.0.push_keys.newest().await?;
        Ok(Found::new(PushKey { key }))
    }

    /// Be told on this device, through its maker's service, of what is meant for one while one is away. The words are
    /// sealed for the device. The same address again replaces the device; it is told until its session ends.
    #[oai(
        path = "/v1/push/subscriptions",
        method = "post",
        operation_id = "add_push_subscription"
    )]
    async fn add(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<NewDevice>,
    ) -> Result<Created<DeviceAdded>, Failure> {
        let account = session.account();
        let endpoint = self.0.previews.outgoing().address(&body.endpoint);
        let endpoint = endpoint.map_err(no_endpoint)?;
        Receiver::parse(&body.keys.p256dh, &body.keys.auth)
            .map_err(|error| Problem::field("push.keys_invalid", "keys", error.to_string()))?;
        let key = match body.key {
            Some(key) if self.0.push_keys.has(&key).await? => key,
            Some(_) => {
                let detail = "subscribe with the key of `GET /v1/push/key`";
                return Err(Problem::field("push.key_unknown", "key", detail).into());
            }
            None => self.0.push_keys.newest().await?,
        };
        let caller = once.caller(&self.0, &session).await?;
        let device = PushSubscription {
            id: caller.command.derive(account.uuid(), "push"),
            endpoint: endpoint.into(),
            p256dh: body.keys.p256dh,
            auth: body.keys.auth,
            key,
            session: session.id(),
            made_at: ambient::now().into(),
        };
        let most = self.0.config.push.max_devices_per_account;
        let id = self.0.push.add(account, device, most).await?;
        Ok(Created::new(DeviceAdded { id }))
    }

    /// The devices that are told.
    #[oai(
        path = "/v1/push/subscriptions",
        method = "get",
        operation_id = "list_push_subscriptions"
    )]
    async fn list(&self, session: Session) -> Result<Found<Devices>, Failure> {
        let newest = self.0.push_keys.newest().await?;
        let all = self.0.push.of(session.account()).await?;
        let items = all.into_iter().map(|device| Device {
            id: device.id,
            service: host_of(&device.endpoint),
            session: device.session.uuid(),
            made_at: device.made_at.time(),
            newest_key: device.key == newest,
        });
        Ok(Found::new(Devices {
            items: items.collect(),
        }))
    }

    /// Tell a device no more.
    #[oai(
        path = "/v1/push/subscriptions/:id",
        method = "delete",
        operation_id = "remove_push_subscription"
    )]
    async fn remove(&self, session: Session, id: Path<Uuid>) -> Result<Changed, Failure> {
        if self.0.push.remove(session.account(), *id).await? {
            return Ok(Changed::at(None::<Position>));
        }
        let detail = "there is no such device of yours";
        Err(Problem::new(ProblemKind::NotFound, "push.not_found", detail).into())
    }
}

fn no_endpoint(error: OutgoingError) -> Problem {
    Problem::field("push.endpoint_invalid", "endpoint", error.to_string())
}

fn host_of(endpoint: &str) -> String {
    let uri = endpoint.parse::<http::Uri>().ok();
    let host = uri.and_then(|uri| uri.host().map(str::to_owned));
    host.unwrap_or_default()
}

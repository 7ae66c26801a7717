//! The HTTP API: one file per resource, and around them what all of them share.

mod accounts;
mod api;
mod audit;
mod blocks;
mod body;
mod bots;
mod categories;
mod directs;
mod door;
mod drafts;
mod emails;
mod exports;
mod files;
mod filters;
mod form;
mod fresh;
mod header;
mod held;
mod invites;
mod keys;
mod limits;
mod members;
mod mentions;
mod message;
mod message_rows;
mod messages;
mod metrics;
mod notifications;
mod oauth;
mod origins;
mod overrides;
mod page;
mod pages;
mod permissions;
mod previews;
mod probes;
mod problem;
mod push;
mod raid;
mod ranges;
mod rates;
mod reason;
mod reply;
mod reports;
mod roles;
mod rooms;
mod scheduled;
mod scopes;
mod sdp;
mod search;
mod seen;
mod session;
mod sessions;
mod slash;
mod spaces;
mod streams;
mod tags;
#[cfg(test)]
mod tests;
mod tickets;
mod unread;
mod visit;
mod ways;
mod webhooks;

use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::{Endpoint, EndpointExt, Response, Route, get};

use door::{Door, Rules};
use pages::LinkPage;

use crate::grpc;
use crate::state::Gateway;

pub(crate) use limits::{FORGET_EVERY, Limits};
pub use origins::Origins;
pub(crate) use page::DEFAULT_LIMIT;
pub use problem::Failure;
pub(crate) use session::{Identity, identify};

/// The document about the HTTP API (OpenAPI 3.0, JSON).
pub use api::document;

/// Everything that answers HTTP: the API, the pages, `realtime` at `/v1/realtime`, and `calls` of gRPC.
///
/// # Errors
/// When the settings name an origin that is none.
pub(crate) fn app(
    gateway: &Arc<Gateway>,
    realtime: impl Endpoint<Output = Response> + 'static,
    calls: &Arc<BoxEndpoint<'static>>,
) -> anyhow::Result<(Arc<BoxEndpoint<'static>>, Arc<Limits>)> {
    let rules = Rules {
        origins: Arc::clone(&gateway.origins),
        methods: api::methods(gateway),
        ..Rules::new(&gateway.config)?
    };
    let limits = Arc::clone(&rules.limits);
    let services = grpc::PATHS
        .into_iter()
        .fold(Route::new(), |routes, path| routes.at(path, Arc::clone(calls)));
    let routes = services
        .at("/healthz", get(probes::alive()))
        .at("/readyz", get(probes::ready(Arc::clone(gateway))))
        .at("/docs", get(pages::docs(&api::page())))
        .at("/docs/errors", get(pages::errors()))
        .at(
            "/openapi.json",
            get(pages::document("application/json", &api::document(), None)),
        )
        .at(
            "/asyncapi.json",
            get(pages::document(
                "application/json",
                &crate::realtime::document(),
                None,
            )),
        )
        .at("/sign-in", get(LinkPage::SignIn.endpoint()))
        .at("/confirm-email", get(LinkPage::ConfirmEmail.endpoint()))
        .at("/set-password", get(LinkPage::SetPassword.endpoint()))
        .at(
            "/unsubscribe",
            get(LinkPage::Unsubscribe.endpoint()).post(ways::unsubscribe(Arc::clone(gateway))),
        )
        .at("/.well-known/jwks.json", get(keys::endpoint(Arc::clone(gateway))))
        .at("/v1/realtime", get(realtime))
        .nest("/", api::service(gateway))
        .data(Arc::clone(gateway));
    Ok((
        Arc::new(Door::new(routes, rules, &gateway.metrics).boxed()),
        limits,
    ))
}

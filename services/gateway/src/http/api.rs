//! All operations together, and the document about them.

use std::collections::HashMap;
use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{LicenseObject, OpenApi, OpenApiService};

use super::accounts::Accounts;
use super::audit::Audit;
use super::blocks::Blocks;
use super::bots::Bots;
use super::categories::Categories;
use super::directs::Directs;
use super::drafts::Drafts;
use super::emails::Emails;
use super::exports::Exports;
use super::files::Files;
use super::filters::Filters;
use super::held::HeldMessages;
use super::invites::Invites;
use super::members::Members;
use super::mentions::MentionsInbox;
use super::message::OneMessage;
use super::messages::Messages;
use super::notifications::Notifications;
use super::oauth::OAuth;
use super::overrides::OverridesOf;
use super::previews::LinkPreviews;
use super::push::Push;
use super::raid::Raid;
use super::reports::Reports;
use super::roles::Roles;
use super::rooms::Rooms;
use super::scheduled::ScheduledMessages;
use super::search::Search;
use super::sessions::Sessions;
use super::slash::Slashes;
use super::spaces::Spaces;
use super::streams::Streams;
use super::tickets::TicketDesk;
use super::unread::Unread;
use super::ways::WaysToTell;
use super::webhooks::Webhooks;
use crate::state::Gateway;

type Operations = (
    (Accounts, Emails, Bots, OAuth, Webhooks, Slashes, Exports),
    Sessions,
    Spaces,
    Roles,
    Members,
    Invites,
    Rooms,
    Categories,
    OverridesOf,
    (Audit, Filters, HeldMessages, Reports, Raid, Blocks, Directs),
    (Messages, ScheduledMessages),
    Search,
    (Files, Streams),
    (Unread, MentionsInbox, Drafts, Notifications, WaysToTell, Push),
    (OneMessage, LinkPreviews),
    TicketDesk,
);
type RouteTable = HashMap<String, HashMap<http::Method, BoxEndpoint<'static>>>;

/// What the document says at its beginning.
const DESCRIPTION: &str = "\
Times are RFC 3339 in UTC, ids are UUIDs, sequences are integers. What fails answers `application/problem+json` \
(RFC 9457) with a stable `code`. Writes say in `Veza-Seq` where they lie; a read with that value as \
`Veza-Min-Seq` sees them. The same `Idempotency-Key` with the same body does a thing once and answers the same. An `ETag`, or the `seq` of \
an item in quotes, as `If-Match` of a change guards against overwriting what others did meanwhile: then 412.";

/// The operations of `gateway`.
pub(super) fn service(gateway: &Arc<Gateway>) -> OpenApiService<Operations, ()> {
    described(operations(gateway))
}

/// The methods that each route takes, as `Allow` lists them.
pub(super) fn methods(gateway: &Arc<Gateway>) -> HashMap<String, String> {
    let mut table = RouteTable::new();
    operations(gateway).add_routes(&mut table);
    let listed = |methods: HashMap<http::Method, _>| {
        let mut names: Vec<String> = methods.keys().map(ToString::to_string).collect();
        names.sort_unstable();
        names.join(", ")
    };
    table
        .into_iter()
        .map(|(route, methods)| (route, listed(methods)))
        .collect()
}

/// The document about all operations, without a gateway.
pub fn document() -> String {
    described(Shape).spec() + "\n"
}

/// The page of the document.
pub(super) fn page() -> String {
    described(Shape).swagger_ui_html()
}

fn operations(gateway: &Arc<Gateway>) -> Operations {
    let gateway = || Arc::clone(gateway);
    (
        (
            Accounts(gateway()),
            Emails(gateway()),
            Bots(gateway()),
            OAuth(gateway()),
            Webhooks(gateway()),
            Slashes(gateway()),
            Exports(gateway()),
        ),
        Sessions(gateway()),
        Spaces(gateway()),
        Roles(gateway()),
        Members(gateway()),
        Invites(gateway()),
        Rooms(gateway()),
        Categories(gateway()),
        OverridesOf(gateway()),
        (
            Audit(gateway()),
            Filters(gateway()),
            HeldMessages(gateway()),
            Reports(gateway()),
            Raid(gateway()),
            Blocks(gateway()),
            Directs(gateway()),
        ),
        (Messages(gateway()), ScheduledMessages(gateway())),
        Search(gateway()),
        (Files(gateway()), Streams(gateway())),
        (
            Unread(gateway()),
            MentionsInbox(gateway()),
            Drafts(gateway()),
            Notifications(gateway()),
            WaysToTell(gateway()),
            Push(gateway()),
        ),
        (OneMessage(gateway()), LinkPreviews(gateway())),
        TicketDesk(gateway()),
    )
}

fn described<T: OpenApi>(api: T) -> OpenApiService<T, ()> {
    OpenApiService::new(api, "Veza", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("Apache-2.0").url("https://www.apache.org/licenses/LICENSE-2.0"))
}

/// The operations as far as the document knows them.
struct Shape;

impl OpenApi for Shape {
    fn meta() -> Vec<MetaApi> {
        Operations::meta()
    }

    fn register(registry: &mut Registry) {
        Operations::register(registry);
    }

    fn add_routes(self, _: &mut RouteTable) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        crate::drift::check("schemas/openapi.json", &document());
    }
}

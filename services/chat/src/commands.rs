//! One function per command: who asks, what is decided, where it is appended, what is answered.

mod access;
mod direct;
mod export;
mod files;
mod filters;
mod held;
mod integrations;
mod member;
mod message;
mod post;
mod raid;
mod report;
mod rooms;
pub(crate) mod schedule;
mod space;
mod thread;
mod timeline;

use std::sync::Arc;

use veza_domain::space::SpaceContext;
use veza_events::{AccountId, Timestamp};
use veza_platform::{ambient, bus::Router};

use crate::worker::{View, Worker};

/// Which function takes which command.
pub(crate) fn router(worker: Arc<Worker>) -> Router<Worker> {
    Router::new(worker)
        .on(space::create)
        .on(space::change)
        .on(space::create_room)
        .on(space::change_room)
        .on(direct::open)
        .on(direct::add)
        .on(rooms::place)
        .on(rooms::create_category)
        .on(rooms::change_category)
        .on(rooms::remove_category)
        .on(rooms::set_override)
        .on(rooms::remove_override)
        .on(space::define_role)
        .on(space::remove_role)
        .on(space::create_invite)
        .on(space::revoke_invite)
        .on(member::accept_invite)
        .on(member::bring_bot)
        .on(member::change)
        .on(member::remove)
        .on(post::post)
        .on(post::import)
        .on(message::change)
        .on(thread::open)
        .on(message::delete_all)
        .on(report::file)
        .on(report::resolve)
        .on(filters::set)
        .on(filters::get)
        .on(raid::set)
        .on(raid::switch)
        .on(raid::release)
        .on(raid::get)
        .on(integrations::create_webhook)
        .on(integrations::change_secret)
        .on(integrations::remove_webhook)
        .on(integrations::post)
        .on(integrations::define)
        .on(integrations::remove)
        .on(integrations::call)
        .on(schedule::add)
        .on(schedule::change)
        .on(schedule::cancel)
        .on(held::decide)
        .on(export::may)
        .on(access::get)
}

fn now() -> Timestamp {
    ambient::now().into()
}

/// What decisions about a space look at.
fn asked(view: &View, actor: AccountId) -> SpaceContext<'_> {
    SpaceContext {
        now: now(),
        actor,
        membership: view.membership(),
        target: &view.target.state,
    }
}

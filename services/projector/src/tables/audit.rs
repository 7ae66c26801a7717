//! Table `audit`: who did what to whom in a space. Comings and goings of people by themselves are left out.

use sea_orm::sqlx::PgConnection;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::held::HeldEvent;
use veza_events::member::MemberEvent;
use veza_events::report::ReportEvent;
use veza_events::room::RoomEvent;
use veza_events::space::{SpaceEvent, Whom};
use veza_events::{AccountId, Sealed, SpaceId};

use super::{Moment, Schema, SqlError, text};

#[derive(Default)]
pub(super) struct Audit<'a>(Vec<Row<'a>>);

struct Row<'a> {
    space: Uuid,
    seq: i64,
    at: OffsetDateTime,
    actor: Option<Uuid>,
    action: &'static str,
    target: (&'static str, Uuid),
    reason: Option<&'a str>,
    detail: String,
}

impl<'a> Audit<'a> {
    pub(super) fn space(
        &mut self,
        space: SpaceId,
        moment: Moment,
        actor: Option<AccountId>,
        event: &'a SpaceEvent,
    ) {
        let Some(target) = target(space, event) else {
            return;
        };
        let detail = match event {
            // Whoever has the digest can try codes without asking.
            SpaceEvent::InviteCreated(event) => {
                json!({ "max_uses": event.max_uses, "expires_at": event.expires_at }).to_string()
            }
            SpaceEvent::WebhookCreated(event) => json!({ "room": event.room }).to_string(),
            SpaceEvent::WebhookSecretChanged(_) => "{}".to_owned(),
            event => {
                let body = event.encode().expect("nothing in it is sealed");
                String::from_utf8(body).expect("JSON is UTF-8")
            }
        };
        self.0.push(Row {
            space: space.uuid(),
            seq: moment.seq,
            at: moment.at,
            actor: actor.map(AccountId::uuid),
            action: action(event.kind()),
            target,
            reason: None,
            detail,
        });
    }

    pub(super) fn member(&mut self, moment: Moment, event: &'a MemberEvent) {
        if matches!(
            event,
            MemberEvent::Joined(_) | MemberEvent::Left(_) | MemberEvent::Spoke(_)
        ) {
            return;
        }
        let ((space, account), membership) = (event.of(), event.membership());
        let detail = serde_json::to_string(membership).expect("a membership is plain data");
        self.0.push(Row {
            space: space.uuid(),
            seq: moment.seq,
            at: moment.at,
            actor: Some(event.by().uuid()),
            action: action(event.kind()),
            target: ("account", account.uuid()),
            reason: event.reason(),
            detail,
        });
    }

    /// What somebody did to the words of somebody else.
    pub(super) fn room(&mut self, moment: Moment, event: &'a RoomEvent) {
        let RoomEvent::MessageDeleted(deleted) = event else {
            return;
        };
        if deleted.by == deleted.author {
            return;
        }
        let detail = json!({ "room": deleted.room, "author": deleted.author, "posted": deleted.posted });
        self.0.push(Row {
            space: deleted.space.uuid(),
            seq: moment.seq,
            at: moment.at,
            actor: Some(deleted.by.uuid()),
            action: action(event.kind()),
            target: ("message", deleted.message.uuid()),
            reason: None,
            detail: detail.to_string(),
        });
    }

    /// What came of a report. Who filed one does no deed.
    pub(super) fn report(&mut self, moment: Moment, event: &'a ReportEvent) {
        let ReportEvent::Resolved(resolved) = event else {
            return;
        };
        let detail = json!({ "report": resolved.report, "action": resolved.action });
        self.0.push(Row {
            space: resolved.space.uuid(),
            seq: moment.seq,
            at: moment.at,
            actor: Some(resolved.by.uuid()),
            action: action(event.kind()),
            target: ("message", resolved.message.uuid()),
            reason: resolved.note.as_ref().and_then(Sealed::clear).map(String::as_str),
            detail: detail.to_string(),
        });
    }

    /// What a moderator let be said, or not.
    pub(super) fn held(&mut self, moment: Moment, event: &'a HeldEvent) {
        let (space, message, by, detail) = match event {
            HeldEvent::MessageHeld(_) => return,
            HeldEvent::MessageApproved(event) => {
                let detail = json!({ "room": event.room, "author": event.author });
                (event.space, event.message, event.by, detail)
            }
            HeldEvent::MessageRejected(event) => {
                let detail = json!({ "room": event.room, "author": event.author });
                (event.space, event.message, event.by, detail)
            }
        };
        self.0.push(Row {
            space: space.uuid(),
            seq: moment.seq,
            at: moment.at,
            actor: Some(by.uuid()),
            action: action(event.kind()),
            target: ("message", message.uuid()),
            reason: None,
            detail: detail.to_string(),
        });
    }

    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        if self.0.is_empty() {
            return Ok(0);
        }
        let (mut spaces, mut seqs, mut times, mut actors) = (vec![], vec![], vec![], vec![]);
        let (mut actions, mut kinds, mut targets) = (vec![], vec![], vec![]);
        let (mut reasons, mut details) = (vec![], vec![]);
        for row in &self.0 {
            spaces.push(row.space);
            seqs.push(row.seq);
            times.push(row.at);
            actors.push(row.actor);
            actions.push(row.action);
            kinds.push(row.target.0);
            targets.push(row.target.1);
            reasons.push(row.reason.map(text));
            details.push(row.detail.as_str());
        }
        let sql = "INSERT INTO {s}.audit (space, seq, at, actor, action, target_kind, target, reason, detail)
            SELECT u.space, u.seq, u.at, u.actor, u.action, u.kind, u.target, u.reason, u.detail::jsonb
            FROM unnest($1::uuid[], $2::int8[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[], $7::uuid[],
                $8::text[], $9::text[]) AS u (space, seq, at, actor, action, kind, target, reason, detail)
            ON CONFLICT (space, seq) DO NOTHING";
        let query = schema.query(sql).bind(spaces).bind(seqs).bind(times).bind(actors);
        let query = query.bind(actions).bind(kinds).bind(targets).bind(reasons);
        Ok(query.bind(details).execute(connection).await?.rows_affected())
    }
}

/// The wire name without its version, which is nothing to people.
fn action(kind: &'static str) -> &'static str {
    kind.rsplit_once(".v").map_or(kind, |(name, _)| name)
}

/// What an event was done to; `None` for what is no deed of somebody.
fn target(space: SpaceId, event: &SpaceEvent) -> Option<(&'static str, Uuid)> {
    Some(match event {
        // Nobody watches over a conversation between a few.
        SpaceEvent::Arrived(_)
        | SpaceEvent::InviteUsed(_)
        | SpaceEvent::DirectOpened(_)
        | SpaceEvent::DirectAdded(_) => return None,
        SpaceEvent::Created(_)
        | SpaceEvent::Changed(_)
        | SpaceEvent::FiltersSet(_)
        | SpaceEvent::RaidBrakeSet(_)
        | SpaceEvent::RaidBegun(_)
        | SpaceEvent::RaidEnded(_)
        | SpaceEvent::SlashCommandRemoved(_) => ("space", space.uuid()),
        SpaceEvent::RoleDefined(event) => ("role", event.role.uuid()),
        SpaceEvent::RoleRemoved(event) => ("role", event.role.uuid()),
        SpaceEvent::RoomCreated(event) => ("room", event.room.uuid()),
        SpaceEvent::RoomChanged(event) => ("room", event.room.uuid()),
        SpaceEvent::RoomArchived(event) => ("room", event.room.uuid()),
        SpaceEvent::RoomPlaced(event) => ("room", event.room.uuid()),
        SpaceEvent::CategoryCreated(event) => ("category", event.category.uuid()),
        SpaceEvent::CategoryChanged(event) => ("category", event.category.uuid()),
        SpaceEvent::CategoryRemoved(event) => ("category", event.category.uuid()),
        SpaceEvent::OverrideSet(event) => overridden(event.whom),
        SpaceEvent::OverrideRemoved(event) => overridden(event.whom),
        SpaceEvent::InviteCreated(event) => ("invite", event.invite.uuid()),
        SpaceEvent::InviteRevoked(event) => ("invite", event.invite.uuid()),
        SpaceEvent::WebhookCreated(event) => ("account", event.webhook.uuid()),
        SpaceEvent::WebhookSecretChanged(event) => ("account", event.webhook.uuid()),
        SpaceEvent::WebhookRemoved(event) => ("account", event.webhook.uuid()),
        SpaceEvent::SlashCommandDefined(event) => ("account", event.bot.uuid()),
    })
}

/// Whom; the place stands in the detail.
fn overridden(whom: Whom) -> (&'static str, Uuid) {
    match whom {
        Whom::Role(role) => ("role", role.uuid()),
        Whom::Account(account) => ("account", account.uuid()),
    }
}

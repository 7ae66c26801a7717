//! `/v1/spaces/{space}/filters`

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use uuid::Uuid;
use veza_events::{RoleId, space};
use veza_platform::contract::Caller;
use veza_platform::contract::chat::{GetFilters, SetFilters};

use super::body::Json;
use super::problem::Failure;
use super::reply::{Changed, Found};
use super::seen::Seen;
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::state::Gateway;

/// Operations on the rules for what is said.
pub(super) struct Filters(pub(super) Arc<Gateway>);

/// What a rule looks for in texts.
#[derive(Clone, Copy, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(remote = "space::FilterKind", rename_all = "snake_case")]
enum FilterKind {
    /// Words, whatever their case and accents; `*` stands for any letters.
    Words,
    /// Links that lead elsewhere than to these domains; any links when there are none.
    OnlyLinksTo,
    /// Links to these domains and to what is under them.
    NoLinksTo,
    /// Invitations into other spaces of this installation.
    NoInvites,
}

/// What becomes of a text that a rule catches.
#[derive(Clone, Copy, Default, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(remote = "space::FilterAction", rename_all = "snake_case")]
enum FilterAction {
    /// It is refused with `message.filtered`.
    #[default]
    Refuse,
    /// It waits for a moderator (`/v1/held`). With files, and as a new text of a message, it is refused.
    Hold,
}

/// What must not be said.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none)]
struct FilterRule {
    /// What it is called; who is refused by it is told.
    name: String,
    /// What it looks for.
    kind: FilterKind,
    /// The words or domains.
    #[serde(default)]
    #[oai(default)]
    entries: Vec<String>,
    /// For how many seconds who says it nevertheless may only read; not at all when absent.
    time_out_s: Option<u32>,
    /// What becomes of what it catches; `refuse` when absent. One that holds does not time out.
    action: Option<FilterAction>,
    /// Roles whose holders may say it. Who may `manage_messages` may always.
    #[serde(default)]
    #[oai(default)]
    exempt: Vec<Uuid>,
}

/// The rules for what is said in a space.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct FilterRules {
    /// In the order in which they are looked at; at most 50, with 1,000 words and domains in all.
    rules: Vec<FilterRule>,
}

impl From<FilterRule> for space::FilterRule {
    fn from(rule: FilterRule) -> Self {
        Self {
            name: rule.name,
            kind: rule.kind.into(),
            entries: rule.entries,
            time_out_s: rule.time_out_s,
            action: rule.action.unwrap_or_default().into(),
            exempt: rule.exempt.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<space::FilterRule> for FilterRule {
    fn from(rule: space::FilterRule) -> Self {
        Self {
            name: rule.name,
            kind: rule.kind.into(),
            entries: rule.entries,
            time_out_s: rule.time_out_s,
            action: (rule.action == space::FilterAction::Hold).then_some(FilterAction::Hold),
            exempt: rule.exempt.into_iter().map(RoleId::uuid).collect(),
        }
    }
}

#[OpenApi(tag = "Chapter::Moderation")]
impl Filters {
    /// The rules for what is said in a space, for those who may `manage_space` or `manage_messages`.
    #[oai(
        path = "/v1/spaces/:space/filters",
        method = "get",
        operation_id = "get_filters"
    )]
    async fn get(&self, session: Session, space: Path<Uuid>) -> Result<Found<FilterRules>, Failure> {
        let caller = Caller::asking(session.account());
        let space = (*space).into();
        let found = self.0.chat(&caller, &GetFilters { space }).await?;
        let rules = found.rules.into_iter().map(Into::into).collect();
        Ok(Found::tagged(FilterRules { rules }, found.seq))
    }

    /// Let these be the rules for what is said in a space, and no others. Needs `manage_space`.
    ///
    /// A message, or a new text of one, that a rule catches is refused with `message.filtered`, or
    /// waits for a moderator, as the rule says.
    #[oai(
        path = "/v1/spaces/:space/filters",
        method = "put",
        operation_id = "set_filters"
    )]
    async fn set(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "If-Match")] seen: Seen,
        space: Path<Uuid>,
        Json(body): Json<FilterRules>,
    ) -> Result<Changed, Failure> {
        let command = SetFilters {
            space: (*space).into(),
            rules: body.rules.into_iter().map(Into::into).collect(),
        };
        once.change_seen(&self.0, &session, seen, &command).await
    }
}

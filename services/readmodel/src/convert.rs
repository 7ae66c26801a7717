//! Table rows into what doors are told.

use sea_orm::DbErr;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::{Permissions, space::Whom};

use crate::ReadError;
use crate::entity::{account, category, invite, member, permission_override, role, room, session, space};
use crate::rows::{
    Account, Category, Invite, List, Member, Override, PageOf, PrivateAccount, Role, Room, Session, Space,
};

impl From<account::Model> for PrivateAccount {
    fn from(row: account::Model) -> Self {
        Self {
            account: Account {
                id: row.account.into(),
                handle: row.handle,
                display_name: row.display_name,
                bot: row.bot,
                seq: row.seq.cast_unsigned(),
            },
            email: row.email,
            email_confirmed: row.email_confirmed,
            // A role that only a newer version knows means nothing here.
            roles: row.roles.iter().filter_map(|role| named(role).ok()).collect(),
            registered_at: row.registered_at.into(),
        }
    }
}

impl From<session::Model> for Session {
    fn from(row: session::Model) -> Self {
        Self {
            id: row.session.into(),
            device: row.device,
            started_at: row.started_at.into(),
            expires_at: row.expires_at.into(),
            seq: row.seq.cast_unsigned(),
        }
    }
}

impl TryFrom<space::Model> for Space {
    type Error = DbErr;

    fn try_from(row: space::Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.space.into(),
            name: row.name,
            owner: row.owner.into(),
            created_at: row.created_at.into(),
            history: named(&row.history)?,
            previews: row.previews,
            seq: row.seq.cast_unsigned(),
        })
    }
}

impl TryFrom<role::Model> for Role {
    type Error = DbErr;

    fn try_from(row: role::Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.role.into(),
            name: row.name,
            permissions: permissions(&row.permissions),
            rank: number(row.rank, "rank")?,
            seq: row.seq.cast_unsigned(),
        })
    }
}

impl TryFrom<(room::Model, i64)> for Room {
    type Error = DbErr;

    fn try_from((row, head): (room::Model, i64)) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.room.into(),
            space: row.space.into(),
            name: row.name,
            topic: row.topic,
            kind: named(&row.kind)?,
            archived: row.archived,
            created_at: row.created_at.into(),
            seq: row.seq.cast_unsigned(),
            head: head.cast_unsigned(),
            category: row.category.map(Into::into),
            position: number(row.position, "position")?,
            slow_mode_s: number(row.slow_mode_s, "slow_mode_s")?,
            history: named(&row.history)?,
        })
    }
}

impl TryFrom<category::Model> for Category {
    type Error = DbErr;

    fn try_from(row: category::Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.category.into(),
            name: row.name,
            position: number(row.position, "position")?,
            seq: row.seq.cast_unsigned(),
        })
    }
}

impl TryFrom<permission_override::Model> for Override {
    type Error = DbErr;

    fn try_from(row: permission_override::Model) -> Result<Self, DbErr> {
        let whom = match row.whom_kind.as_str() {
            "role" => Whom::Role(row.whom.into()),
            "account" => Whom::Account(row.whom.into()),
            other => return Err(DbErr::Type(format!("nobody is `{other}`"))),
        };
        Ok(Self {
            whom,
            allow: permissions(&row.allow),
            deny: permissions(&row.deny),
            seq: row.seq.cast_unsigned(),
        })
    }
}

/// What a row says of the account beside it: handle, name shown, whether it is a bot.
pub(crate) type Named = (Option<String>, Option<String>, bool);
/// When the last raid on the space was ended.
pub(crate) type Released = Option<OffsetDateTime>;

impl TryFrom<(member::Model, Named, Released)> for Member {
    type Error = DbErr;

    fn try_from(
        (row, (handle, display_name, bot), released): (member::Model, Named, Released),
    ) -> Result<Self, DbErr> {
        // Who came before a raid was ended is held no more.
        let counts = released.is_none_or(|released| row.held_since.is_some_and(|since| since > released));
        Ok(Self {
            account: row.account.into(),
            standing: named(&row.standing)?,
            roles: row.roles.into_iter().map(Into::into).collect(),
            muted: row.muted,
            timed_out_until: row.timed_out_until.map(Into::into),
            held_until: row.held_until.filter(|_| counts).map(Into::into),
            joined_at: row.since.into(),
            handle,
            display_name,
            bot,
            seq: row.seq.cast_unsigned(),
        })
    }
}

impl TryFrom<invite::Model> for Invite {
    type Error = DbErr;

    fn try_from(row: invite::Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.invite.into(),
            by: row.created_by.into(),
            max_uses: row.max_uses.map(|uses| number(uses, "max_uses")).transpose()?,
            uses: number(row.uses, "uses")?,
            expires_at: row.expires_at.map(Into::into),
            created_at: row.created_at.into(),
            seq: row.seq.cast_unsigned(),
        })
    }
}

/// The set of names; one that only a newer version knows means nothing here.
fn permissions(names: &[String]) -> Permissions {
    names.iter().filter_map(|name| named(name).ok()).collect()
}

/// Reads an enum by the name it has in events.
fn named<T: DeserializeOwned>(name: &str) -> Result<T, DbErr> {
    serde_json::from_value(name.into()).map_err(|error| DbErr::Type(error.to_string()))
}

fn number<T: TryFrom<N>, N>(value: N, column: &str) -> Result<T, DbErr> {
    T::try_from(value).map_err(|_| DbErr::Type(format!("`{column}` is out of range")))
}

impl PageOf {
    /// What the page begins behind, and how many items it has at most.
    pub(crate) fn bounds(&self) -> Result<(Option<Uuid>, usize), ReadError> {
        let after = self
            .cursor
            .as_deref()
            .map(|text| Uuid::try_parse(text).map_err(|_| ReadError::BadCursor));
        Ok((after.transpose()?, usize::from(self.limit.clamp(1, Self::MAX))))
    }
}

impl PageOf {
    /// As [`Self::bounds`], for lists that go on behind a number.
    pub(crate) fn after(&self) -> Result<(u64, usize), ReadError> {
        let after = self
            .cursor
            .as_deref()
            .map(|text| text.parse().map_err(|_| ReadError::BadCursor));
        let after = after.transpose()?.unwrap_or(0);
        Ok((after, usize::from(self.limit.clamp(1, Self::MAX))))
    }
}

impl<T> List<T> {
    /// As [`Self::cut`], with another cursor than an id.
    pub(crate) fn cut_by(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }

    /// A page out of rows of which one more than `limit` was asked for.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> Uuid) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| id(last).simple().to_string());
        Self { items, next }
    }
}

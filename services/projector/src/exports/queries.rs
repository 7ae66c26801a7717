//! What the lines of an export are made of. Postgres writes them: `format` has their fields. The ids that stand in
//! the statements are ids, and nothing else.

use uuid::Uuid;

/// A file's place in the archive: its id, and what is harmless of its name.
const PATH: &str = r"'files/' || f.attachment
    || COALESCE('-' || left(regexp_replace(f.about::json ->> 'name', '[^[:alnum:]._-]+', '_', 'g'), 80), '')";

pub(super) fn account(account: Uuid) -> String {
    format!(
        "SELECT json_strip_nulls(json_build_object('account', a.account, 'handle', a.handle, 'email', a.email,
            'email_confirmed', a.email_confirmed,
            'display_name', a.display_name, 'roles', a.roles, 'registered_at', a.registered_at,
            'sessions', COALESCE((SELECT json_agg(json_build_object('session', s.session, 'device', s.device,
                'started_at', s.started_at, 'expires_at', s.expires_at) ORDER BY s.started_at)
                FROM read.session s WHERE s.account = a.account), '[]'),
            'blocked', COALESCE((SELECT json_agg(b.blocked ORDER BY b.seq) FROM read.account_block b
                WHERE b.account = a.account), '[]')))::text
        FROM read.account a WHERE a.account = '{account}'"
    )
}

pub(super) fn memberships(account: Uuid) -> String {
    format!(
        "SELECT json_strip_nulls(json_build_object('space', m.space, 'kind', COALESCE(d.kind, 'space'),
            'name', s.name, 'since', m.since, 'roles', ARRAY(SELECT r.name FROM read.role r
                WHERE r.space = m.space AND r.role = ANY(m.roles) ORDER BY r.rank DESC, r.name)))::text
        FROM read.member m LEFT JOIN read.space s ON s.space = m.space LEFT JOIN read.direct d ON d.space = m.space
        WHERE m.account = '{account}' AND m.standing = 'joined' ORDER BY m.since, m.space"
    )
}

const ROOM: &str = "json_strip_nulls(json_build_object('room', r.room, 'space', r.space, 'name', r.name,
    'topic', NULLIF(r.topic, ''), 'kind', r.kind, 'archived', r.archived))::text";

/// The rooms in which the account has said something.
pub(super) fn rooms_of_account(account: Uuid) -> String {
    format!(
        "SELECT {ROOM} FROM read.room r WHERE r.room IN (SELECT COALESCE(t.room, m.room) FROM read.message m
            LEFT JOIN read.thread t ON t.thread = m.room WHERE m.author = '{account}') ORDER BY r.space, r.room"
    )
}

pub(super) fn reactions(account: Uuid) -> String {
    format!(
        "SELECT json_build_object('message', r.message, 'room', m.room, 'emoji', r.emoji)::text
        FROM read.reaction r JOIN read.message m ON m.message = r.message
        WHERE r.account = '{account}' ORDER BY r.seq"
    )
}

pub(super) fn scheduled(account: Uuid) -> String {
    format!(
        "SELECT json_strip_nulls(json_build_object('scheduled', s.scheduled, 'space', s.space, 'room', s.room,
            'body', s.body, 'reply_to', s.reply_to, 'at', s.at, 'created_at', s.created_at, 'refused', s.refused))::text
        FROM read.scheduled s WHERE s.account = '{account}' ORDER BY s.at, s.scheduled"
    )
}

pub(super) fn held(account: Uuid) -> String {
    format!(
        "SELECT json_strip_nulls(json_build_object('message', h.message, 'space', h.space, 'room', h.room,
            'body', h.body, 'reply_to', h.reply_to, 'held_at', h.held_at))::text
        FROM read.held h WHERE h.author = '{account}' ORDER BY h.held_at, h.message"
    )
}

/// Which messages an export has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// Those of an account.
    By(Uuid),
    /// Those of a space.
    In(Uuid),
}

impl Which {
    fn filter(self) -> String {
        match self {
            Self::By(account) => format!("m.author = '{account}'"),
            Self::In(space) => format!(
                "m.room IN (SELECT room FROM read.room WHERE space = '{space}'
                    UNION ALL SELECT thread FROM read.thread WHERE space = '{space}')"
            ),
        }
    }

    fn reactions(self) -> &'static str {
        match self {
            Self::By(_) => "'[]'::json",
            Self::In(_) => {
                "COALESCE((SELECT json_agg(json_build_object('emoji', r.emoji, 'account', r.account) ORDER BY r.seq)
                    FROM read.reaction r WHERE r.message = m.message), '[]')"
            }
        }
    }
}

pub(super) fn count(which: Which) -> String {
    format!("SELECT count(*) FROM read.message m WHERE {}", which.filter())
}

/// Room and line of each message, room by room.
pub(super) fn messages(which: Which) -> String {
    format!(
        "SELECT COALESCE(t.room, m.room), json_strip_nulls(json_build_object('message', m.message, 'seq', m.seq,
            'space', m.space, 'room', COALESCE(t.room, m.room), 'thread_of', t.message, 'author', m.author,
            'author_handle', a.handle, 'body', m.body, 'reply_to', m.reply_to, 'posted_at', m.posted_at,
            'edited_at', m.edited_at, 'deleted_at', m.deleted_at, 'pinned', m.pinned IS NOT NULL, 'imported', m.imported,
            'edits', COALESCE((SELECT json_agg(json_build_object('body', e.body, 'written_at', e.written_at)
                ORDER BY e.seq) FROM read.message_edit e WHERE e.message = m.message), '[]'),
            'reactions', {reactions},
            'attachments', COALESCE((SELECT json_agg(json_build_object('attachment', f.attachment, 'kind', f.kind,
                'size', f.size, 'path', {PATH}, 'about', f.about::json) ORDER BY f.place)
                FROM read.attachment f WHERE f.message = m.message AND f.removed IS NULL), '[]')))::text
        FROM read.message m LEFT JOIN read.thread t ON t.thread = m.room
            LEFT JOIN read.account a ON a.account = m.author
        WHERE {filter} ORDER BY COALESCE(t.room, m.room), m.seq",
        reactions = which.reactions(),
        filter = which.filter()
    )
}

/// Id, place and size of each file.
pub(super) fn files(which: Which) -> String {
    format!(
        "SELECT f.attachment, {PATH}, f.size FROM read.attachment f JOIN read.message m ON m.message = f.message
        WHERE f.removed IS NULL AND {} ORDER BY f.attachment",
        which.filter()
    )
}

pub(super) fn space(space: Uuid) -> String {
    format!(
        "SELECT json_build_object('space', s.space, 'name', s.name, 'owner', s.owner, 'created_at', s.created_at,
            'roles', COALESCE((SELECT json_agg(json_build_object('role', r.role, 'name', r.name, 'rank', r.rank,
                'permissions', r.permissions) ORDER BY r.rank DESC, r.role) FROM read.role r
                WHERE r.space = s.space), '[]'))::text
        FROM read.space s WHERE s.space = '{space}'"
    )
}

pub(super) fn members(space: Uuid) -> String {
    format!(
        "SELECT json_strip_nulls(json_build_object('account', m.account, 'handle', a.handle,
            'display_name', a.display_name, 'standing', m.standing, 'roles', m.roles, 'since', m.since))::text
        FROM read.member m LEFT JOIN read.account a ON a.account = m.account
        WHERE m.space = '{space}' ORDER BY m.since, m.account"
    )
}

pub(super) fn rooms_of_space(space: Uuid) -> String {
    format!(
        "SELECT {ROOM} FROM read.room r WHERE r.space = '{space}' ORDER BY r.position, r.created_at, r.room"
    )
}

//! The rows of the HTTP API, in the document's order.

use super::{Row, Who, row};

const fn with_query(query: &'static str, row: Row) -> Row {
    Row { query, ..row }
}

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = {
    use Who::{Anybody, Holds, Maker, MakerOr, Sees, SignedIn};
    &[
        row("POST /v1/accounts", Anybody, r#"{"handle":"{handle}","email":"{handle}@example.org","password":"correct horse battery staple"}"#),
        row("GET /v1/accounts/me", SignedIn, ""),
        row("PATCH /v1/accounts/me", SignedIn, r#"{"display_name":"Me"}"#),
        row("GET /v1/accounts/{account}", SignedIn, ""),
        row("POST /v1/sessions", Anybody, r#"{"login":"owner","password":"correct horse battery staple"}"#),
        row("GET /v1/sessions", SignedIn, ""),
        row("DELETE /v1/sessions/{session_id}", Maker(None), ""),
        row("POST /v1/spaces", SignedIn, r#"{"name":"Another"}"#),
        row("GET /v1/spaces", SignedIn, ""),
        row("GET /v1/spaces/{space}", Sees, ""),
        row("PATCH /v1/spaces/{space}", Holds("manage_space"), r#"{"name":"Lab"}"#),
        row("GET /v1/spaces/{space}/roles", Sees, ""),
        row("PUT /v1/spaces/{space}/roles/{role}", Holds("manage_roles"), r#"{"name":"{role}","permissions":[],"rank":1}"#),
        row("DELETE /v1/spaces/{space}/roles/{role}", Holds("manage_roles"), ""),
        row("GET /v1/spaces/{space}/members", Sees, ""),
        row("PUT /v1/spaces/{space}/members/{account}", Holds("mute"), r#"{"muted":true}"#),
        row("PUT /v1/spaces/{space}/members/{account}", Holds("mute"), r#"{"time_out_s":60}"#),
        row("PUT /v1/spaces/{space}/members/{account}", Holds("ban"), r#"{"banned":true}"#),
        row("PUT /v1/spaces/{space}/members/{account}", Holds("manage_roles"), r#"{"roles":["{role}"]}"#),
        row("DELETE /v1/spaces/{space}/members/{account}", Holds("remove"), ""),
        row("POST /v1/spaces/{space}/invites", Holds("invite"), "{}"),
        row("GET /v1/spaces/{space}/invites", Holds("invite"), ""),
        row("DELETE /v1/spaces/{space}/invites/{invite}", MakerOr("invite", "manage_space"), ""),
        row("POST /v1/spaces/{space}/rooms", Holds("manage_rooms"), r#"{"name":"{handle}"}"#),
        row("GET /v1/spaces/{space}/rooms", Sees, ""),
        row("GET /v1/rooms/{room}", Sees, ""),
        row("PATCH /v1/rooms/{room}", Holds("manage_rooms"), r#"{"topic":"new"}"#),
        row("PUT /v1/rooms/{room}/place", Holds("manage_rooms"), r#"{"position":3}"#),
        row("GET /v1/spaces/{space}/categories", Sees, ""),
        row("POST /v1/spaces/{space}/categories", Holds("manage_rooms"), r#"{"name":"{handle}"}"#),
        row("PATCH /v1/spaces/{space}/categories/{category}", Holds("manage_rooms"), r#"{"name":"{handle}"}"#),
        row("DELETE /v1/spaces/{space}/categories/{category}", Holds("manage_rooms"), ""),
        row("GET /v1/rooms/{room}/overrides", Holds("manage_roles"), ""),
        with_query("?kind=account", row("PUT /v1/rooms/{room}/overrides/{whom}", Holds("manage_roles"), r#"{"deny":["view"]}"#)),
        with_query("?kind=account", row("DELETE /v1/rooms/{room}/overrides/{whom}", Holds("manage_roles"), "")),
        row("GET /v1/spaces/{space}/categories/{category}/overrides", Holds("manage_roles"), ""),
        with_query("?kind=account", row("PUT /v1/spaces/{space}/categories/{category}/overrides/{whom}", Holds("manage_roles"), r#"{"deny":["view"]}"#)),
        with_query("?kind=account", row("DELETE /v1/spaces/{space}/categories/{category}/overrides/{whom}", Holds("manage_roles"), "")),
        row("GET /v1/spaces/{space}/audit", Holds("view_audit"), ""),
        row("GET /v1/accounts/me/blocks", SignedIn, ""),
        row("PUT /v1/accounts/me/blocks/{account}", SignedIn, ""),
        row("DELETE /v1/accounts/me/blocks/{account}", SignedIn, ""),
        row("POST /v1/directs", SignedIn, r#"{"accounts":["{account}"]}"#),
        row("GET /v1/directs", SignedIn, ""),
        row("PUT /v1/directs/{direct}/members/{account}", Maker(None), ""),
        row("DELETE /v1/directs/{direct}/members/me", Maker(None), ""),
        row("POST /v1/rooms/{room}/messages", Holds("post"), r#"{"body":"hi"}"#),
        row("GET /v1/rooms/{room}/messages", Sees, ""),
        with_query("?q=hello&space={space}", row("GET /v1/search", Sees, "")),
        with_query("?q=hello&room={room}", row("GET /v1/search", Sees, "")),
        with_query("?name=notes.txt", row("POST /v1/rooms/{room}/uploads", Holds("attach"), "some words")),
        row("GET /v1/attachments/{id}", Sees, ""),
        row("PUT /v1/rooms/{room}/read", Sees, r#"{"seq":1}"#),
        row("GET /v1/unread", SignedIn, ""),
        row("GET /v1/mentions", SignedIn, ""),
        row("GET /v1/notifications", SignedIn, ""),
        row("PUT /v1/spaces/{space}/notifications", Sees, r#"{"level":"all"}"#),
        row("PUT /v1/rooms/{room}/notifications", Sees, r#"{"level":"all"}"#),
        row("GET /v1/messages/{message}", Sees, ""),
        row("PATCH /v1/messages/{message}", Maker(Some("post")), r#"{"body":"hello again"}"#),
        row("DELETE /v1/messages/{message}", MakerOr("post", "manage_messages"), ""),
        row("GET /v1/messages/{message}/edits", Sees, ""),
        row("PUT /v1/messages/{message}/reactions/{emoji}", Holds("react"), ""),
        row("GET /v1/messages/{message}/reactions/{emoji}", Sees, ""),
        row("PUT /v1/messages/{message}/pin", Holds("manage_messages"), ""),
        row("DELETE /v1/messages/{message}/pin", Holds("manage_messages"), ""),
        row("GET /v1/rooms/{room}/pins", Sees, ""),
        row("POST /v1/messages/{message}/thread", Holds("post"), ""),
        row("POST /v1/realtime/tickets", SignedIn, ""),
    ]
};

/// Operations that have a test of their own for who may: their object is a secret of the caller's.
pub(crate) const ELSEWHERE: &[&str] = &[
    "PUT /v1/accounts/me/password",
    "POST /v1/sessions/link",
    "POST /v1/sessions/refresh",
    "DELETE /v1/sessions/current",
    "POST /v1/invites/{code}/accept",
    "GET /v1/attachments/{id}/thumbnail",
    "DELETE /v1/messages/{message}/reactions/{emoji}",
];

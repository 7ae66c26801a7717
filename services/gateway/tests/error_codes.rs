//! Every code that a caller can meet is explained in `docs/errors.md`, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// First parts of codes.
const AGGREGATES: [&str; 32] = [
    "slash",
    "webhook",
    "account",
    "attachment",
    "bot",
    "call",
    "category",
    "command",
    "connection",
    "direct",
    "draft",
    "export",
    "filter",
    "frame",
    "handle",
    "held",
    "invite",
    "member",
    "override",
    "platform",
    "push",
    "raid",
    "report",
    "request",
    "role",
    "room",
    "schedule",
    "search",
    "session",
    "space",
    "ticket",
    "message",
];
/// Texts of the same form that are no codes: fields of log lines, kinds of notices.
const NO_CODES: [&str; 26] = [
    "attachment.id",
    "room.id",
    "account.id",
    "space.id",
    "session.id",
    "message.id",
    "account.read",
    "account.notifications",
    "account.draft",
    "account.export",
    "call.join",
    "call.offer",
    "call.candidate",
    "call.publish",
    "call.unpublish",
    "call.mute",
    "call.moderate",
    "call.viewport",
    "call.leave",
    "call.joined",
    "call.answer",
    "call.published",
    "call.event",
    "call.slots",
    "call.speakers",
    "call.reconnect",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Sources that can speak to callers.
fn sources() -> Vec<PathBuf> {
    let roles = ["accounts", "chat", "gateway", "media", "platform"];
    let mut folders: Vec<PathBuf> = roles
        .iter()
        .map(|role| root().join("services").join(role).join("src"))
        .collect();
    folders.push(root().join("domain/src"));
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the sources are there") {
            let path = entry.expect("a folder can be read").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() && !matches!(&*name, "tests" | "config" | "telemetry") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") && name != "tests.rs" {
                files.push(path);
            }
        }
    }
    files
}

/// The codes that a source names outside of its tests.
fn codes_in(source: &str) -> impl Iterator<Item = &str> {
    let source = source
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let code_lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code_lines
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter(|text| {
            let Some((aggregate, reason)) = text.split_once('.') else {
                return false;
            };
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            AGGREGATES.contains(&aggregate) && !reason.is_empty() && reason.chars().all(plain)
        })
}

#[test]
fn every_code_is_explained_and_nothing_else() {
    let mut named: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in sources() {
        let source = std::fs::read_to_string(&file).unwrap();
        for code in codes_in(&source).filter(|code| !NO_CODES.contains(code)) {
            named.insert(code.to_owned(), file.clone());
        }
    }
    let page = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let explained: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(code, _)| code))
        .collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|(code, _)| !explained.contains(code.as_str()))
        .collect();
    assert!(missing.is_empty(), "explain in docs/errors.md: {missing:#?}");
    let stale: Vec<_> = explained
        .iter()
        .filter(|code| !named.contains_key(**code))
        .collect();
    assert!(stale.is_empty(), "nobody says this any more: {stale:?}");
}

//! Mattermost's bulk format: one JSON object a line (`mmctl export create`), alone or in a ZIP with `data/`.
//! <https://docs.mattermost.com/onboard/bulk-loading-data.html>

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::item::{Channel, Found, Message, milliseconds};
use super::pack::Pack;

/// Longest line.
const MAX_LINE: u64 = 16 * 1_024 * 1_024;
/// The version of the format that is understood.
const VERSION: i64 = 1;

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    version: Option<i64>,
    channel: Option<ChannelLine>,
    user: Option<UserLine>,
    post: Option<PostLine>,
}

#[derive(Deserialize)]
struct ChannelLine {
    team: String,
    name: String,
    #[serde(default)]
    display_name: String,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct UserLine {
    username: String,
    #[serde(default)]
    nickname: String,
    #[serde(default)]
    first_name: String,
    #[serde(default)]
    last_name: String,
}

#[derive(Deserialize)]
struct PostLine {
    team: String,
    channel: String,
    #[serde(flatten)]
    said: Said,
    #[serde(default)]
    replies: Option<Vec<Said>>,
}

#[derive(Deserialize)]
struct Said {
    user: String,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    message: String,
    create_at: i64,
    #[serde(default)]
    reactions: Option<Vec<ReactionLine>>,
    #[serde(default)]
    attachments: Option<Vec<AttachmentLine>>,
}

#[derive(Deserialize)]
struct ReactionLine {
    emoji_name: String,
}

#[derive(Deserialize)]
struct AttachmentLine {
    path: String,
}

/// Where the files of an export at `path` are.
pub(crate) fn open(path: &Path, most: u64) -> anyhow::Result<Pack> {
    if is_zip(path) {
        Pack::zip(path, most)
    } else {
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Pack::Folder(folder.to_owned()))
    }
}

fn is_zip(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

/// Tells `take` of everything in the export, in its order.
pub(crate) fn read(
    path: &Path,
    most: u64,
    take: &mut dyn FnMut(Found) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match open(path, most)? {
        Pack::Folder(_) => {
            let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
            lines(&mut BufReader::new(file), take)
        }
        pack @ Pack::Zip(_) => {
            let is_list = |name: &&String| {
                !name.contains('/') && Path::new(name).extension().is_some_and(|end| end == "jsonl")
            };
            let name = pack.names().iter().find(is_list).cloned();
            let name = name.context("there is no .jsonl file in the archive")?;
            let Pack::Zip(mut zip) = pack else { return Ok(()) };
            lines(&mut BufReader::new(zip.by_name(&name)?), take)
        }
    }
}

fn lines(source: &mut impl BufRead, take: &mut dyn FnMut(Found) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut names = HashMap::new();
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        let read = source.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            ensure!(number > 1, "the file is empty");
            return Ok(());
        }
        ensure!(
            read as u64 <= MAX_LINE,
            "line {number} is longer than {MAX_LINE} bytes"
        );
        if line.trim_ascii().is_empty() {
            continue;
        }
        let parsed: Line = serde_json::from_slice(&line).with_context(|| format!("line {number}"))?;
        let version = parsed.kind == "version" && parsed.version == Some(VERSION);
        ensure!(
            number > 1 || version,
            "the first line does not say version {VERSION} of Mattermost's bulk format"
        );
        one(parsed, &mut names, take).with_context(|| format!("line {number}"))?;
    }
}

fn one(
    line: Line,
    names: &mut HashMap<String, String>,
    take: &mut dyn FnMut(Found) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match line.kind.as_str() {
        "version" | "team" | "role" | "scheme" | "info" => Ok(()),
        "channel" => {
            let channel = line.channel.context("a channel without `channel`")?;
            let name = if channel.display_name.is_empty() {
                channel.name.clone()
            } else {
                channel.display_name
            };
            take(Found::Channel(Channel {
                key: format!("{}/{}", channel.team, channel.name),
                name,
                private: channel.kind == "P",
            }))
        }
        "user" => {
            let user = line.user.context("a user without `user`")?;
            let full = format!("{} {}", user.first_name, user.last_name);
            let full = Some(full.trim().to_owned()).filter(|full| !full.is_empty());
            let shown = Some(user.nickname).filter(|name| !name.is_empty()).or(full);
            names.insert(user.username.clone(), shown.unwrap_or(user.username));
            Ok(())
        }
        "post" => post(line.post.context("a post without `post`")?, names, take),
        "direct_channel" => take(Found::Skipped("direct channel: its people have no accounts here")),
        "direct_post" => take(Found::Skipped("direct message: its people have no accounts here")),
        "emoji" => take(Found::Skipped("custom emoji")),
        "bot" => take(Found::Skipped("bot")),
        _ => take(Found::Skipped("kind of line that is not known")),
    }
}

fn post(
    post: PostLine,
    names: &HashMap<String, String>,
    take: &mut dyn FnMut(Found) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let channel = format!("{}/{}", post.team, post.channel);
    let root = format!("{channel}/{}/{}", post.said.user, post.said.create_at);
    take(message(post.said, root.clone(), &channel, None, names)?)?;
    for reply in post.replies.unwrap_or_default() {
        let key = format!("{root}/{}/{}", reply.user, reply.create_at);
        take(message(reply, key, &channel, Some(root.clone()), names)?)?;
    }
    Ok(())
}

fn message(
    said: Said,
    key: String,
    channel: &str,
    reply_to: Option<String>,
    names: &HashMap<String, String>,
) -> anyhow::Result<Found> {
    if said
        .kind
        .as_deref()
        .is_some_and(|kind| kind.starts_with("system_"))
    {
        return Ok(Found::Skipped("notice of the system"));
    }
    let mut reactions: Vec<(String, u64)> = Vec::new();
    for ReactionLine { emoji_name } in said.reactions.unwrap_or_default() {
        match reactions.iter_mut().find(|(name, _)| *name == emoji_name) {
            Some((_, count)) => *count += 1,
            None => reactions.push((emoji_name, 1)),
        }
    }
    let in_data = |file: AttachmentLine| match file.path.strip_prefix("data/") {
        Some(_) => file.path,
        None => format!("data/{}", file.path),
    };
    Ok(Found::Message(Message {
        key,
        channel: channel.to_owned(),
        at: milliseconds(said.create_at).context("a time that is none")?,
        author: names.get(&said.user).cloned().unwrap_or(said.user),
        body: said.message,
        reply_to,
        files: said
            .attachments
            .unwrap_or_default()
            .into_iter()
            .map(in_data)
            .collect(),
        reactions,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../tests/samples/mattermost.jsonl");

    fn read_text(text: &str) -> anyhow::Result<Vec<Found>> {
        let mut all = Vec::new();
        lines(&mut text.as_bytes(), &mut |found| {
            all.push(found);
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn a_bulk_export_is_read_in_its_order() {
        let all = read_text(SAMPLE).unwrap();
        let Found::Channel(channel) = &all[0] else {
            panic!("{all:?}")
        };
        assert_eq!(
            (channel.key.as_str(), channel.name.as_str()),
            ("ad-1/town-square", "Town Square")
        );
        let messages: Vec<&Message> = all
            .iter()
            .filter_map(|found| match found {
                Found::Message(message) => Some(message),
                Found::Channel(_) | Found::Skipped(_) => None,
            })
            .collect();
        assert_eq!(messages[0].author, "Samuel Tucker");
        assert_eq!(messages[0].reactions, [("+1".to_owned(), 2)]);
        assert_eq!(messages[1].reply_to.as_ref(), Some(&messages[0].key));
        assert_eq!(messages[2].files, ["data/20240101/notes.txt"]);
        let skipped = all
            .iter()
            .filter(|found| matches!(found, Found::Skipped(_)))
            .count();
        assert_eq!(
            skipped, 4,
            "a system notice, a direct channel, a direct post, an emoji"
        );
    }

    #[test]
    fn what_is_another_format_is_refused_with_its_line() {
        for (text, reason) in [
            ("", "empty"),
            ("{\"type\":\"version\",\"version\":2}\n", "version 1"),
            ("{\"type\":\"team\"}\n", "version 1"),
            ("{\"type\":\"version\",\"version\":1}\nnonsense\n", "line 2"),
            (
                "{\"type\":\"version\",\"version\":1}\n{\"type\":\"post\"}\n",
                "line 2",
            ),
            (
                "{\"type\":\"version\",\"version\":1}\n{\"type\":\"post\",\"post\":{\"team\":\"t\",\"channel\":\"c\",\"user\":\"u\",\"create_at\":9223372036854775807}}\n",
                "line 2",
            ),
        ] {
            let error = format!("{:#}", read_text(text).unwrap_err());
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}

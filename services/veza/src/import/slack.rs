//! Slack's export: a ZIP of `users.json`, `channels.json` and a file per channel and day.
//! <https://slack.com/help/articles/220556107-How-to-read-Slack-data-exports>

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::item::{Channel, Found, Message, milliseconds};
use super::pack::Pack;
use super::text::from_slack;

/// Largest file of one day, or list.
const MAX_FILE: u64 = 256 * 1_024 * 1_024;

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    profile: Profile,
}

#[derive(Default, Deserialize)]
struct Profile {
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    real_name: String,
}

#[derive(Deserialize)]
struct Place {
    id: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Said {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    subtype: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    text: String,
    ts: String,
    #[serde(default)]
    thread_ts: Option<String>,
    #[serde(default)]
    reactions: Vec<ReactionOf>,
    #[serde(default)]
    files: Vec<FileOf>,
}

#[derive(Deserialize)]
struct ReactionOf {
    name: String,
    #[serde(default)]
    count: u64,
}

#[derive(Deserialize)]
struct FileOf {
    #[serde(default)]
    name: Option<String>,
}

/// Names that texts speak of by ids.
pub(crate) struct Names {
    pub(crate) users: HashMap<String, String>,
    pub(crate) channels: HashMap<String, String>,
}

/// Tells `take` of everything in the export: channel by channel, day by day.
pub(crate) fn read(
    path: &Path,
    most: u64,
    take: &mut dyn FnMut(Found) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut pack = Pack::zip(path, most)?;
    let users: Vec<User> = list(&mut pack, "users.json")?.context("there is no users.json in the archive")?;
    let channels: Vec<Place> =
        list(&mut pack, "channels.json")?.context("there is no channels.json in the archive")?;
    let groups: Vec<Place> = list(&mut pack, "groups.json")?.unwrap_or_default();
    for (name, why) in [
        (
            "dms.json",
            "direct conversation: its people have no accounts here",
        ),
        (
            "mpims.json",
            "group conversation: its people have no accounts here",
        ),
    ] {
        let directs: Vec<Place> = list(&mut pack, name)?.unwrap_or_default();
        for _ in directs {
            take(Found::Skipped(why))?;
        }
    }
    let names = Names {
        users: users
            .into_iter()
            .map(|user| (user.id.clone(), shown(user)))
            .collect(),
        channels: channels
            .iter()
            .map(|place| (place.id.clone(), place.name.clone()))
            .collect(),
    };
    let mut days: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in pack.names() {
        if let Some((channel, day)) = name.split_once('/')
            && Path::new(day).extension().is_some_and(|end| end == "json")
        {
            days.entry(channel.to_owned()).or_default().push(name);
        }
    }
    let public = channels.into_iter().map(|place| (place, false));
    for (place, private) in public.chain(groups.into_iter().map(|place| (place, true))) {
        take(Found::Channel(Channel {
            key: place.id.clone(),
            name: place.name.clone(),
            private,
        }))?;
        let mut files = days.remove(&place.name).unwrap_or_default();
        // Their names are dates.
        files.sort_unstable();
        for file in files {
            let said: Vec<Said> = list(&mut pack, &file)?.unwrap_or_default();
            for said in said {
                let found = message(said, &place.id, &names, take)?;
                take(found)?;
            }
        }
    }
    Ok(())
}

fn list<T: DeserializeOwned>(pack: &mut Pack, name: &str) -> anyhow::Result<Option<Vec<T>>> {
    let Some(bytes) = pack.read(name, MAX_FILE)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .with_context(|| format!("reading {name}"))
}

fn shown(user: User) -> String {
    let profile = user.profile;
    let names = [profile.display_name, profile.real_name, user.name];
    names.into_iter().find(|name| !name.is_empty()).unwrap_or(user.id)
}

fn message(
    said: Said,
    channel: &str,
    names: &Names,
    take: &mut dyn FnMut(Found) -> anyhow::Result<()>,
) -> anyhow::Result<Found> {
    match said.subtype.as_deref() {
        _ if said.kind != "message" => return Ok(Found::Skipped("not a message")),
        None | Some("bot_message" | "me_message" | "file_share" | "thread_broadcast") => {}
        Some("channel_join" | "channel_leave" | "group_join" | "group_leave") => {
            return Ok(Found::Skipped("coming or going"));
        }
        Some(_) => return Ok(Found::Skipped("notice of the system")),
    }
    let by_id = said
        .user
        .as_ref()
        .map(|id| names.users.get(id).unwrap_or(id).clone());
    let mut body = from_slack(&said.text, names);
    for file in said.files {
        // The archive has only addresses that ask for a sign-in at Slack.
        take(Found::Skipped("file that stayed at Slack"))?;
        let name = file.name.unwrap_or_else(|| "a file".into());
        format!("{body}\n({name})").trim().clone_into(&mut body);
    }
    let root = said.thread_ts.filter(|root| *root != said.ts);
    Ok(Found::Message(Message {
        key: format!("{channel}/{}", said.ts),
        channel: channel.to_owned(),
        author: by_id.or(said.username).unwrap_or_else(|| "somebody".into()),
        at: time(&said.ts).with_context(|| format!("{:?} is no time", said.ts))?,
        body,
        reply_to: root.map(|root| format!("{channel}/{root}")),
        files: Vec::new(),
        reactions: said
            .reactions
            .into_iter()
            .map(|reaction| (reaction.name, reaction.count.max(1)))
            .collect(),
    }))
}

/// Seconds with a fraction that makes them an id.
fn time(ts: &str) -> Option<time::OffsetDateTime> {
    let (seconds, fraction) = ts.split_once('.').unwrap_or((ts, "0"));
    let thousandths: i64 = fraction.get(..3).unwrap_or("0").parse().ok()?;
    milliseconds(
        seconds
            .parse::<i64>()
            .ok()?
            .checked_mul(1_000)?
            .checked_add(thousandths)?,
    )
}

#[cfg(test)]
mod tests {
    use super::super::pack::tests::packed;
    use super::*;

    pub(super) fn read_parts(parts: &[(&str, &[u8])]) -> anyhow::Result<Vec<Found>> {
        let folder = veza_testkit::TestFolder::new();
        let mut all = Vec::new();
        read(&packed(folder.path(), parts), 1_000_000, &mut |found| {
            all.push(found);
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn an_export_is_read_channel_by_channel_and_day_by_day() {
        let all = read_parts(&[
            (
                "users.json",
                include_bytes!("../../tests/samples/slack/users.json"),
            ),
            (
                "channels.json",
                include_bytes!("../../tests/samples/slack/channels.json"),
            ),
            ("dms.json", br#"[{"id":"D1","members":["U1","U2"]}]"#),
            (
                "general/2024-01-02.json",
                include_bytes!("../../tests/samples/slack/general/2024-01-02.json"),
            ),
            (
                "general/2024-01-01.json",
                include_bytes!("../../tests/samples/slack/general/2024-01-01.json"),
            ),
            (
                "D1/2024-01-01.json",
                br#"[{"type":"message","text":"secret","ts":"1704067200.000100"}]"#,
            ),
        ])
        .unwrap();
        let bodies: Vec<(&str, &str)> = all
            .iter()
            .filter_map(|found| match found {
                Found::Message(message) => Some((message.author.as_str(), message.body.as_str())),
                Found::Channel(_) | Found::Skipped(_) => None,
            })
            .collect();
        assert_eq!(
            bodies,
            [
                (
                    "Ada L.",
                    "Hello @grace, see #general & [this](https://example.org/a?b=1&c=2)"
                ),
                ("grace", "answering\n(plan.pdf)"),
                ("deploy bot", "done"),
            ]
        );
        let Found::Message(answer) = all
            .iter()
            .filter(|found| matches!(found, Found::Message(_)))
            .nth(1)
            .unwrap()
        else {
            panic!("{all:?}")
        };
        assert_eq!(answer.reply_to.as_deref(), Some("C1/1704067200.000100"));
        let skipped = all
            .iter()
            .filter(|found| matches!(found, Found::Skipped(_)))
            .count();
        assert_eq!(skipped, 3, "a direct conversation, who joined, a file");
    }

    #[test]
    fn an_export_without_its_lists_is_refused() {
        let error = read_parts(&[("general/2024-01-01.json", b"[]")]).unwrap_err();
        assert!(error.to_string().contains("users.json"), "{error}");
        let error = read_parts(&[("users.json", b"[]"), ("channels.json", b"{}")]).unwrap_err();
        assert!(format!("{error:#}").contains("channels.json"), "{error:#}");
        let days: &[(&str, &[u8])] = &[
            ("users.json", b"[]"),
            ("channels.json", br#"[{"id":"C","name":"c"}]"#),
            ("c/1.json", br#"[{"type":"message","ts":"never"}]"#),
        ];
        assert!(format!("{:#}", read_parts(days).unwrap_err()).contains("no time"));
    }
}

//! What people wait for when they look: the latest messages of a room, and messages by their words.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;
use uuid::Uuid;
use veza_client::Person;
use veza_servers::Fleet;

use super::{Outcome, Row, fill, platform, projection, statistics::Times};
use crate::console::Console;

#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// Messages in all, before anything is measured.
    #[arg(long, default_value_t = 1_000_000)]
    messages: usize,
    /// Rooms that they lie in.
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// Rooms that are opened, and searches of each kind.
    #[arg(long, default_value_t = 2_000)]
    requests: usize,
    /// Requests under way at once.
    #[arg(long, default_value_t = 4)]
    at_once: usize,
}

const PEOPLE: usize = 8;
/// Words of a message.
const LENGTH: u64 = 12;
/// The words are made of three of these each: 8,000 of them.
const SYLLABLES: [&str; 20] = [
    "ba", "co", "du", "fa", "ge", "hi", "jo", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wa",
    "xe", "yu", "za",
];

pub(super) async fn run(args: &ReadArgs, console: &Console) -> anyhow::Result<Outcome> {
    let folder = platform::Folder::new()?;
    let step = console.step("starting the platform");
    let fleet = platform::start(&folder, &["accounts", "chat", "projector", "gateway"]).await?;
    let (people, space) = platform::people(&fleet.url(), PEOPLE).await?;
    let mut rooms = Vec::with_capacity(args.rooms);
    for number in 0..args.rooms {
        rooms.push(people[0].create_room(space, &format!("room-{number}")).await?);
    }
    let authors: Vec<Uuid> = people.iter().map(|person| person.account).collect();
    step.done();
    let mut outcome = Outcome::default();
    let config = fill::settings(&fleet)?;
    fill::messages(&config, &authors, space, &rooms, args.messages, text, console).await?;
    let step = console.step("projecting");
    projection::caught_up(&fleet, &mut outcome).await?;
    let stored = projection::count(&fleet).await?;
    if stored != args.messages as u64 {
        outcome
            .faults
            .push(format!("{stored} of {} messages can be read", args.messages));
    }
    step.done();

    let bench = Bench {
        args,
        fleet: &fleet,
        person: &people[1],
    };
    let step = console.step("opening rooms");
    bench.open_rooms(&rooms, &mut outcome).await?;
    step.done();
    let step = console.step("searching");
    let common = |nth: u64| word(nth % 40);
    bench.search("one frequent word", common, &mut outcome).await?;
    let rare = |nth: u64| word(7_900 - nth % 1_000);
    bench.search("one rare word", rare, &mut outcome).await?;
    let both = |nth: u64| format!("{} {}", word(nth % 200), word(200 + nth % 300));
    bench.search("two words", both, &mut outcome).await?;
    step.done();
    Ok(outcome)
}

struct Bench<'a> {
    args: &'a ReadArgs,
    fleet: &'a Fleet,
    person: &'a Person,
}

impl Bench<'_> {
    /// The latest page of each room in turn; once before, since that is when Redis gets them.
    async fn open_rooms(&self, rooms: &[Uuid], outcome: &mut Outcome) -> anyhow::Result<()> {
        let path = |nth: usize| format!("/v1/rooms/{}/messages?limit=50", rooms[nth % rooms.len()]);
        self.times(rooms.len(), path).await?;
        let before = self.cache().await?;
        let (mut times, items) = self.times(self.args.requests, path).await?;
        let after = self.cache().await?;
        let (hits, misses) = (after.0 - before.0, after.1 - before.1);
        let page = 50.min(self.args.messages / rooms.len());
        if items < page * self.args.requests {
            outcome.faults.push(format!(
                "{items} messages in {} pages of {page}",
                self.args.requests
            ));
        }
        outcome.rows.extend([
            Row::new("opening a room p50", times.quantile(0.5), "ms", ""),
            Row::new("opening a room p99", times.quantile(0.99), "ms", "≤ 20 ms"),
            Row::new(
                "of which answered by Redis",
                hits / (hits + misses).max(1.0) * 100.0,
                "%",
                "",
            ),
        ]);
        Ok(())
    }

    async fn search(
        &self,
        name: &str,
        words: impl Fn(u64) -> String,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let path = |nth: usize| format!("/v1/search?q={}", words(nth as u64).replace(' ', "%20"));
        let (mut times, items) = self.times(self.args.requests, path).await?;
        if items == 0 {
            outcome.faults.push(format!("nothing was found: {name}"));
        }
        let messages = self.args.messages;
        outcome.rows.extend([
            Row::new(format!("search, {name}, p50"), times.quantile(0.5), "ms", ""),
            Row::new(
                format!("search over {messages} messages, {name}, p99"),
                times.quantile(0.99),
                "ms",
                "≤ 100 ms",
            ),
        ]);
        Ok(())
    }

    /// How long each of `count` requests takes, and how many items all of them brought.
    async fn times(&self, count: usize, path: impl Fn(usize) -> String) -> anyhow::Result<(Times, usize)> {
        let asked = stream::iter((0..count).map(path)).map(|path| async move {
            let started = Instant::now();
            let page = self.person.get(&path).await?;
            let items = page["items"].as_array().context("a list has items")?.len();
            anyhow::Ok((started.elapsed(), items))
        });
        let all: Vec<(Duration, usize)> = asked.buffer_unordered(self.args.at_once).try_collect().await?;
        let mut times = Times::default();
        let mut items = 0;
        for (took, found) in all {
            times.add(took);
            items += found;
        }
        Ok((times, items))
    }

    /// Hits and misses of the gateway's cache so far.
    async fn cache(&self) -> anyhow::Result<(f64, f64)> {
        let gateway = self.fleet.roles.iter().find(|role| role.name() == "gateway");
        let (_, metrics) = gateway.context("a gateway runs")?.ops("/metrics").await?;
        let value = |name: &str| {
            let line = metrics
                .lines()
                .find(|line| !line.starts_with('#') && line.contains(name));
            line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
                .unwrap_or(0.0)
        };
        Ok((value("read_cache_hits"), value("read_cache_misses")))
    }
}

/// A message of its number's own: a few words are in many messages, and many in few.
fn text(number: usize) -> String {
    let words = (0..LENGTH).map(|nth| {
        let share = (mixed(number as u64 * LENGTH + nth) >> 11) as f64 / (1_u64 << 53) as f64;
        word((share * share * share * 8_000.0) as u64)
    });
    words.collect::<Vec<_>>().join(" ")
}

fn word(number: u64) -> String {
    let part = |number: u64| SYLLABLES[(number % 20) as usize];
    [part(number), part(number / 20), part(number / 400)].concat()
}

/// The same for the same number on every machine (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_words_are_frequent_and_all_messages_differ() {
        let texts: Vec<_> = (0..2_000).map(text).collect();
        let with = |word: &str| {
            texts
                .iter()
                .filter(|text| text.split(' ').any(|one| one == word))
                .count()
        };
        assert!(with(&word(0)) > 50 * with(&word(7_500)).max(1));
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        assert_ne!(word(1), word(20));
    }
}

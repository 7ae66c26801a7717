//! What doors ask of the cache. Every failure is a miss.

use std::time::Duration;

use fred::interfaces::LuaInterface;
use fred::prelude::{ClientLike, Error, FromValue, Pool, Value};
use fred::types::config::Options;
use veza_events::{AccountId, RoomId};

use super::{CachedMessage, CachedName, link, millis, pointer, prefix};
use crate::breaker::Breaker;
use crate::rows::{Message, Range};
use crate::{CacheOptions, ReadError, ReadMetrics};

/// How long Redis is left alone after it failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads and warms.
pub(crate) struct CacheReader {
    pool: Pool,
    impatient: Options,
    breaker: Breaker,
    ttl_ms: i64,
    timeline_messages: usize,
    metrics: ReadMetrics,
}

/// The generation that a miss was found in, needed to put there what Postgres has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    generation: String,
}

/// What the cache has of a timeline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CachedTimeline {
    /// The whole answer, ascending, without names.
    Hit {
        messages: Vec<Message>,
        more: bool,
        head: u64,
        as_of: u64,
    },
    /// Ask Postgres; with a place, and then put it there.
    Miss(Option<Place>),
}

impl CacheReader {
    pub(crate) fn connect(options: &CacheOptions, metrics: ReadMetrics) -> Result<Self, ReadError> {
        let pool = link::connect(options, options.connections)
            .map_err(|error| ReadError::Defect(error.to_string()))?;
        Ok(Self {
            pool,
            impatient: link::impatient(options),
            breaker: Breaker::new(PAUSE),
            ttl_ms: millis(options.ttl),
            timeline_messages: options.timeline_messages,
            metrics,
        })
    }

    /// Messages worth reading from Postgres to warm a timeline: one more shows whether there are older ones.
    pub(crate) fn warm_messages(&self) -> usize {
        self.timeline_messages + 1
    }

    pub(crate) async fn timeline(
        &self,
        stream: &str,
        room: RoomId,
        range: Range,
        limit: usize,
        at_least: u64,
    ) -> CachedTimeline {
        let (kind, bound) = match range {
            Range::Latest => ("latest", 0),
            Range::Before(bound) => ("before", bound),
            Range::After(bound) => ("after", bound),
        };
        let arguments = vec![
            prefix(stream).into(),
            room.to_string().into(),
            kind.into(),
            bound.to_string().into(),
            (limit + 1).to_string().into(),
        ];
        let answer: Option<Vec<String>> = self.eval(include_str!("read.lua"), stream, arguments).await;
        let found = answer.map_or(CachedTimeline::Miss(None), |answer| {
            understand(answer, range, limit, at_least).unwrap_or(CachedTimeline::Miss(None))
        });
        match found {
            CachedTimeline::Hit { .. } => self.metrics.cache_hits.inc(),
            CachedTimeline::Miss(_) => self.metrics.cache_misses.inc(),
        };
        found
    }

    /// Puts a timeline as it is in Postgres at `position`. `messages` are its newest, ascending, at most
    /// [`Self::warm_messages`].
    pub(crate) async fn warm(
        &self,
        stream: &str,
        place: &Place,
        room: RoomId,
        position: u64,
        head: u64,
        messages: &[Message],
    ) {
        let surplus = messages.len().saturating_sub(self.timeline_messages);
        let kept = &messages[surplus..];
        let from = if surplus == 0 {
            0
        } else {
            kept.first().map_or(0, |message| message.seq)
        };
        let mut arguments: Vec<Value> = vec![
            prefix(stream).into(),
            place.generation.clone().into(),
            room.to_string().into(),
            position.to_string().into(),
            head.to_string().into(),
            from.to_string().into(),
            self.ttl_ms.to_string().into(),
        ];
        for message in kept {
            arguments.push(message.seq.to_string().into());
            arguments.push(to_json(&CachedMessage::from(message)).into());
        }
        let _: Option<i64> = self.eval(include_str!("warm.lua"), stream, arguments).await;
    }

    /// Names of accounts, `None` where the cache has none, and the place to put them.
    pub(crate) async fn names(
        &self,
        stream: &str,
        accounts: &[AccountId],
    ) -> (Vec<Option<CachedName>>, Option<Place>) {
        let arguments = std::iter::once(prefix(stream).into())
            .chain(accounts.iter().map(|account| account.to_string().into()))
            .collect();
        let answer: Option<Vec<String>> = self.eval(include_str!("names.lua"), stream, arguments).await;
        let mut answer = answer.unwrap_or_default().into_iter();
        let place = answer.next().map(|generation| Place { generation });
        let mut names: Vec<_> = answer
            .skip(1)
            .map(|text| serde_json::from_str(&text).ok())
            .collect();
        names.resize(accounts.len(), None);
        (names, place)
    }

    /// Puts names as they are in Postgres at `position`.
    pub(crate) async fn warm_names(&self, stream: &str, place: &Place, position: u64, names: &[CachedName]) {
        let mut arguments: Vec<Value> = vec![
            prefix(stream).into(),
            place.generation.clone().into(),
            position.to_string().into(),
            self.ttl_ms.to_string().into(),
        ];
        for name in names {
            arguments.push(name.account.to_string().into());
            arguments.push(to_json(name).into());
        }
        let _: Option<i64> = self.eval(include_str!("name.lua"), stream, arguments).await;
    }

    pub(super) async fn eval<R: FromValue>(
        &self,
        script: &'static str,
        stream: &str,
        arguments: Vec<Value>,
    ) -> Option<R> {
        if !self.breaker.permits() {
            return None;
        }
        let client = self.pool.next_connected();
        let answer: Result<R, Error> = if client.is_connected() {
            client
                .with_options(&self.impatient)
                .eval(script, pointer(stream), arguments)
                .await
        } else {
            Err(Error::new(fred::error::ErrorKind::IO, "not connected"))
        };
        match answer {
            Ok(answer) => {
                self.breaker.succeeded();
                Some(answer)
            }
            Err(error) => {
                tracing::debug!(%error, "the cache did not answer");
                self.metrics.cache_failures.inc();
                self.breaker.failed();
                None
            }
        }
    }
}

/// Reads the answer of `read.lua`; `None` when it is not one.
fn understand(answer: Vec<String>, range: Range, limit: usize, at_least: u64) -> Option<CachedTimeline> {
    let mut answer = answer.into_iter();
    let Some(generation) = answer.next() else {
        return Some(CachedTimeline::Miss(None));
    };
    let position: u64 = answer.next()?.parse().ok()?;
    let miss = CachedTimeline::Miss(Some(Place { generation }));
    let (Some(head), Some(from)) = (answer.next(), answer.next()) else {
        return Some(miss);
    };
    let (head, from): (u64, u64) = (head.parse().ok()?, from.parse().ok()?);
    if position < at_least {
        // Postgres is ahead; the cache will follow by itself.
        return Some(CachedTimeline::Miss(None));
    }
    let mut messages = Vec::with_capacity(limit + 1);
    for row in answer {
        messages.push(Message::from(serde_json::from_str::<CachedMessage>(&row).ok()?));
    }
    let complete = messages.len() > limit;
    let more = match range {
        // All that follows is here only if nothing between the bound and the first row is missing.
        Range::After(bound) if from > bound.saturating_add(1) => return Some(CachedTimeline::Miss(None)),
        Range::After(_) => complete,
        Range::Latest | Range::Before(_) if complete || from == 0 => complete,
        Range::Latest | Range::Before(_) if messages.len() == limit => true,
        Range::Latest | Range::Before(_) => return Some(CachedTimeline::Miss(None)),
    };
    messages.truncate(limit);
    messages.sort_unstable_by_key(|message| message.seq);
    Some(CachedTimeline::Hit {
        messages,
        more,
        head,
        as_of: position.max(head),
    })
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("cached rows are plain data")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(head: u64, from: u64, seqs: &[u64]) -> Vec<String> {
        let rows = seqs.iter().map(|seq| {
            let id = uuid::Uuid::nil();
            format!(r#"{{"m":"{id}","s":{seq},"a":"{id}","b":"hi","t":"2026-01-02T03:04:05Z"}}"#)
        });
        ["gen".to_owned(), "50".into(), head.to_string(), from.to_string()]
            .into_iter()
            .chain(rows)
            .collect()
    }

    fn hit(answer: Vec<String>, range: Range, limit: usize) -> Option<(Vec<u64>, bool)> {
        match understand(answer, range, limit, 0).unwrap() {
            CachedTimeline::Hit { messages, more, .. } => {
                Some((messages.iter().map(|message| message.seq).collect(), more))
            }
            CachedTimeline::Miss(_) => None,
        }
    }

    #[test]
    fn a_page_from_the_end_is_ascending_and_says_whether_there_are_older_ones() {
        assert_eq!(
            hit(answer(40, 0, &[40, 30, 20]), Range::Latest, 2),
            Some((vec![30, 40], true))
        );
        assert_eq!(
            hit(answer(40, 0, &[40, 30]), Range::Latest, 2),
            Some((vec![30, 40], false))
        );
        assert_eq!(
            hit(answer(40, 30, &[40, 30]), Range::Latest, 2),
            Some((vec![30, 40], true))
        );
    }

    #[test]
    fn a_page_that_reaches_below_what_is_kept_is_a_miss() {
        assert_eq!(hit(answer(40, 30, &[40, 30]), Range::Latest, 3), None);
        assert_eq!(hit(answer(40, 30, &[]), Range::Before(30), 1), None);
        assert_eq!(hit(answer(40, 30, &[30, 40]), Range::After(20), 5), None);
        assert_eq!(
            hit(answer(40, 30, &[30, 40]), Range::After(29), 5),
            Some((vec![30, 40], false))
        );
        assert_eq!(
            hit(answer(40, 0, &[]), Range::Before(10), 5),
            Some((vec![], false))
        );
    }

    #[test]
    fn a_cache_behind_what_is_asked_for_is_a_miss() {
        let found = understand(answer(40, 0, &[40]), Range::Latest, 2, 51).unwrap();
        assert_eq!(found, CachedTimeline::Miss(None));
    }

    #[test]
    fn without_a_generation_or_a_timeline_there_is_a_miss_and_with_one_a_place() {
        assert_eq!(
            understand(vec![], Range::Latest, 2, 0).unwrap(),
            CachedTimeline::Miss(None)
        );
        let place = Place {
            generation: "gen".into(),
        };
        let found = understand(vec!["gen".into(), "7".into()], Range::Latest, 2, 0).unwrap();
        assert_eq!(found, CachedTimeline::Miss(Some(place)));
    }
}

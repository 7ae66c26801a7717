//! What people type into a search box: words, `"phrases"`, `-what is not meant`, and filters.

use std::collections::BTreeSet;

use time::{Date, Duration, OffsetDateTime, macros::format_description};

/// Most characters of a search.
pub const MAX_CHARS: usize = 512;
/// Most phrases, exclusions and filters of a search, each kind.
pub(super) const MAX_PARTS: usize = 16;

/// Filters by name, for errors and help.
pub const FILTERS: &str = "from:, in:, has:, before:, after:, on:";

/// Something that a message can hold besides words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Has {
    /// An address of the web.
    Link,
}

/// A search, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchWords {
    /// Words that must all be there, in any form.
    pub words: String,
    /// Words that must follow each other.
    pub phrases: Vec<String>,
    /// Words and phrases that must not be there.
    pub without: Vec<String>,
    /// Handles or ids, one of whom must be the author.
    pub from: Vec<String>,
    /// Names or ids of rooms, one of which it must be in.
    pub rooms: Vec<String>,
    /// What else it must hold.
    pub has: BTreeSet<Has>,
    /// Posted at this time or later.
    pub since: Option<OffsetDateTime>,
    /// Posted before this time.
    pub until: Option<OffsetDateTime>,
}

/// Why a search cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// Nothing to look for.
    #[error("say what to look for: words, \"a phrase\", -without, or a filter ({FILTERS})")]
    Empty,
    /// More than anybody types.
    #[error(
        "a search has at most {MAX_CHARS} characters, and {MAX_PARTS} phrases, exclusions and filters of a kind"
    )]
    TooLong,
    /// A filter whose value makes no sense.
    #[error("`{filter}:` takes {takes}, not `{value}`")]
    Filter {
        /// Its name.
        filter: &'static str,
        /// What it takes.
        takes: &'static str,
        /// What it got.
        value: String,
    },
}

impl SearchWords {
    /// Understands what was typed. A name with a colon that is no filter is a word like any other.
    ///
    /// # Errors
    /// [`WordsError`], in words for who typed it.
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        if text.chars().nth(MAX_CHARS).is_some() {
            return Err(WordsError::TooLong);
        }
        // Postgres takes no NUL, and nobody could have said one.
        let text = text.replace('\0', " ");
        let mut search = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (part, after) = next_part(rest);
            search.take(part)?;
            rest = after.trim_start();
        }
        let kinds = [&search.phrases, &search.without, &search.from, &search.rooms];
        if kinds.iter().any(|kind| kind.len() > MAX_PARTS) {
            return Err(WordsError::TooLong);
        }
        if search == Self::default() {
            return Err(WordsError::Empty);
        }
        Ok(search)
    }

    fn take(&mut self, part: Part<'_>) -> Result<(), WordsError> {
        let Part {
            minus,
            name,
            value,
            quoted,
        } = part;
        if value.is_empty() {
            return Ok(());
        }
        match name {
            "from" => self.from.push(value.trim_start_matches('@').to_owned()),
            "in" => self.rooms.push(value.trim_start_matches('#').to_owned()),
            "has" => {
                self.has.insert(has(value)?);
            }
            "before" => self.until = Some(day("before", value)?.0),
            "after" => self.since = Some(day("after", value)?.1),
            "on" => {
                let (begin, end) = day("on", value)?;
                (self.since, self.until) = (Some(begin), Some(end));
            }
            _ if minus => self.without.push(value.to_owned()),
            _ if quoted => self.phrases.push(value.to_owned()),
            _ => {
                self.words.push_str(value);
                self.words.push(' ');
            }
        }
        Ok(())
    }
}

/// One piece of a search.
#[derive(Clone, Copy)]
struct Part<'a> {
    minus: bool,
    /// Name of a filter, or nothing.
    name: &'a str,
    value: &'a str,
    quoted: bool,
}

/// Cuts the first piece off; `text` begins with none of the spaces that part them.
fn next_part(text: &str) -> (Part<'_>, &str) {
    let (minus, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (name, text) = match text.split_once(':') {
        Some((name, rest)) if matches!(name, "from" | "in" | "has" | "before" | "after" | "on") => {
            (name, rest)
        }
        _ => ("", text),
    };
    let quoted = text.strip_prefix('"');
    let (value, rest) = match quoted {
        // A quote that is never closed reaches to the end.
        Some(inner) => inner.split_once('"').unwrap_or((inner, "")),
        None => text.split_at(text.find(char::is_whitespace).unwrap_or(text.len())),
    };
    let quoted = quoted.is_some();
    let part = Part {
        minus,
        name,
        value: value.trim(),
        quoted,
    };
    (part, rest)
}

fn has(value: &str) -> Result<Has, WordsError> {
    match value {
        "link" => Ok(Has::Link),
        _ => Err(WordsError::Filter {
            filter: "has",
            takes: "`link`",
            value: value.to_owned(),
        }),
    }
}

/// The beginning of a day in UTC, and of the day after it.
fn day(filter: &'static str, value: &str) -> Result<(OffsetDateTime, OffsetDateTime), WordsError> {
    let refuse = || WordsError::Filter {
        filter,
        takes: "a day such as 2026-01-31",
        value: value.to_owned(),
    };
    let day = Date::parse(value, format_description!("[year]-[month]-[day]")).map_err(|_| refuse())?;
    // Years that Postgres and RFC 3339 both know.
    if !(1970..=9998).contains(&day.year()) {
        return Err(refuse());
    }
    let begin = day.midnight().assume_utc();
    Ok((begin, begin + Duration::DAY))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    fn parsed(text: &str) -> SearchWords {
        SearchWords::parse(text).unwrap()
    }

    #[test]
    fn words_phrases_and_exclusions_are_told_apart() {
        let search = parsed(r#"deploy  "rolling update" -friday -"on call" now"#);
        assert_eq!(search.words, "deploy now ");
        assert_eq!(search.phrases, ["rolling update"]);
        assert_eq!(search.without, ["friday", "on call"]);
    }

    #[test]
    fn filters_are_taken_out_of_the_words() {
        let search =
            parsed("from:@ada in:#general in:\"the lab\" has:link after:2026-01-31 before:2026-03-01 error");
        assert_eq!(
            (search.words.as_str(), search.from),
            ("error ", vec!["ada".to_owned()])
        );
        assert_eq!(search.rooms, ["general", "the lab"]);
        assert_eq!(search.has, BTreeSet::from([Has::Link]));
        assert_eq!(search.since, Some(datetime!(2026-02-01 0:00 UTC)));
        assert_eq!(search.until, Some(datetime!(2026-03-01 0:00 UTC)));
    }

    #[test]
    fn what_only_looks_like_a_filter_is_a_word() {
        assert_eq!(
            parsed("http://veza.example error:42").words,
            "http://veza.example error:42 "
        );
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (text, expected) in [
            (
                "before:yesterday",
                "`before:` takes a day such as 2026-01-31, not `yesterday`",
            ),
            (
                "on:2026-02-30",
                "`on:` takes a day such as 2026-01-31, not `2026-02-30`",
            ),
            ("has:wings", "`has:` takes `link`, not `wings`"),
        ] {
            assert_eq!(SearchWords::parse(text).unwrap_err().to_string(), expected);
        }
        assert_eq!(SearchWords::parse("  \"\" - "), Err(WordsError::Empty));
        assert_eq!(SearchWords::parse("\0"), Err(WordsError::Empty));
        assert_eq!(
            SearchWords::parse(&"a".repeat(MAX_CHARS + 1)),
            Err(WordsError::TooLong)
        );
        assert_eq!(
            SearchWords::parse(&"-a ".repeat(MAX_PARTS + 1)),
            Err(WordsError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_understood_or_refused(text in "[-\":a-z0-9@#\\s\u{e0}-\u{ff}]{0,80}|(from|in|has|on):\\PC{0,40}") {
            let _ = SearchWords::parse(&text);
        }
    }
}

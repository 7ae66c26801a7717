//! The names that a message speaks of, found in its Markdown: the one place where they are read out of a text.
//!
//! `@name` may be a person or a role, `#name` a room; who of them there is, is found out next door. What stands
//! in code, behind a backslash or inside of a word (such as an address) is no name.

use std::collections::BTreeSet;

/// Most names that are read out of one text; others are just text.
const MAX_NAMES: usize = 100;
/// Longest name, in characters.
const MAX_CHARS: usize = 100;

/// Names in a text, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// After `@`: people and roles.
    pub(crate) at: BTreeSet<String>,
    /// After `#`: rooms.
    pub(crate) rooms: BTreeSet<String>,
    /// `@everyone` or `@room`.
    pub(crate) everyone: bool,
    /// `@here`.
    pub(crate) here: bool,
}

impl Names {
    /// Reads them out of a text.
    pub(crate) fn read(text: &str) -> Self {
        let mut names = Self::default();
        let mut fence: Option<(char, usize)> = None;
        let mut prose = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            match (fence, fence_of(line)) {
                (None, Some(opened)) => fence = Some(opened),
                (Some((mark, least)), Some((same, count))) if mark == same && count >= least => fence = None,
                (Some(_), _) => {}
                (None, None) => prose.push_str(line),
            }
        }
        names.read_prose(&prose);
        names
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Also those of another text.
    pub(crate) fn add_all(&mut self, other: Self) {
        self.at.extend(other.at);
        self.rooms.extend(other.rooms);
        self.everyone |= other.everyone;
        self.here |= other.here;
    }

    fn read_prose(&mut self, text: &str) {
        let mut before = None;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let mut taken = c.len_utf8();
            match c {
                '\\' => taken += rest[taken..].chars().next().map_or(0, char::len_utf8),
                '`' => taken = code_span(rest),
                '@' | '#' if !before.is_some_and(is_word) => {
                    let name = name_of(&rest[taken..]);
                    taken += name.len();
                    self.add(c, name);
                }
                _ => {}
            }
            before = rest[..taken].chars().next_back();
            rest = &rest[taken..];
        }
    }

    fn add(&mut self, mark: char, name: &str) {
        let full = self.at.len() + self.rooms.len() >= MAX_NAMES;
        if name.is_empty() || full || name.chars().nth(MAX_CHARS).is_some() {
            return;
        }
        match (mark, name.to_lowercase().as_str()) {
            ('@', "everyone" | "room") => self.everyone = true,
            ('@', "here") => self.here = true,
            ('@', name) => drop(self.at.insert(name.to_owned())),
            (_, name) => drop(self.rooms.insert(name.to_owned())),
        }
    }
}

/// A name in plain text, and where it stands with its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marked<'a> {
    pub(crate) begin: usize,
    pub(crate) end: usize,
    /// `@` or `#`.
    pub(crate) mark: char,
    pub(crate) name: &'a str,
}

/// Names in a piece of plain text, of which nothing is code or escaped any more.
pub(crate) fn marked(text: &str) -> Vec<Marked<'_>> {
    let (mut found, mut before, mut begin) = (Vec::new(), None, 0);
    while let Some(mark) = text[begin..].chars().next() {
        let mut end = begin + mark.len_utf8();
        if matches!(mark, '@' | '#') && !before.is_some_and(is_word) {
            let name = name_of(&text[end..]);
            end += name.len();
            if !name.is_empty() {
                found.push(Marked {
                    begin,
                    end,
                    mark,
                    name,
                });
            }
        }
        before = text[..end].chars().next_back();
        begin = end;
    }
    found
}

/// The mark and length of a line that opens or ends a block of code.
fn fence_of(line: &str) -> Option<(char, usize)> {
    let text = line.trim_start_matches(' ');
    let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let count = text.chars().take_while(|&c| c == mark).count();
    // A line such as "```x```" is code within the line.
    let inline = mark == '`' && text[count..].contains('`');
    (line.len() - text.len() <= 3 && count >= 3 && !inline).then_some((mark, count))
}

/// Bytes of the code at the beginning of `text`; of its backticks alone when nothing ends it.
fn code_span(text: &str) -> usize {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let mut at = ticks;
    while let Some(next) = text[at..].find('`') {
        let run = &text[at + next..];
        let count = run.len() - run.trim_start_matches('`').len();
        at += next + count;
        if count == ticks {
            return at;
        }
    }
    ticks
}

/// The name at the beginning of `text`: letters, digits, and between them `.`, `_` and `-`.
fn name_of(text: &str) -> &str {
    let end = text
        .find(|c: char| !is_word(c) && !matches!(c, '.' | '-'))
        .unwrap_or(text.len());
    text[..end].trim_end_matches(|c: char| !c.is_alphanumeric())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Vec<String> {
        Names::read(text).at.into_iter().collect()
    }

    #[test]
    fn people_and_roles_are_named_after_an_at() {
        assert_eq!(
            at("hi @Ada, and (@grace.h)! @ops-team."),
            ["ada", "grace.h", "ops-team"]
        );
        assert_eq!(at("@ada@grace"), ["ada"]);
        assert_eq!(at("@ @. @- nothing"), Vec::<String>::new());
        assert_eq!(at("@équipe"), ["équipe"]);
    }

    #[test]
    fn rooms_are_named_after_a_hash() {
        let names = Names::read("# Title\nsee #general and #dev-2");
        assert_eq!(names.rooms.into_iter().collect::<Vec<_>>(), ["dev-2", "general"]);
    }

    #[test]
    fn everybody_is_called_by_name() {
        let names = Names::read("@everyone and @HERE");
        assert!(names.everyone && names.here && names.at.is_empty());
        let room = Names::read("@room, please");
        assert!(room.everyone && !room.here && room.at.is_empty() && room.rooms.is_empty());
        assert!(Names::read("nobody").is_empty());
    }

    #[test]
    fn addresses_escapes_and_code_name_nobody() {
        for text in [
            "ada@example.org",
            "\\@ada",
            "`@ada`",
            "``a ` @ada``",
            "```\n@ada\n```",
            "~~~ rust\n@ada",
            "   ````\n```\n@ada\n````",
        ] {
            assert!(Names::read(text).is_empty(), "{text:?}");
        }
        assert_eq!(at("`code` @ada"), ["ada"]);
        assert_eq!(at("`open @ada"), ["ada"]);
        assert_eq!(at("```\n@eve\n```\n@ada"), ["ada"]);
        assert_eq!(at("```@eve``` @ada"), ["ada"]);
    }

    #[test]
    fn a_text_full_of_names_is_read_to_a_limit() {
        let text = (0..500).map(|n| format!("@a{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(at(&text).len(), MAX_NAMES);
        assert!(at(&format!("@{}", "a".repeat(101))).is_empty());
    }
}

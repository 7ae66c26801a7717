//! What the texts of a space must not say: words and links. A text is compared without case, accents,
//! letters that cannot be seen and letters that only look like others, in time that grows with its length
//! alone.

use std::{collections::BTreeSet, sync::Arc};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use veza_events::{
    Permission, RoleId, SpaceId,
    space::{FilterAction, FilterKind, FilterRule, FiltersSet, SpaceEvent},
};

use super::{SpaceContext, SpaceRejection, SpaceState};
use crate::{
    RejectionKind,
    member::MAX_TIME_OUT_S,
    names::{self, NameFault, is_invisible},
};

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

/// Most rules of a space.
pub const MAX_FILTER_RULES: usize = 50;
/// Most words and domains in all rules of a space together.
pub const MAX_FILTER_ENTRIES: usize = 1_000;
/// Most of them that are more than one whole word: each is looked for in each word of a text.
pub const MAX_FILTER_PATTERNS: usize = 100;
/// Most characters of a word or domain.
pub const MAX_FILTER_ENTRY_CHARS: usize = 100;
/// Letters of an invitation's code.
const CODE_LETTERS: usize = 34;

/// The rules of a space, ready to be held against texts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Filters(Arc<Vec<(FilterRule, Matcher)>>);

/// What a rule looks for.
#[derive(Clone, Debug)]
enum Matcher {
    Words {
        whole: BTreeSet<String>,
        patterns: Vec<Vec<String>>,
    },
    OnlyLinksTo(BTreeSet<String>),
    NoLinksTo(BTreeSet<String>),
    Invites,
}

impl PartialEq for Filters {
    fn eq(&self, other: &Self) -> bool {
        self.rules().eq(other.rules())
    }
}

impl Eq for Filters {}

impl From<&[FilterRule]> for Filters {
    fn from(rules: &[FilterRule]) -> Self {
        Self(Arc::new(
            rules
                .iter()
                .map(|rule| (rule.clone(), Matcher::of(rule)))
                .collect(),
        ))
    }
}

impl Filters {
    /// As they were given.
    pub fn rules(&self) -> impl Iterator<Item = &FilterRule> {
        self.0.iter().map(|(rule, _)| rule)
    }

    /// The first rule that does not let a text of somebody with these roles pass in `space`.
    pub fn catches(
        &self,
        text: &str,
        roles: &BTreeSet<RoleId>,
        space: Option<SpaceId>,
    ) -> Option<&FilterRule> {
        if self.0.is_empty() {
            return None;
        }
        let text = Text::of(text);
        let caught = self
            .0
            .iter()
            .find(|(rule, matcher)| rule.exempt.is_disjoint(roles) && matcher.finds(&text, space));
        caught.map(|(rule, _)| rule)
    }
}

/// What is wrong with rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterFault {
    /// More rules, or more in them, than a space may have.
    #[error(
        "a space has at most {MAX_FILTER_RULES} rules, with {MAX_FILTER_ENTRIES} words and domains, of which \
         {MAX_FILTER_PATTERNS} with `*` or of several words"
    )]
    TooMany,
    /// The name of a rule cannot be kept.
    #[error("the name of a rule {0}")]
    Name(NameFault),
    /// Two rules of one name.
    #[error("two rules have the same name")]
    NameTaken,
    /// A rule looks for nothing, or for everything.
    #[error(
        "a word has at most {MAX_FILTER_ENTRY_CHARS} characters, a letter or digit among them; a domain is written \
         `example.org`; `no_invites` has no entries"
    )]
    Entry,
    /// A rule silences for no time, or for too long.
    #[error("a rule times out for 1 to {MAX_TIME_OUT_S} seconds, and only one that refuses")]
    TimeOut,
}

impl FilterFault {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::TooMany => "filter.too_many",
            Self::Name(_) => "filter.name_invalid",
            Self::NameTaken => "filter.name_taken",
            Self::Entry => "filter.entry_invalid",
            Self::TimeOut => "filter.time_out_invalid",
        }
    }

    pub(super) fn kind(self) -> RejectionKind {
        match self {
            Self::TooMany => RejectionKind::Limit,
            Self::NameTaken => RejectionKind::Conflict,
            Self::Name(_) | Self::Entry | Self::TimeOut => RejectionKind::Invalid,
        }
    }
}

/// A text as rules see it.
struct Text {
    words: Vec<String>,
    hosts: Vec<Host>,
    codes: Vec<[u8; 16]>,
}

/// Where a link leads.
struct Host {
    name: String,
    /// It is certainly a link, and not just two words with a dot between them.
    certain: bool,
}

impl Text {
    fn of(text: &str) -> Self {
        let skeleton = skeleton(text);
        Self {
            words: words(&skeleton).map(str::to_owned).collect(),
            hosts: hosts(text),
            codes: codes(text),
        }
    }
}

impl Matcher {
    fn of(rule: &FilterRule) -> Self {
        let domains = || rule.entries.iter().filter_map(|entry| domain(entry)).collect();
        match rule.kind {
            FilterKind::Words => {
                let (mut whole, mut patterns) = (BTreeSet::new(), Vec::new());
                for mut pattern in rule.entries.iter().map(|entry| pattern(entry)) {
                    match pattern.as_mut_slice() {
                        [] => {}
                        [word] if !word.contains('*') => {
                            whole.insert(std::mem::take(word));
                        }
                        _ => patterns.push(pattern),
                    }
                }
                Self::Words { whole, patterns }
            }
            FilterKind::OnlyLinksTo => Self::OnlyLinksTo(domains()),
            FilterKind::NoLinksTo => Self::NoLinksTo(domains()),
            FilterKind::NoInvites => Self::Invites,
        }
    }

    fn finds(&self, text: &Text, space: Option<SpaceId>) -> bool {
        match self {
            Self::Words { whole, patterns } => {
                text.words.iter().any(|word| whole.contains(word))
                    || patterns.iter().any(|pattern| {
                        text.words
                            .windows(pattern.len())
                            .any(|words| pattern.iter().zip(words).all(|(part, word)| fits(part, word)))
                    })
            }
            Self::OnlyLinksTo(domains) => {
                let mut links = text.hosts.iter().filter(|host| host.certain);
                links.any(|host| !is_under(&host.name, domains))
            }
            Self::NoLinksTo(domains) => text.hosts.iter().any(|host| is_under(&host.name, domains)),
            Self::Invites => text
                .codes
                .iter()
                .any(|code| space.is_none_or(|space| space.uuid().as_bytes() != code)),
        }
    }
}

pub(super) fn may(state: &SpaceState, context: &SpaceContext<'_>) -> Result<(), SpaceRejection> {
    state.requires(context.membership, context.actor, Permission::ManageSpace)
}

/// Refuses who may not read the rules: who does not manage the space or its messages.
///
/// # Errors
/// `space.not_found`, `space.not_allowed`.
pub fn may_read_filters(state: &SpaceState, context: &SpaceContext<'_>) -> Result<(), SpaceRejection> {
    let messages = state.requires(context.membership, context.actor, Permission::ManageMessages);
    messages.or_else(|_| may(state, context))
}

pub(super) fn decide(
    state: &SpaceState,
    mut rules: Vec<FilterRule>,
) -> Result<Vec<SpaceEvent>, SpaceRejection> {
    if rules.len() > MAX_FILTER_RULES {
        return Err(FilterFault::TooMany.into());
    }
    let mut named = BTreeSet::new();
    for rule in &mut rules {
        rule.name = names::shown(&rule.name).map_err(FilterFault::Name)?;
        if !named.insert(names::normalise(&rule.name)) {
            return Err(FilterFault::NameTaken.into());
        }
        if rule
            .time_out_s
            .is_some_and(|seconds| seconds == 0 || seconds > MAX_TIME_OUT_S)
        {
            return Err(FilterFault::TimeOut.into());
        }
        // Who is silenced writes nothing more that a moderator could look at.
        if rule.action == FilterAction::Hold && rule.time_out_s.is_some() {
            return Err(FilterFault::TimeOut.into());
        }
        let empty_fits = matches!(rule.kind, FilterKind::NoInvites | FilterKind::OnlyLinksTo);
        if rule.entries.is_empty() && !empty_fits
            || !rule.entries.iter().all(|entry| is_entry(rule.kind, entry))
        {
            return Err(FilterFault::Entry.into());
        }
        if !rule.exempt.iter().all(|role| state.roles.contains_key(role)) {
            return Err(SpaceRejection::RoleNotFound);
        }
    }
    let entries: usize = rules.iter().map(|rule| rule.entries.len()).sum();
    let filters = Filters::from(&*rules);
    let patterns = |matcher: &Matcher| match matcher {
        Matcher::Words { patterns, .. } => patterns.len(),
        Matcher::OnlyLinksTo(_) | Matcher::NoLinksTo(_) | Matcher::Invites => 0,
    };
    let patterns: usize = filters.0.iter().map(|(_, matcher)| patterns(matcher)).sum();
    if entries > MAX_FILTER_ENTRIES || patterns > MAX_FILTER_PATTERNS {
        return Err(FilterFault::TooMany.into());
    }
    if filters == state.filters {
        return Ok(vec![]);
    }
    Ok(vec![FiltersSet { rules }.into()])
}

fn is_entry(kind: FilterKind, entry: &str) -> bool {
    if entry.chars().nth(MAX_FILTER_ENTRY_CHARS).is_some() {
        return false;
    }
    match kind {
        FilterKind::Words => {
            let pattern = pattern(entry);
            !pattern.is_empty() && pattern.iter().all(|part| part.chars().any(|c| c != '*'))
        }
        FilterKind::OnlyLinksTo | FilterKind::NoLinksTo => domain(entry).is_some(),
        FilterKind::NoInvites => false,
    }
}

/// A text without what does not matter when it is read: case, accents, width, letters that leave no mark, and
/// the commonest letters that look like Latin ones (after Unicode's confusables.txt).
fn skeleton(text: &str) -> String {
    let plain = text
        .nfkd()
        .filter(|&c| c.is_whitespace() || !(is_combining_mark(c) || is_invisible(c)));
    // Small letters of capitals, as `ß` and `ς` are also written `SS` and `Σ`.
    let folded = plain.flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    folded.map(looks_like).collect()
}

fn looks_like(c: char) -> char {
    match c {
        'а' | 'α' => 'a',
        'в' | 'β' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ε' => 'e',
        'һ' | 'н' => 'h',
        'і' | 'ι' | 'ı' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' | 'ł' => 'l',
        'м' => 'm',
        'η' => 'n',
        'о' | 'ο' | 'ø' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' => 'u',
        'ν' => 'v',
        'ԝ' | 'ω' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' => 'y',
        other => other,
    }
}

fn words(skeleton: &str) -> impl Iterator<Item = &str> {
    skeleton
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// The words of an entry; `*` stands for any letters.
fn pattern(entry: &str) -> Vec<String> {
    let skeleton = skeleton(entry);
    let parts = skeleton.split(|c: char| !c.is_alphanumeric() && c != '*');
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Whether a word is what `pattern` says. Each piece between two stars is looked for once.
fn fits(pattern: &str, word: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = word.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        let Some((_, behind)) = rest.split_once(piece) else {
            return false;
        };
        rest = behind;
    }
    rest.ends_with(last)
}

/// A domain as it is compared; `None` for what is none.
fn domain(text: &str) -> Option<String> {
    let text = names::normalise(text);
    let name = text.strip_prefix("*.").unwrap_or(&text).trim_end_matches('.');
    let label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    (name.contains('.') && name.split('.').all(label)).then(|| name.to_owned())
}

fn is_under(host: &str, domains: &BTreeSet<String>) -> bool {
    let mut rest = host;
    loop {
        if domains.contains(rest) {
            return true;
        }
        match rest.split_once('.') {
            Some((_, parent)) => rest = parent,
            None => return false,
        }
    }
}

/// Where the links of a text lead: what follows `://`, and what looks like a domain.
fn hosts(text: &str) -> Vec<Host> {
    let plain: String = text
        .chars()
        .filter(|&c| c.is_whitespace() || !is_invisible(c))
        .collect();
    // Browsers take the ideographic full stop for a dot.
    let text: String = plain.nfkc().flat_map(char::to_lowercase).collect();
    let text = text.replace('\u{3002}', ".");
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    let mut hosts = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, behind)) = rest.split_once("://") {
        let end = behind.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '\\'));
        let authority = &behind[..end.unwrap_or(behind.len())];
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = &host[..host.find(|c| !inside(c)).unwrap_or(host.len())];
        hosts.push(Host {
            name: host.trim_matches('.').to_owned(),
            certain: true,
        });
        rest = behind;
    }
    for word in text.split(|c: char| !inside(c)) {
        let name = word.trim_matches(|c| matches!(c, '.' | '-'));
        if domain(name).is_some() {
            hosts.push(Host {
                name: name.to_owned(),
                certain: name.starts_with("www."),
            });
        }
    }
    hosts
}

/// The spaces of what may be invitation codes: base64url of 25 bytes, of which the first 16 are a UUID.
fn codes(text: &str) -> Vec<[u8; 16]> {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let candidates = text
        .split(|c| !letter(c))
        .filter(|word| word.len() == CODE_LETTERS);
    candidates.filter_map(|word| space_of(word.as_bytes())).collect()
}

fn space_of(code: &[u8]) -> Option<[u8; 16]> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(25);
    for part in code.chunks(4) {
        let bits = part
            .iter()
            .fold(0_u32, |bits, &letter| bits << 6 | u32::from(value(letter)));
        let bits = bits << (6 * (4 - part.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..part.len()]);
    }
    let space: [u8; 16] = bytes.get(..16)?.try_into().ok()?;
    let is_id = (1..=8).contains(&(space[6] >> 4)) && space[8] >> 6 == 0b10;
    is_id.then_some(space)
}

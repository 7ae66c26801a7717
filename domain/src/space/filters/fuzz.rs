//! Rules and texts as strangers may write them: good ones with a few bytes changed, and what must hold whatever they
//! are. `PROPTEST_CASES=1000000 cargo test -p veza-domain fuzz` goes on for hours.

use proptest::{collection::vec, prelude::*};
use veza_events::space::{FilterAction, FilterRule};

use super::*;
use crate::{
    Reject,
    space::{
        SpaceCommand,
        tests::{OWNER, SPACE, by, space},
    },
};

/// Runs of a target in an ordinary test.
const CASES: u32 = 4096;

const ENTRIES: [&str; 6] = [
    "zut alors",
    "château*",
    "*crypt*coin*",
    "*.spam.example",
    "казино",
    "a\u{301}\u{200b}b\u{ad}c \u{ff0a}x",
];
const TEXTS: [&str; 5] = [
    "Oh, ZU\u{200b}T! un château https://user@www.spam.example:80/x?y#z",
    "frее mоney at spam\u{3002}example, http://[::1]/ https://пример.рф",
    "get supercryptobitcoins now www.a.example/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "e\u{301}\u{301}\u{301}t\u{e9} \u{202e}abc\u{feff} ::// ://./..",
    "",
];

type Edits = (u8, Vec<(u16, u16)>);

fn edits() -> impl Strategy<Value = Edits> {
    (any::<u8>(), vec((any::<u16>(), 0..0x300_u16), 0..16))
}

/// A seed with bytes that are set, put in or taken out.
fn edited(seeds: &[&str], (which, edits): &Edits) -> String {
    let mut bytes = seeds[usize::from(*which) % seeds.len()].as_bytes().to_vec();
    for &(at, what) in edits {
        let at = usize::from(at) % (bytes.len() + 1);
        match what {
            0..0x100 if at < bytes.len() => bytes[at] = what.to_le_bytes()[0],
            0..0x200 => bytes.insert(at, what.to_le_bytes()[0]),
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn kinds() -> impl Strategy<Value = FilterKind> {
    prop::sample::select(vec![
        FilterKind::Words,
        FilterKind::NoLinksTo,
        FilterKind::OnlyLinksTo,
        FilterKind::NoInvites,
    ])
}

fn rule(kind: FilterKind, entry: &str) -> FilterRule {
    FilterRule {
        name: "rule".into(),
        kind,
        entries: vec![entry.into()],
        time_out_s: None,
        action: FilterAction::Refuse,
        exempt: BTreeSet::new(),
    }
}

fn caught(rule: &FilterRule, text: &str) -> bool {
    let filters = Filters::from(std::slice::from_ref(rule));
    filters.catches(text, &BTreeSet::new(), Some(SPACE)).is_some()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_is_refused_by_name_or_finds_what_it_says(kind in kinds(), entry in edits(), text in edits()) {
        let (entry, text) = (edited(&ENTRIES, &entry), edited(&TEXTS, &text));
        let rule = rule(kind, &entry);
        caught(&rule, &text);
        let set = SpaceCommand::SetFilters { rules: vec![rule.clone()] };
        match space().when(&by(OWNER), set).0 {
            Err(rejection) => prop_assert!(rejection.code().starts_with("filter.")),
            Ok(_) if kind == FilterKind::Words => {
                let words = skeleton(&entry).replace('*', "");
                prop_assert!(caught(&rule, &words), "{:?} in {:?}", entry, words);
                prop_assert!(caught(&rule, &words.to_uppercase().to_lowercase()));
            }
            Ok(_) => {}
        }
    }

    #[test]
    fn letters_that_nobody_sees_hide_no_word(entry in edits(), text in edits(), at in vec(any::<u16>(), 0..8)) {
        let (rule, text) = (rule(FilterKind::Words, &edited(&ENTRIES, &entry)), edited(&TEXTS, &text));
        let mut letters: Vec<char> = text.chars().collect();
        for at in at {
            letters.insert(usize::from(at) % (letters.len() + 1), '\u{200b}');
        }
        let hidden: String = letters.into_iter().collect();
        prop_assert_eq!(caught(&rule, &text), caught(&rule, &hidden));
    }
}

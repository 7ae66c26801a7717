use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::space::{
    SpaceCommand,
    tests::{GUESTS, LEADER, MEMBER, OWNER, SPACE, by, space, space_with},
};

fn rule(kind: FilterKind, entries: &[&str]) -> FilterRule {
    FilterRule {
        name: "rule".into(),
        kind,
        entries: entries.iter().map(|&entry| entry.into()).collect(),
        time_out_s: None,
        action: veza_events::space::FilterAction::Refuse,
        exempt: BTreeSet::new(),
    }
}

fn caught(rule: &FilterRule, text: &str) -> bool {
    let filters = Filters::from(std::slice::from_ref(rule));
    filters.catches(text, &BTreeSet::new(), Some(SPACE)).is_some()
}

#[test]
fn words_are_found_however_they_are_written() {
    let words = rule(
        FilterKind::Words,
        &["Zut", "château*", "*crypt*coin*", "free  money"],
    );
    for text in [
        "zut",
        "oh, ZUT!",
        "Ｚｕｔ",
        "z\u{200b}u\u{00ad}t",
        "zu\u{0301}t",
        "un chateau",
        "des CHÂTEAUX",
        "supercryptobitcoins",
        "get free, money now",
        "frее mоney",
        "line\nzut",
    ] {
        assert!(caught(&words, text), "{text}");
    }
    for text in ["", "zutt", "a zu t", "cryptic", "free the money"] {
        assert!(!caught(&words, text), "{text}");
    }
    for (word, text) in [("казино", "КАЗИНО"), ("straße", "STRASSE"), ("λόγος", "ΛΟΓΟΣ")]
    {
        assert!(caught(&rule(FilterKind::Words, &[word]), text), "{text}");
    }
}

#[test]
fn links_are_told_by_where_they_lead() {
    let none = rule(FilterKind::NoLinksTo, &["bad.example", "*.worse.example"]);
    for text in [
        "http://bad.example",
        "see https://www.BAD.example/x?y#z",
        "[a](https://user:good.example@bad.example:8080/)",
        "bad.example/path",
        "a.b.worse.example",
        "http://bad。example/",
        "b\u{200b}ad.example",
        "(bad.example)",
    ] {
        assert!(caught(&none, text), "{text}");
    }
    for text in [
        "http://good.example/bad.example.html",
        "notbad.example",
        "bad example",
    ] {
        assert!(!caught(&none, text), "{text}");
    }
    let only = rule(FilterKind::OnlyLinksTo, &["good.example"]);
    for text in [
        "http://good.example/",
        "https://docs.good.example",
        "e.g. this",
        "no link",
        "version 1.2.3",
    ] {
        assert!(!caught(&only, text), "{text}");
    }
    for text in [
        "http://other.example",
        "ftp://good.example.evil",
        "www.other.example",
        "https://good.example@other.example",
    ] {
        assert!(caught(&only, text), "{text}");
    }
    assert!(
        caught(&rule(FilterKind::OnlyLinksTo, &[]), "http://any.example"),
        "no links at all"
    );
}

#[test]
fn invitations_into_other_spaces_are_known_by_their_form() {
    let rule = rule(FilterKind::NoInvites, &[]);
    // Made by `veza_platform::invite_code` for 018f0000-0000-7000-8000-000000000001.
    assert!(caught(&rule, "join us: AY8AAAAAcACAAAAAAAAAAQcHBwcHBwcHBw !"));
    assert!(
        !caught(&rule, "0123456789012345678901234567890123"),
        "no id of ours"
    );
    assert!(!caught(&rule, "join us"));
    let own = Uuid::try_parse("018f0000-0000-7000-8000-000000000001").unwrap();
    let filters = Filters::from(std::slice::from_ref(&rule));
    let code = "AY8AAAAAcACAAAAAAAAAAQcHBwcHBwcHBw";
    assert!(
        filters
            .catches(code, &BTreeSet::new(), Some(own.into()))
            .is_none()
    );
}

#[test]
fn who_holds_an_exempt_role_may_say_it() {
    let rule = FilterRule {
        exempt: [GUESTS].into(),
        ..rule(FilterKind::Words, &["zut"])
    };
    let filters = Filters::from(&[rule][..]);
    assert!(filters.catches("zut", &[GUESTS].into(), None).is_none());
    assert_eq!(
        filters.catches("zut", &BTreeSet::new(), None).unwrap().name,
        "rule"
    );
}

#[test]
fn who_manages_a_space_sets_its_rules_within_limits() {
    let set = |rules: Vec<FilterRule>| SpaceCommand::SetFilters { rules };
    let good = rule(FilterKind::Words, &["zut"]);
    let expected = FiltersSet {
        rules: vec![good.clone()],
    };
    space()
        .when(&by(OWNER), set(vec![good.clone()]))
        .then([expected.clone()]);
    space_with([expected.into()])
        .when(&by(OWNER), set(vec![good.clone()]))
        .then_nothing();
    for actor in [MEMBER, LEADER] {
        space()
            .when(&by(actor), set(vec![]))
            .then_rejected("space.not_allowed");
    }
    let with = |change: &dyn Fn(&mut FilterRule)| {
        let mut rule = good.clone();
        change(&mut rule);
        rule
    };
    for (rules, code) in [
        (vec![good.clone(), good.clone()], "filter.name_taken"),
        (vec![with(&|rule| rule.name = " ".into())], "filter.name_invalid"),
        (
            vec![with(&|rule| rule.entries = vec!["*".into()])],
            "filter.entry_invalid",
        ),
        (
            vec![with(&|rule| rule.entries = vec!["...".into()])],
            "filter.entry_invalid",
        ),
        (vec![with(&|rule| rule.entries.clear())], "filter.entry_invalid"),
        (
            vec![with(&|rule| rule.entries = vec!["x".repeat(101)])],
            "filter.entry_invalid",
        ),
        (
            vec![with(&|rule| rule.kind = FilterKind::NoLinksTo)],
            "filter.entry_invalid",
        ),
        (
            vec![with(&|rule| rule.time_out_s = Some(0))],
            "filter.time_out_invalid",
        ),
        (
            vec![with(&|rule| rule.exempt = [RoleId::new(Uuid::nil())].into())],
            "role.not_found",
        ),
        (
            vec![with(&|rule| {
                rule.entries = vec!["w".into(); MAX_FILTER_ENTRIES + 1];
            })],
            "filter.too_many",
        ),
        (
            vec![with(&|rule| {
                rule.entries = vec!["w*".into(); MAX_FILTER_PATTERNS + 1];
            })],
            "filter.too_many",
        ),
        (
            (0..=MAX_FILTER_RULES)
                .map(|n| with(&|rule| rule.name = n.to_string()))
                .collect(),
            "filter.too_many",
        ),
    ] {
        space().when(&by(OWNER), set(rules)).then_rejected(code);
    }
}

proptest! {
    #[test]
    fn no_text_is_too_much(text in ".{0,300}", entry in ".{0,40}") {
        for kind in [FilterKind::Words, FilterKind::NoLinksTo, FilterKind::OnlyLinksTo, FilterKind::NoInvites] {
            caught(&rule(kind, &[&entry]), &text);
        }
    }

    #[test]
    fn a_word_is_found_in_any_text_around_it(before in "[^a-z]{0,20}", after in "[^a-z]{0,20}") {
        let text = format!("{before} zut {after}");
        prop_assert!(caught(&rule(FilterKind::Words, &["zut"]), &text));
    }

    #[test]
    fn stars_stand_for_any_letters(parts in prop::collection::vec("[a-c]{0,3}", 2..5), fill in prop::collection::vec("[a-c]{0,3}", 5)) {
        let pattern = parts.join("*");
        let word: String = parts.iter().zip(&fill).enumerate()
            .map(|(n, (part, fill))| if n + 1 < parts.len() { format!("{part}{fill}") } else { part.clone() })
            .collect();
        prop_assert!(fits(&pattern, &word), "{} {}", pattern, word);
    }
}

//! What can stand as a reaction: one emoji as people see it, or the name of a custom one.
//!
//! The grammar is that of UTS #51 (ED-14 to ED-17): keycaps, flags, and pictographs with their variation,
//! skin tone and tags, joined by zero-width joiners. Which of the well-formed ones a font draws is not for us.

/// Longest reaction. The longest emoji of Unicode 16 has 35 bytes (families of four with skin tones more).
pub const MAX_EMOJI_BYTES: usize = 64;
/// Fewest and most characters between the colons of a custom emoji.
const NAME_CHARS: std::ops::RangeInclusive<usize> = 2..=32;

const JOINER: char = '\u{200D}';
const EMOJI_STYLE: char = '\u{FE0F}';
const KEYCAP: char = '\u{20E3}';
const LAST_TAG: char = '\u{E007F}';

/// Whether a text is one reaction.
pub(super) fn is_reaction(text: &str) -> bool {
    text.len() <= MAX_EMOJI_BYTES && (is_name(text) || is_emoji(text))
}

fn is_name(text: &str) -> bool {
    let name = text.strip_prefix(':').and_then(|rest| rest.strip_suffix(':'));
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'+' | b'-');
    name.is_some_and(|name| NAME_CHARS.contains(&name.len()) && name.bytes().all(fits))
}

fn is_emoji(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    match chars[..] {
        [first, second] if is_regional(first) && is_regional(second) => true,
        [key, KEYCAP] | [key, EMOJI_STYLE, KEYCAP] => matches!(key, '0'..='9' | '#' | '*'),
        _ => chars.split(|&c| c == JOINER).all(is_element),
    }
}

/// A pictograph with what may follow it.
fn is_element(chars: &[char]) -> bool {
    let [base, rest @ ..] = chars else { return false };
    let rest = strip(rest, |c| c == EMOJI_STYLE);
    let rest = strip(rest, |c| matches!(c, '\u{1F3FB}'..='\u{1F3FF}'));
    let tags_end = rest.last() == Some(&LAST_TAG) && rest.len() > 1;
    let tags = rest.iter().all(|c| matches!(c, '\u{E0020}'..=LAST_TAG));
    is_pictograph(*base) && (rest.is_empty() || tags && tags_end)
}

fn strip(chars: &[char], is: impl Fn(char) -> bool) -> &[char] {
    match chars {
        [first, rest @ ..] if is(*first) => rest,
        _ => chars,
    }
}

fn is_regional(c: char) -> bool {
    matches!(c, '\u{1F1E6}'..='\u{1F1FF}')
}

/// The blocks that emoji come from.
fn is_pictograph(c: char) -> bool {
    matches!(
        c,
        '\u{A9}'
            | '\u{AE}'
            | '\u{203C}'
            | '\u{2049}'
            | '\u{2122}'
            | '\u{2139}'
            | '\u{2194}'..='\u{21AA}'
            | '\u{231A}'..='\u{23FF}'
            | '\u{24C2}'
            | '\u{25AA}'..='\u{27BF}'
            | '\u{2934}'..='\u{2935}'
            | '\u{2B05}'..='\u{2B55}'
            | '\u{3030}'
            | '\u{303D}'
            | '\u{3297}'
            | '\u{3299}'
            | '\u{1F000}'..='\u{1F1E5}'
            | '\u{1F200}'..='\u{1F3FA}'
            | '\u{1F400}'..='\u{1FAFF}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_emoji_as_people_see_it_is_a_reaction() {
        let good = [
            "👍",
            "👍🏽",
            "❤️",
            "❤",
            "🇫🇷",
            "1️⃣",
            "#⃣",
            "👨‍👩‍👧‍👦",
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
            "🏳️‍🌈",
            "🧀",
            "🤷🏾‍♀️",
            "™️",
            ":party_parrot:",
            ":+1:",
            "🫱🏻‍🫲🏿",
        ];
        for emoji in good {
            assert!(is_reaction(emoji), "{emoji}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        let bad = [
            "",
            "a",
            "👍👍",
            "👍 ",
            " 👍",
            "ok",
            ":a:",
            ":Party:",
            ":a b:",
            "::",
            ":",
            "🇫",
            "🇫🇷🇩",
            "1",
            "\u{200D}",
            "👍\u{200D}",
            "\u{200D}👍",
            "\u{FE0F}",
            "<b>",
            "👍\u{202E}",
            "👍\0",
            "🏽🏽",
        ];
        for text in bad {
            assert!(!is_reaction(text), "{text:?}");
        }
        assert!(!is_reaction(&"👨‍".repeat(20)));
    }

    proptest! {
        #[test]
        fn a_reaction_is_short_and_has_nothing_that_could_be_markup(text in ".{0,12}|:[a-z]{0,40}:") {
            if is_reaction(&text) {
                prop_assert!(text.len() <= MAX_EMOJI_BYTES);
                prop_assert!(!text.contains(['<', '>', '&', '"', '\'', '/', ' ', '\n', '%', '?']));
            }
        }
    }
}

//! The links of a text that a page is shown of.

use std::ops::Range;

/// What a link is not followed by although it may stand in it.
const TRAILING: [char; 12] = ['.', ',', ';', ':', '!', '?', '\'', '*', '_', '~', '-', '…'];

/// The first `most` different links, as they are written. Those in code are left out, and those in `<…>`: so an
/// author says that nothing is to be shown of a page.
pub(crate) fn links(text: &str, most: usize) -> Vec<&str> {
    let code = code(text);
    let mut found: Vec<&str> = Vec::new();
    let mut from = 0;
    while let Some(at) = next(text, from) {
        let end = end(text, at);
        from = end.max(at + 1);
        let before = text[..at].chars().next_back();
        let within = before.is_some_and(char::is_alphanumeric);
        let hidden = before == Some('<') && text[end..].starts_with('>');
        let quoted = code.iter().any(|span| span.contains(&at));
        let link = &text[at..end];
        let bare = link.ends_with("//");
        if !within && !hidden && !quoted && !bare && !found.contains(&link) {
            found.push(link);
        }
        if found.len() >= most {
            break;
        }
        // `from` must lie between characters.
        while !text.is_char_boundary(from) {
            from += 1;
        }
    }
    found
}

fn next(text: &str, from: usize) -> Option<usize> {
    let rest = text.as_bytes().get(from..)?;
    let begins = |at: usize, word: &[u8]| {
        rest.get(at..at + word.len())
            .is_some_and(|part| part.eq_ignore_ascii_case(word))
    };
    (0..rest.len())
        .find(|&at| begins(at, b"http://") || begins(at, b"https://"))
        .map(|at| from + at)
}

fn end(text: &str, at: usize) -> usize {
    let (mut open, mut end) = (0_usize, text.len());
    for (offset, c) in text[at..].char_indices() {
        match c {
            '(' => open += 1,
            ')' if open > 0 => open -= 1,
            ')' | '<' | '>' | '"' | '`' | '|' | '\\' | ']' => {
                end = at + offset;
                break;
            }
            c if c.is_whitespace() || c.is_control() => {
                end = at + offset;
                break;
            }
            _ => {}
        }
    }
    at + text[at..end].trim_end_matches(TRAILING).len()
}

/// Where code stands: between two runs of as many backticks.
fn code(text: &str) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| **byte == b'`').count();
        if length > 0 {
            runs.push((at, length));
        }
        at += length.max(1);
    }
    let (mut spans, mut number) = (Vec::new(), 0);
    while let Some(&(begin, length)) = runs.get(number) {
        let closing = runs[number + 1..].iter().position(|run| run.1 == length);
        match closing {
            Some(offset) => {
                number += offset + 1;
                spans.push(begin..runs[number].0);
            }
            // A fence that is never closed goes to the end.
            None if length >= 3 => {
                spans.push(begin..text.len());
                break;
            }
            None => {}
        }
        number += 1;
    }
    spans
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: &[&str]) {
        assert_eq!(links(text, 3), expect, "{text}");
    }

    #[test]
    fn links_end_where_people_mean() {
        check("see https://a.example/x?y=1#z.", &["https://a.example/x?y=1#z"]);
        check("(https://a.example/b_(c)), ok", &["https://a.example/b_(c)"]);
        check("[text](https://a.example/d) more", &["https://a.example/d"]);
        check("**https://a.example/e**", &["https://a.example/e"]);
        check("HTTPS://A.example é", &["HTTPS://A.example"]);
        check("https://é.example/ü…", &["https://é.example/ü"]);
    }

    #[test]
    fn what_is_no_link_or_not_to_be_shown_is_left_out() {
        check("no links, xhttp://a.example ftp://a.example http://", &[]);
        check(
            "<https://a.example/quiet> https://a.example/loud",
            &["https://a.example/loud"],
        );
        check(
            "`https://a.example/1` ``x ` https://a.example/2`` https://a.example/3",
            &["https://a.example/3"],
        );
        check(
            "```\nhttps://a.example/1\n``` https://a.example/2",
            &["https://a.example/2"],
        );
        check("```\nhttps://a.example/1", &[]);
        check("a ` b https://a.example/1", &["https://a.example/1"]);
    }

    #[test]
    fn each_is_shown_once_and_only_so_many() {
        check(
            "http://a.example http://a.example http://b.example",
            &["http://a.example", "http://b.example"],
        );
        let many = [
            "http://0.example",
            "http://1.example",
            "http://2.example",
            "http://3.example",
        ]
        .join(" ");
        assert_eq!(links(&many, 3).len(), 3);
        assert_eq!(links(&many, 1), ["http://0.example"]);
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(text in "([a-z é(`<>)\\]*.:/]|https?://){0,40}") {
            for link in links(&text, 3) {
                prop_assert!(link.to_ascii_lowercase().starts_with("http") && text.contains(link));
            }
        }
    }
}

//! Texts of others as Markdown, in pieces that fit.

use super::slack::Names;

/// Slack writes mentions and links in angle brackets, and three characters as entities.
pub(crate) fn from_slack(text: &str, names: &Names) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        out.push_str(before);
        let Some((inside, after)) = behind.split_once('>') else {
            out.push('<');
            rest = behind;
            continue;
        };
        reference(inside, names, &mut out);
        rest = after;
    }
    out.push_str(rest);
    out.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

fn reference(inside: &str, names: &Names, out: &mut String) {
    let (target, label) = inside
        .split_once('|')
        .map_or((inside, None), |(a, b)| (a, Some(b)));
    let name =
        |known: Option<&String>, id: &str| known.map_or_else(|| label.unwrap_or(id).to_owned(), Clone::clone);
    if let Some(id) = target.strip_prefix('@') {
        out.push('@');
        out.push_str(&name(names.users.get(id), id));
    } else if let Some(id) = target.strip_prefix('#') {
        out.push('#');
        out.push_str(&name(names.channels.get(id), id));
    } else if let Some(special) = target.strip_prefix('!') {
        out.push_str(label.unwrap_or(special));
    } else if let Some(label) = label.filter(|label| *label != target) {
        out.extend(["[", label, "](", target, ")"]);
    } else {
        out.push_str(target);
    }
}

/// Without what no message may have in it.
pub(crate) fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// Pieces of at most so many characters and bytes, cut at ends of lines and words where there are some.
pub(crate) fn pieces(text: &str, chars: usize, bytes: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > bytes || rest.chars().nth(chars).is_some() {
        let mut end = rest
            .char_indices()
            .nth(chars)
            .map_or(rest.len(), |(at, _)| at)
            .min(bytes);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let cut = rest[..end].rfind('\n').or_else(|| rest[..end].rfind(' '));
        let end = cut.filter(|cut| *cut > end / 2).unwrap_or(end).max(1);
        let end = (end..=rest.len())
            .find(|at| rest.is_char_boundary(*at))
            .unwrap_or(rest.len());
        pieces.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    if !rest.trim().is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_comes_in_pieces_that_fit_and_loses_nothing() {
        let text = "one two three four five six seven eight nine ten";
        let cut = pieces(text, 12, 100);
        assert!(cut.iter().all(|piece| piece.chars().count() <= 12), "{cut:?}");
        assert_eq!(cut.join(" ").replace("  ", " "), text);
        let cheese = "🧀".repeat(10);
        let cut = pieces(&cheese, 100, 9);
        assert!(cut.iter().all(|piece| piece.len() <= 9), "{cut:?}");
        assert_eq!(cut.concat(), cheese);
        assert_eq!(pieces("  ", 5, 5), Vec::<String>::new());
    }

    #[test]
    fn control_characters_go() {
        assert_eq!(clean("a\0b\r\nc\td\u{1b}[31m"), "ab\nc\td[31m");
    }
}

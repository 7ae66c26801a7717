//! Names of files, as far as they are safe to show and to store under.

/// Longest name, in characters.
const MAX_CHARS: usize = 120;

/// `name` without folders, control and direction characters, shortened before its ending.
pub(crate) fn clean(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .collect();
    let kept = kept.trim().trim_matches('.').trim();
    if kept.is_empty() {
        return "file".to_owned();
    }
    let count = kept.chars().count();
    if count <= MAX_CHARS {
        return kept.to_owned();
    }
    let (stem, ending) = match kept.rsplit_once('.') {
        Some((stem, ending)) if ending.chars().count() <= 12 => (stem, format!(".{ending}")),
        _ => (kept, String::new()),
    };
    let room = MAX_CHARS - ending.chars().count();
    stem.chars().take(room).collect::<String>() + &ending
}

/// Turns the direction of reading, or is not seen at all: `gpj.exe` must not look like `exe.jpg`.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_only_a_name() {
        for (given, kept) in [
            ("cat.png", "cat.png"),
            ("../../etc/passwd", "passwd"),
            (r"C:\Users\ada\r\u{e9}sum\u{e9}.pdf", "u{e9}.pdf"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("a\r\nSet-Cookie: x.txt", "a Set-Cookie: x.txt"),
            ("...", "file"),
            ("", "file"),
            ("\u{7}\0", "file"),
        ] {
            assert_eq!(clean(given).replace("  ", " "), kept);
        }
    }

    #[test]
    fn a_long_name_keeps_its_ending() {
        let name = clean(&format!("{}.jpeg", "\u{e4}".repeat(500)));
        assert_eq!(name.chars().count(), 120);
        assert!(name.ends_with("\u{e4}.jpeg"));
        assert_eq!(clean(&"x".repeat(500)).len(), 120);
    }
}

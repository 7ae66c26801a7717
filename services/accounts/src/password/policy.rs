//! Which passwords are taken: long enough, and not what everybody tries first (NIST SP 800-63B-4, 3.1.1.2).
//! No rules of composition.

use std::collections::HashSet;
use std::sync::LazyLock;

use veza_platform::contract::Problem;

/// Most characters of a password; more would only cost time.
pub(crate) const MAX_CHARS: usize = 256;
/// Names shorter than this may occur in a password by chance.
const MIN_NAME_CHARS: usize = 4;
/// A password that repeats a piece of at most so many characters is as weak as the piece.
const MAX_PERIOD: usize = 4;

/// What is tried first, of twelve characters and more, in lower case.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("common.txt").lines().collect());

/// Refuses what is too short, too long, or easily guessed. `names` are the account's own. `field` names
/// the field at fault.
pub(crate) fn check(password: &str, min_chars: usize, names: &[&str], field: &str) -> Result<(), Problem> {
    let refuse = |code: &str, detail: String| Err(Problem::field(code, field, detail));
    let chars = password.chars().count();
    if chars < min_chars {
        let detail = format!("a password has at least {min_chars} characters");
        return refuse("account.password_too_short", detail);
    }
    if chars > MAX_CHARS {
        let detail = format!("a password has at most {MAX_CHARS} characters");
        return refuse("account.password_too_long", detail);
    }
    let folded = password.to_lowercase();
    if COMMON.contains(folded.as_str()) || COMMON.contains(without_tail(&folded)) || is_regular(&folded) {
        let detail = "this password is among the first that are tried; choose another";
        return refuse("account.password_common", detail.to_owned());
    }
    if names.iter().any(|name| contains_name(&folded, name)) {
        let detail = "a password must not contain the name of its account";
        return refuse("account.password_has_name", detail.to_owned());
    }
    Ok(())
}

/// Without the digits and signs that people append.
fn without_tail(password: &str) -> &str {
    password.trim_end_matches(|c: char| !c.is_alphabetic())
}

/// One short piece again and again, or characters that follow on one another.
fn is_regular(password: &str) -> bool {
    let chars: Vec<u32> = password.chars().map(u32::from).collect();
    let repeats = |period: usize| chars.iter().zip(&chars[period..]).all(|(a, b)| a == b);
    let steps = |by: i64| {
        chars
            .windows(2)
            .all(|pair| i64::from(pair[1]) - i64::from(pair[0]) == by)
    };
    (1..=MAX_PERIOD.min(chars.len() / 2)).any(repeats) || steps(1) || steps(-1)
}

fn contains_name(password: &str, name: &str) -> bool {
    let name = name.trim().to_lowercase();
    name.chars().count() >= MIN_NAME_CHARS && password.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(password: &str) -> Option<String> {
        check(password, 12, &["Lovelace", "ada", ""], "password")
            .err()
            .map(|problem| problem.code)
    }

    #[test]
    fn the_list_is_of_use_and_in_its_form() {
        assert!(COMMON.len() >= 1_000, "{}", COMMON.len());
        for entry in COMMON.iter() {
            assert_eq!(&entry.to_lowercase(), entry);
            assert!(entry.chars().count() >= 12, "{entry}");
        }
    }

    #[test]
    fn length_counts_in_characters() {
        assert_eq!(code("elf zeichen").as_deref(), Some("account.password_too_short"));
        assert_eq!(code("zwölf zeiche"), None);
        assert_eq!(
            code(&"käse".repeat(65)).as_deref(),
            Some("account.password_too_long")
        );
    }

    #[test]
    fn what_is_tried_first_is_refused() {
        for password in [
            "password1234",
            "Password1234",
            "qwertyuiop123",
            "qwertyuiopasdf2024!",
            "123456789012",
            "aaaaaaaaaaaaaa",
            "abcdabcdabcd",
            "zyxwvutsrqpon",
        ] {
            assert_eq!(
                code(password).as_deref(),
                Some("account.password_common"),
                "{password}"
            );
        }
    }

    #[test]
    fn the_name_of_the_account_is_no_password() {
        assert_eq!(
            code("my LOVELACE phrase").as_deref(),
            Some("account.password_has_name")
        );
        assert_eq!(code("canada dry and cold"), None, "a short name occurs by chance");
    }

    #[test]
    fn a_phrase_is_taken() {
        for password in [
            "correct horse battery staple 9",
            "wir essen um acht",
            "パスワードは長いほうがよい",
            "x7!kQ02mvL_p",
        ] {
            assert_eq!(code(password), None, "{password}");
        }
    }
}

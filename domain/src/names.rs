//! What may be called how: one form per name for comparing, and what is no name at all.

use unicode_normalization::UnicodeNormalization;

/// Fewest and most characters of a handle.
pub const HANDLE_CHARS: (usize, usize) = (2, 32);
/// Most bytes of an e-mail address (RFC 5321, 4.5.3.1.3, without the angle brackets).
pub const MAX_EMAIL_BYTES: usize = 254;
/// Most bytes before the `@` (RFC 5321, 4.5.3.1.1).
const MAX_EMAIL_LOCAL_BYTES: usize = 64;
/// Most characters of a display name, and of the names of spaces, rooms and roles.
pub const MAX_NAME_CHARS: usize = 100;
/// Most characters of a room's topic.
pub const MAX_TOPIC_CHARS: usize = 1_000;
/// Most characters of the reason for a deed.
pub const MAX_REASON_CHARS: usize = 500;
/// Most characters kept of what a device calls itself.
pub const MAX_DEVICE_CHARS: usize = 100;

/// What is wrong with a text; reads on after the name of what it should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing that can be seen.
    #[error("is empty")]
    Empty,
    /// Fewer characters than allowed.
    #[error("is shorter than {0} characters")]
    TooShort(usize),
    /// More characters than allowed.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// A control character, or one that turns the direction of writing.
    #[error("has a control character in it")]
    Control,
    /// Not a name to be called by.
    #[error("may have a-z, 0-9 and, between them, `.`, `_` and `-`")]
    HandleForm,
    /// Not an address.
    #[error("is not an e-mail address")]
    EmailForm,
}

/// The one form of a handle or an address by which two are compared: NFKC and lowercase, without the
/// blanks around it.
pub fn normalise(text: &str) -> String {
    let folded: String = text.trim().nfkc().flat_map(char::to_lowercase).collect();
    folded.nfkc().collect::<String>().trim().to_owned()
}

/// The normalised form of a handle.
///
/// # Errors
/// When it cannot be one.
pub fn handle(text: &str) -> Result<String, NameFault> {
    let name = normalise(text);
    let (min, max) = HANDLE_CHARS;
    let chars = name.chars().count();
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    match chars {
        0 => Err(NameFault::Empty),
        _ if chars > max => Err(NameFault::TooLong(max)),
        _ if !name.chars().all(inner) || !name.starts_with(outer) || !name.ends_with(outer) => {
            Err(NameFault::HandleForm)
        }
        _ if chars < min => Err(NameFault::TooShort(min)),
        _ => Ok(name),
    }
}

/// The normalised form of an e-mail address. Whether mail arrives there is found out by sending some.
///
/// # Errors
/// When it cannot be one.
pub fn email(text: &str) -> Result<String, NameFault> {
    let address = normalise(text);
    if address.is_empty() {
        return Err(NameFault::Empty);
    }
    if address.len() > MAX_EMAIL_BYTES {
        return Err(NameFault::TooLong(MAX_EMAIL_BYTES));
    }
    let (local, domain) = address.rsplit_once('@').ok_or(NameFault::EmailForm)?;
    let local_char = |c: char| !c.is_whitespace() && !is_control(c) && !"@\"(),:;<>[\\]".contains(c);
    let local_fits = !local.is_empty()
        && local.len() <= MAX_EMAIL_LOCAL_BYTES
        && local.chars().all(local_char)
        && local.split('.').all(|part| !part.is_empty());
    let label_fits = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if local_fits && domain.split('.').all(label_fits) {
        Ok(address)
    } else {
        Err(NameFault::EmailForm)
    }
}

/// A name to be shown: of a person, a space, a room, a role. As typed, without the blanks around it.
///
/// # Errors
/// When it is empty, longer than [`MAX_NAME_CHARS`], or has control characters.
pub fn shown(text: &str) -> Result<String, NameFault> {
    match line(text, MAX_NAME_CHARS)? {
        name if is_blank(&name) => Err(NameFault::Empty),
        name => Ok(name),
    }
}

/// The topic of a room: one line, may be empty.
///
/// # Errors
/// When it is longer than [`MAX_TOPIC_CHARS`], or has control characters.
pub fn topic(text: &str) -> Result<String, NameFault> {
    line(text, MAX_TOPIC_CHARS)
}

/// Why something was done: one line; `None` when nothing is said.
///
/// # Errors
/// When it is longer than [`MAX_REASON_CHARS`], or has control characters.
pub fn reason(text: &str) -> Result<Option<String>, NameFault> {
    Ok(Some(line(text, MAX_REASON_CHARS)?).filter(|text| !is_blank(text)))
}

/// What a device calls itself, made fit to be shown: never refused, since people do not choose it.
pub fn device(text: &str) -> Option<String> {
    let name: String = text
        .chars()
        .filter(|&c| !is_control(c))
        .take(MAX_DEVICE_CHARS)
        .collect();
    (!is_blank(&name)).then(|| name.trim().to_owned())
}

/// Whether nothing of a text can be seen.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_invisible(c))
}

/// Whether a message could not be stored or shown as it is: control characters other than those of
/// plain text.
pub fn has_foreign_control(text: &str) -> bool {
    text.chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

fn line(text: &str, max: usize) -> Result<String, NameFault> {
    let name = text.trim();
    if name.chars().nth(max).is_some() {
        return Err(NameFault::TooLong(max));
    }
    if name.chars().any(is_control) {
        return Err(NameFault::Control);
    }
    Ok(name.to_owned())
}

/// Control characters, and those that turn the direction of writing (UAX #9): a name with one in it can
/// pass for another.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// Characters that take part in a text without leaving a mark of their own.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{034F}'
            | '\u{061C}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{180B}'..='\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{E0000}'..='\u{E0FFF}'
    ) || c.is_control()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_handle_is_compared_without_case_and_width() {
        assert_eq!(handle(" Ada.Lovelace "), Ok("ada.lovelace".into()));
        assert_eq!(handle("ＡＤＡ"), Ok("ada".into()));
    }

    #[test]
    fn what_is_no_handle_is_refused_with_the_reason() {
        let faults = [
            ("", NameFault::Empty),
            ("a", NameFault::TooShort(2)),
            (&"a".repeat(33), NameFault::TooLong(32)),
            ("-ada", NameFault::HandleForm),
            ("ada.", NameFault::HandleForm),
            ("a da", NameFault::HandleForm),
            ("аda", NameFault::HandleForm), // the first letter is Cyrillic
            ("ada@home", NameFault::HandleForm),
        ];
        for (text, fault) in faults {
            assert_eq!(handle(text), Err(fault), "{text:?}");
        }
        assert!(handle(&"a".repeat(32)).is_ok() && handle("a1").is_ok() && handle("0x_-.1").is_ok());
    }

    #[test]
    fn an_address_has_two_parts_around_the_last_at() {
        for good in [
            "Ada@Example.org",
            "a.b+c@localhost",
            "ünï@exämple.de",
            "o'hara@x.y",
        ] {
            assert_eq!(email(good), Ok(good.to_lowercase()), "{good}");
        }
        let long = format!("{}@x.y", "a".repeat(65));
        for bad in [
            "ada", "@x.y", "ada@", "a@b@c", "a b@x.y", ".a@x.y", "a@-x.y", "a@x..y", "a\0@x.y", &long,
        ] {
            assert_eq!(email(bad), Err(NameFault::EmailForm), "{bad:?}");
        }
        assert_eq!(email(&"a@".repeat(200)), Err(NameFault::TooLong(254)));
    }

    #[test]
    fn a_shown_name_can_be_seen_and_fits_one_line() {
        assert_eq!(shown("  Käse & Brot 🧀 "), Ok("Käse & Brot 🧀".into()));
        assert_eq!(shown("\u{200B}\u{FEFF} "), Err(NameFault::Empty));
        assert_eq!(shown("a\nb"), Err(NameFault::Control));
        assert_eq!(shown("a\u{202E}b"), Err(NameFault::Control));
        assert_eq!(shown(&"é".repeat(101)), Err(NameFault::TooLong(100)));
        assert!(shown(&"é".repeat(100)).is_ok());
        assert_eq!(topic("   "), Ok(String::new()));
    }

    #[test]
    fn a_device_is_named_whatever_it_says() {
        assert_eq!(device("Firefox\n on Linux").as_deref(), Some("Firefox on Linux"));
        assert_eq!(device(" \u{0}").as_deref(), None);
        assert_eq!(device(&"x".repeat(500)).map(|name| name.len()), Some(100));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing_more(text in ".{0,40}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }

        #[test]
        fn an_accepted_name_is_its_own_normal_form(text in "[ -~]{0,40}|.{0,20}@.{0,20}") {
            if let Ok(name) = handle(&text) {
                prop_assert_eq!(handle(&name), Ok(name));
            }
            if let Ok(address) = email(&text) {
                prop_assert_eq!(email(&address), Ok(address));
            }
        }

        #[test]
        fn an_accepted_shown_name_is_accepted_again_and_visible(text in ".{0,120}") {
            if let Ok(name) = shown(&text) {
                prop_assert!(!is_blank(&name) && name.chars().count() <= MAX_NAME_CHARS);
                prop_assert_eq!(shown(&name), Ok(name));
            }
        }
    }
}

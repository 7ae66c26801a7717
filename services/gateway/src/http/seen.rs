//! Changing only what one has seen: `If-Match` with the `ETag` of an earlier answer (RFC 9110, 13.1.1).

use http::header;
use poem::Request;
use veza_platform::contract::Caller;

use super::header::{Header, header_parameter};
use super::problem::Failure;

/// The sequence at which the caller has seen what it changes.
#[derive(Default)]
pub(super) struct Seen(Option<u64>);

impl Seen {
    /// The caller, who changes nothing that has changed since.
    pub(super) fn by(&self, caller: Caller) -> Caller {
        Caller {
            seen: self.0,
            ..caller
        }
    }
}

impl Header for Seen {
    async fn read(request: &Request) -> Result<Self, Failure> {
        let mut newest = None;
        for value in request.headers().get_all(header::IF_MATCH) {
            let list = value.to_str().map_err(|_| unreadable())?;
            // Any state matches.
            if list.trim() != "*" {
                newest = newest.max(Some(newest_in(list).ok_or_else(unreadable)?));
            }
        }
        Ok(Self(newest))
    }
}
header_parameter!(Seen);

fn unreadable() -> Failure {
    let detail =
        "pass the `ETag` of an earlier answer, such as \"123\", or the `seq` of an item in its place";
    Failure::unreadable("request.if_match", "If-Match", detail)
}

/// The newest of the tags in a list. None but ours is one: a weak tag never matches.
fn newest_in(list: &str) -> Option<u64> {
    let sequence = |tag: &str| {
        let tag = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
        let (digits, view) = tag.split_once('.').unwrap_or((tag, ""));
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let ours = plain && view.bytes().all(|byte| byte.is_ascii_hexdigit());
        ours.then(|| digits.parse::<u64>().ok())?
    };
    list.split(',')
        .map(sequence)
        .try_fold(0, |newest, tag| Some(newest.max(tag?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_tags_are_read() {
        for (list, read) in [
            ("\"12\"", Some(12)),
            (" \"12\" , \"7\"", Some(12)),
            ("\"12.0a1b\"", Some(12)),
            ("\"12.x\"", None),
            ("12", None),
            ("W/\"12\"", None),
            ("\"\"", None),
            ("\"-1\"", None),
            ("\"99999999999999999999\"", None),
            ("\"12\",", None),
        ] {
            assert_eq!(newest_in(list), read, "{list}");
        }
    }
}

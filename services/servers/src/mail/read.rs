//! Mails that were caught, as people read them.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How an encoded word begins.
const ENCODED: &str = "=?utf-8?b?";

/// A mail that was caught.
#[derive(Debug, Clone)]
pub struct CaughtMail {
    /// Where it lies.
    pub file: PathBuf,
    /// Its head, unfolded.
    pub headers: Vec<(String, String)>,
    parts: Vec<(String, String)>,
}

impl CaughtMail {
    /// The mails in a folder, oldest first.
    pub fn list(dir: &Path) -> Vec<Self> {
        let files = files(dir).into_iter();
        files.filter_map(|file| Self::read(&file)).collect()
    }

    /// One mail; `None` when it is gone.
    pub fn read(file: &Path) -> Option<Self> {
        let raw = std::fs::read(file).ok()?;
        let text = String::from_utf8_lossy(&raw).replace("\r\n", "\n");
        let (headers, body) = split(&text);
        let mut parts = Vec::new();
        let kind = of(&headers, "content-type").unwrap_or_default();
        match boundary(&kind) {
            Some(boundary) => {
                for piece in body.split(&format!("--{boundary}")).skip(1) {
                    if !piece.starts_with("--") {
                        let (headers, body) = split(piece.trim_start_matches('\n'));
                        parts.push(decoded(&headers, body));
                    }
                }
            }
            None => parts.push(decoded(&headers, body)),
        }
        Some(Self {
            file: file.to_owned(),
            headers,
            parts,
        })
    }

    /// The value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<String> {
        of(&self.headers, name)
    }

    /// What it says as plain text.
    pub fn text(&self) -> &str {
        self.part("text/plain")
    }

    /// What it says as HTML.
    pub fn html(&self) -> &str {
        self.part("text/html")
    }

    fn part(&self, kind: &str) -> &str {
        let part = self.parts.iter().find(|(of, _)| of.starts_with(kind));
        part.map_or("", |(_, text)| text)
    }
}

/// The mails in a folder by age, oldest first.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "eml"))
        .collect();
    files.sort_unstable();
    files
}

/// The number of the newest mail in a folder, 0 if there is none.
pub(super) fn last(dir: &Path) -> u64 {
    let newest = files(dir).pop();
    let number = newest.and_then(|file| file.file_stem()?.to_str()?.parse().ok());
    number.unwrap_or(0)
}

fn split(text: &str) -> (Vec<(String, String)>, &str) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let head = head.replace("\n ", " ").replace("\n\t", " ");
    let headers = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), in_words(value.trim())))
    });
    (headers.collect(), body)
}

fn of(headers: &[(String, String)], name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let found = headers.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.clone())
}

fn boundary(kind: &str) -> Option<String> {
    let (_, rest) = kind.split_once("boundary=")?;
    let rest = rest.split(';').next().unwrap_or(rest);
    Some(rest.trim().trim_matches('"').to_owned())
}

fn decoded(headers: &[(String, String)], body: &str) -> (String, String) {
    let kind = of(headers, "content-type").unwrap_or_else(|| "text/plain".to_owned());
    let encoding = of(headers, "content-transfer-encoding").unwrap_or_default();
    let text = if encoding.eq_ignore_ascii_case("quoted-printable") {
        quoted_printable(body)
    } else {
        body.to_owned()
    };
    (kind, text)
}

/// A header without encoded words (RFC 2047), of which ours are all UTF-8 in base64.
fn in_words(value: &str) -> String {
    let mut read = String::new();
    let mut rest = value;
    while let Some((before, (word, behind))) = rest
        .split_once(ENCODED)
        .and_then(|(before, rest)| Some((before, rest.split_once("?=")?)))
    {
        // Between two of them white space is nothing.
        if read.is_empty() || !before.trim().is_empty() {
            read.push_str(before);
        }
        let bytes = STANDARD.decode(word).unwrap_or_default();
        read.push_str(&String::from_utf8_lossy(&bytes));
        rest = behind;
    }
    read + rest
}

/// RFC 2045, 6.7.
fn quoted_printable(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('=');
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        if let Some(rest) = piece.strip_prefix('\n') {
            bytes.extend_from_slice(rest.as_bytes());
            continue;
        }
        let byte = piece.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (byte, rest) = byte.map_or((b'=', piece), |byte| (byte, &piece[2..]));
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_printable_is_read() {
        assert_eq!(quoted_printable("a=3Db=\nc =C3=A9=\n"), "a=bc é");
        assert_eq!(quoted_printable("a = b"), "a = b");
    }

    #[test]
    fn words_of_other_letters_are_read() {
        assert_eq!(in_words("Vous avez =?utf-8?b?w6k=?= vu"), "Vous avez é vu");
        assert_eq!(in_words("=?utf-8?b?w6k=?= =?utf-8?b?w6k=?="), "éé");
        assert_eq!(in_words("plain =?utf-8?b?w6k"), "plain =?utf-8?b?w6k");
    }

    #[test]
    fn headers_are_unfolded_and_parts_told_apart() {
        let (headers, body) = split("Subject: a\n b\nTo: x@y\n\nwords\n\nmore");
        assert_eq!(of(&headers, "Subject").as_deref(), Some("a b"));
        assert_eq!(body, "words\n\nmore");
        let kind = "multipart/alternative; boundary=\"abc\"; x=1";
        assert_eq!(boundary(kind).as_deref(), Some("abc"));
    }
}

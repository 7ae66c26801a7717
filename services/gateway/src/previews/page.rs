//! What a page says of itself: Open Graph (<https://ogp.me>), and what stood in pages before it. Only tokens are
//! looked at: a page never becomes a tree, however deep it is.

use std::cell::{Cell, RefCell};

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use html5ever::Attribute;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::{Rawtext, Rcdata, ScriptData};
use html5ever::tokenizer::{
    BufferQueue, CharacterTokens, EndTag, StartTag, Tag, TagToken, Token, TokenSink, TokenSinkResult,
    Tokenizer, TokenizerOpts,
};

/// Longest texts, in characters.
const TITLE: usize = 300;
const DESCRIPTION: usize = 500;
const SITE: usize = 100;
/// Where a page says in which letters it is written (WHATWG: the first 1,024 bytes).
const PRESCAN: usize = 1_024;

/// What a page says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) site: Option<String>,
    /// As it is written, perhaps relative.
    pub(super) picture: Option<String>,
}

/// Reads a page, or its beginning.
pub(super) fn read(bytes: &[u8], content_type: &str) -> Page {
    let (text, ..) = encoding(bytes, content_type).decode(bytes);
    let tokenizer = Tokenizer::new(Sink::default(), TokenizerOpts::default());
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from_slice(&text));
    while let html5ever::TokenizerResult::Script(()) = tokenizer.feed(&queue) {}
    tokenizer.end();
    tokenizer.sink.page()
}

fn encoding(bytes: &[u8], content_type: &str) -> &'static Encoding {
    let named = |text: &[u8]| {
        let at = text
            .windows(8)
            .position(|part| part.eq_ignore_ascii_case(b"charset="))?;
        let label: Vec<u8> = text[at + 8..]
            .iter()
            .copied()
            .skip_while(|byte| matches!(byte, b'"' | b'\'' | b' '))
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"-_:".contains(byte))
            .collect();
        Encoding::for_label(&label)
    };
    let head = &bytes[..bytes.len().min(PRESCAN)];
    let named = named(content_type.as_bytes()).or_else(|| named(head));
    named.unwrap_or_else(|| match std::str::from_utf8(bytes) {
        // The last character may have been cut.
        Err(error) if error.error_len().is_some() => WINDOWS_1252,
        _ => UTF_8,
    })
}

/// Properties, best first.
const TITLES: [&str; 2] = ["og:title", "twitter:title"];
const DESCRIPTIONS: [&str; 3] = ["og:description", "twitter:description", "description"];
const SITES: [&str; 2] = ["og:site_name", "application-name"];
const PICTURES: [&str; 5] = [
    "og:image:secure_url",
    "og:image",
    "og:image:url",
    "twitter:image",
    "twitter:image:src",
];

/// Takes the first value of each property.
#[derive(Default)]
struct Sink {
    found: RefCell<Vec<(&'static str, String)>>,
    title: RefCell<String>,
    in_title: Cell<bool>,
    titled: Cell<bool>,
}

impl Sink {
    fn page(&self) -> Page {
        let found = self.found.borrow();
        let best = |names: &[&str]| {
            let mut all = names
                .iter()
                .filter_map(|name| found.iter().find(|(found, _)| found == name));
            all.next().map(|(_, value)| value.clone())
        };
        let title = best(&TITLES).unwrap_or_else(|| self.title.borrow().clone());
        Page {
            title: clean(&title, TITLE),
            description: best(&DESCRIPTIONS).and_then(|text| clean(&text, DESCRIPTION)),
            site: best(&SITES).and_then(|text| clean(&text, SITE)),
            picture: best(&PICTURES),
        }
    }

    fn meta(&self, attributes: &[Attribute]) {
        let value = |name: &str| {
            let found = attributes.iter().find(|attribute| *attribute.name.local == *name);
            found.map(|attribute| &*attribute.value)
        };
        let Some(content) = value("content").filter(|content| !content.trim().is_empty()) else {
            return;
        };
        let Some(name) = value("property").or_else(|| value("name")) else {
            return;
        };
        let known = [&TITLES[..], &DESCRIPTIONS, &SITES, &PICTURES].concat();
        let known = known
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(name.trim()));
        let mut found = self.found.borrow_mut();
        if let Some(known) = known
            && !found.iter().any(|(found, _)| *found == known)
        {
            found.push((known, content.to_owned()));
        }
    }

    fn begins(&self, tag: &Tag) -> TokenSinkResult<()> {
        match &*tag.name {
            "meta" => self.meta(&tag.attrs),
            "title" if !self.titled.get() => {
                self.in_title.set(true);
                return TokenSinkResult::RawData(Rcdata);
            }
            "title" | "textarea" => return TokenSinkResult::RawData(Rcdata),
            "script" => return TokenSinkResult::RawData(ScriptData),
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => return TokenSinkResult::RawData(Rawtext),
            // A picture drawn in the page may have a title of its own.
            "svg" => self.titled.set(true),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        match token {
            TagToken(tag) if tag.kind == StartTag => return self.begins(&tag),
            TagToken(tag) if tag.kind == EndTag && &*tag.name == "title" && self.in_title.get() => {
                self.in_title.set(false);
                self.titled.set(true);
            }
            CharacterTokens(text) if self.in_title.get() => {
                let mut title = self.title.borrow_mut();
                if title.len() < 8 * TITLE {
                    title.push_str(&text);
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// On one line, without what turns or hides text, and not too long.
fn clean(text: &str, most: usize) -> Option<String> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| word.chars().filter(|c| !hidden(*c)).collect())
        .collect();
    let line = words.join(" ");
    let line = line.trim();
    let cut = match line.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", line[..at].trim_end()),
        None => line.to_owned(),
    };
    Some(cut).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(html: &str) -> Page {
        read(html.as_bytes(), "text/html")
    }

    /// What is expected of a text.
    #[expect(clippy::unnecessary_wraps, reason = "texts of a page may be absent")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn open_graph_is_believed_before_the_rest() {
        let html = r#"<!doctype html><html><head><title>Plain &amp; old</title>
            <META name="description" content="old">
            <meta property="og:title" content="The &quot;title&quot;"><meta property=og:title content=second>
            <meta property="og:description" content="  Of
            two lines "><meta property="og:site_name" content="Site">
            <meta property="og:image" content="/a.png"></head><body>"#;
        assert_eq!(
            page(html),
            Page {
                title: some("The \"title\""),
                description: some("Of two lines"),
                site: some("Site"),
                picture: some("/a.png"),
            }
        );
        let html =
            "<title>Plain &amp; old</title><svg><title>icon</title></svg><meta name=description content=old>";
        assert_eq!(
            (page(html).title, page(html).description),
            (some("Plain & old"), some("old"))
        );
    }

    #[test]
    fn what_only_looks_like_a_tag_is_none() {
        let html = r#"<script>"<meta property='og:title' content='script'>"</script>
            <!-- <title>comment</title> --><textarea><title>text</title></textarea>
            <style><title>style</title></style><title>real</title>"#;
        assert_eq!(page(html).title, some("real"));
        assert_eq!(
            page("<title>unclosed"),
            Page {
                title: some("unclosed"),
                ..Page::default()
            }
        );
        assert_eq!(page("<meta property=og:title content=' '>"), Page::default());
    }

    #[test]
    fn texts_are_short_and_do_not_turn_the_page_around() {
        let html = format!("<title>{}</title>", "x".repeat(1_000));
        assert_eq!(page(&html).title.unwrap().chars().count(), TITLE + 1);
        assert_eq!(page("<title>a\u{202e}b\u{200b}c</title>").title, some("abc"));
    }

    #[test]
    fn letters_of_older_pages_are_read() {
        let latin = b"<title>Caf\xe9</title>";
        assert_eq!(read(latin, "text/html").title, some("Café"));
        assert_eq!(
            read("<title>Café</title>".as_bytes(), "text/html").title,
            some("Café")
        );
        let greek = b"<meta charset='iso-8859-7'><title>\xe1</title>";
        assert_eq!(read(greek, "text/html").title, some("α"));
        assert_eq!(
            read(b"<title>\x83\x65</title>", "text/html; charset=Shift_JIS").title,
            some("テ")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_page(bytes: Vec<u8>, tags in "(<[/a-z!-]{0,8}[ =a-z\"']{0,9}>?|[a-z& ;]{0,4}){0,60}") {
            read(&bytes, "text/html");
            read(tags.as_bytes(), "text/html; charset=");
        }
    }

    #[test]
    fn a_deep_page_costs_what_a_flat_one_does() {
        let deep = "<div>".repeat(200_000) + "<title>end</title>";
        assert_eq!(page(&deep).title, some("end"));
    }
}

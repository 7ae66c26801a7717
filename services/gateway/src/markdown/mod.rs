//! A message's Markdown as HTML that can be put into a page as it is.
//!
//! Safe by construction: nothing of the text is ever taken over as a tag. Each tag is written here, out of a closed
//! set, and whatever people wrote is escaped, raw HTML too. Links lead to the web or to a mailbox, or are text;
//! pictures are links, so that reading a message asks no foreign server for anything. The grammar stands in the tests.

use std::collections::HashMap;
use std::fmt::Write;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TextMergeStream};
use uuid::Uuid;

use crate::mentions::names;

/// Deepest nesting that is shown; what lies deeper is shown at this depth.
const MAX_DEPTH: usize = 24;
/// Longest name of a programming language, in characters.
const MAX_LANGUAGE_CHARS: usize = 32;
/// Longest address that is made a link, in bytes.
const MAX_ADDRESS_BYTES: usize = 2_048;
/// What links may lead to.
const SCHEMES: [&str; 3] = ["https://", "http://", "mailto:"];

/// Whom names in a text mean: by mark and name in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meant(HashMap<(char, String), Target>);

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A person.
    Account(Uuid),
    /// A role.
    Role(Uuid),
    /// A room.
    Room(Uuid),
    /// Everybody in the room.
    Everyone,
    /// Everybody who is there.
    Here,
}

impl Meant {
    /// A name behind a mark means this.
    pub(crate) fn add(&mut self, mark: char, name: &str, target: Target) {
        self.0.entry((mark, name.to_lowercase())).or_insert(target);
    }

    fn get(&self, mark: char, name: &str) -> Option<Target> {
        self.0.get(&(mark, name.to_lowercase())).copied()
    }
}

/// The HTML of a text.
pub(crate) fn html(text: &str, meant: &Meant) -> String {
    let parser = Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH);
    let mut page = Page {
        html: String::with_capacity(text.len() * 5 / 4 + 16),
        open: Vec::new(),
        links: 0,
        code: 0,
        meant,
    };
    for event in TextMergeStream::new(parser) {
        page.take(event);
    }
    page.html
}

struct Page<'a> {
    html: String,
    /// What closes each thing that is open; the last one first.
    open: Vec<Closing>,
    /// Links that are open; in one there is no other, and nobody is spoken of.
    links: usize,
    /// Blocks of code that are open.
    code: usize,
    meant: &'a Meant,
}

struct Closing {
    tag: &'static str,
    link: bool,
    code: bool,
}

impl Page<'_> {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.begin(&tag),
            Event::End(_) => self.end(),
            Event::Text(text) if self.code > 0 || self.links > 0 => escape(&mut self.html, &text),
            Event::Text(text) => self.prose(&text),
            Event::Code(text) => {
                self.html.push_str("<code>");
                escape(&mut self.html, &text);
                self.html.push_str("</code>");
            }
            Event::SoftBreak => self.html.push('\n'),
            Event::HardBreak => self.html.push_str("<br>\n"),
            Event::Rule => self.html.push_str("<hr>\n"),
            // Raw HTML is text; the other things are not asked of the parser.
            Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => escape(&mut self.html, &text),
            Event::TaskListMarker(_) => {}
        }
    }

    fn begin(&mut self, tag: &Tag<'_>) {
        if self.open.len() >= MAX_DEPTH {
            // Code stays code, so that nothing in it is taken for a name.
            let code = matches!(tag, Tag::CodeBlock(_));
            self.code += usize::from(code);
            return self.open.push(Closing {
                tag: "",
                link: false,
                code,
            });
        }
        let (opening, closing) = match tag {
            Tag::Paragraph | Tag::HtmlBlock => ("<p>", "</p>\n"),
            Tag::Heading { level, .. } => {
                let level = usize::from(u8::try_from(*level as usize).unwrap_or(6).clamp(1, 6)) - 1;
                (
                    ["<h1>", "<h2>", "<h3>", "<h4>", "<h5>", "<h6>"][level],
                    ["</h1>\n", "</h2>\n", "</h3>\n", "</h4>\n", "</h5>\n", "</h6>\n"][level],
                )
            }
            Tag::BlockQuote(_) => ("<blockquote>\n", "</blockquote>\n"),
            Tag::CodeBlock(kind) => return self.begin_code(kind),
            Tag::List(None) => ("<ul>\n", "</ul>\n"),
            Tag::List(Some(first)) => {
                // Writing to a string cannot fail.
                let _ = writeln!(self.html, "<ol start=\"{first}\">");
                ("", "</ol>\n")
            }
            Tag::Item => ("<li>", "</li>\n"),
            Tag::Emphasis => ("<em>", "</em>"),
            Tag::Strong => ("<strong>", "</strong>"),
            Tag::Strikethrough => ("<del>", "</del>"),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => return self.begin_link(dest_url),
            // Not asked of the parser.
            _ => ("", ""),
        };
        self.html.push_str(opening);
        self.open.push(Closing {
            tag: closing,
            link: false,
            code: false,
        });
    }

    fn begin_code(&mut self, kind: &CodeBlockKind<'_>) {
        let language = match kind {
            CodeBlockKind::Fenced(info) => info.split_whitespace().next().unwrap_or_default(),
            CodeBlockKind::Indented => "",
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '_' | '#' | '.');
        let named = !language.is_empty()
            && language.chars().all(plain)
            && language.chars().nth(MAX_LANGUAGE_CHARS).is_none();
        if named {
            let _ = write!(self.html, "<pre><code class=\"language-{language}\">");
        } else {
            self.html.push_str("<pre><code>");
        }
        self.code += 1;
        self.open.push(Closing {
            tag: "</code></pre>\n",
            link: false,
            code: true,
        });
    }

    fn begin_link(&mut self, address: &str) {
        let shown = self.links == 0 && leads_out(address);
        if shown {
            self.html.push_str("<a href=\"");
            escape(&mut self.html, address);
            self.html.push_str("\" rel=\"nofollow noopener noreferrer\">");
        }
        self.links += usize::from(shown);
        self.open.push(Closing {
            tag: if shown { "</a>" } else { "" },
            link: shown,
            code: false,
        });
    }

    fn end(&mut self) {
        if let Some(Closing { tag, link, code }) = self.open.pop() {
            self.html.push_str(tag);
            self.links -= usize::from(link);
            self.code -= usize::from(code);
        }
    }

    /// Text with the names in it.
    fn prose(&mut self, text: &str) {
        let mut done = 0;
        for name in names::marked(text) {
            let Some(target) = self.meant.get(name.mark, name.name) else {
                continue;
            };
            escape(&mut self.html, &text[done..name.begin]);
            let _ = match target {
                Target::Account(id) => write!(self.html, "<span data-account=\"{id}\">"),
                Target::Role(id) => write!(self.html, "<span data-role=\"{id}\">"),
                Target::Room(id) => write!(self.html, "<span data-room=\"{id}\">"),
                Target::Everyone => write!(self.html, "<span data-all=\"everyone\">"),
                Target::Here => write!(self.html, "<span data-all=\"here\">"),
            };
            escape(&mut self.html, &text[name.begin..name.end]);
            self.html.push_str("</span>");
            done = name.end;
        }
        escape(&mut self.html, &text[done..]);
    }
}

/// Whether an address is one that a link may have: of the web or of a mailbox, without anything that could hide
/// what it is.
fn leads_out(address: &str) -> bool {
    let allowed = |scheme: &&str| {
        let head = address.get(..scheme.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(scheme)) && address.len() > scheme.len()
    };
    let hides = |c: char| {
        c.is_control()
            || c.is_whitespace()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    address.len() <= MAX_ADDRESS_BYTES && SCHEMES.iter().any(allowed) && !address.contains(hides)
}

fn escape(html: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\0' => html.push('\u{fffd}'),
            c => html.push(c),
        }
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

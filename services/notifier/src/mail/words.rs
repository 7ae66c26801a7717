//! What mails say: the same as plain text and as simple HTML, which is written here tag by tag.

use std::fmt::Write as _;

/// What a mail says.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// One line. No names of people or rooms: it is shown on locked screens.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

impl Words {
    /// Begins a mail in English.
    pub fn new(subject: &str) -> Self {
        Self::in_language("en", subject)
    }

    /// Begins a mail; the language by its tag (BCP 47).
    pub fn in_language(tag: &'static str, subject: &str) -> Self {
        let shown = escape(subject);
        Self {
            subject: subject.to_owned(),
            text: String::new(),
            html: format!(
                "<!doctype html>\n<html lang=\"{tag}\"><meta charset=\"utf-8\">\n<title>{shown}</title>\n\
                 <body style=\"font: 16px/1.5 sans-serif; max-width: 40em; margin: 0 auto; padding: 1em\">\n"
            ),
        }
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn paragraph(mut self, text: &str) -> Self {
        let _ = writeln!(self.text, "{text}\n");
        let _ = writeln!(self.html, "<p>{}</p>", escape(text));
        self
    }

    /// Adds what somebody said, under who said it where.
    #[must_use]
    pub fn quote(mut self, head: &str, said: Option<&str>) -> Self {
        let _ = writeln!(self.text, "{head}");
        let _ = writeln!(self.html, "<p><strong>{}</strong></p>", escape(head));
        if let Some(said) = said {
            for line in said.lines() {
                let _ = writeln!(self.text, "> {line}");
            }
            let shown = escape(said).replace('\n', "<br>");
            let _ = writeln!(self.html, "<blockquote>{shown}</blockquote>");
        }
        self.text.push('\n');
        self
    }

    /// Adds a link on a line of its own.
    #[must_use]
    pub fn link(mut self, what: &str, url: &str) -> Self {
        let _ = writeln!(self.text, "{what}:\n{url}\n");
        let (url, what) = (escape(url), escape(what));
        let _ = writeln!(self.html, "<p><a href=\"{url}\">{what}</a></p>");
        self
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_text_and_never_a_tag() {
        let words = Words::new("New <messages>")
            .paragraph("a & b")
            .quote("<b>eve</b> in talk", Some("<script>alert(1)</script>\nsecond"))
            .link("Open", "https://chat.example.org/?a=1&b=\"2\"");
        assert_eq!(words.subject, "New <messages>");
        for tag in ["<b>", "<script", "<messages>", "\"2\""] {
            assert!(!words.html.contains(tag), "{tag}: {}", words.html);
        }
        assert!(
            words
                .html
                .contains("&lt;script&gt;alert(1)&lt;/script&gt;<br>second")
        );
        assert!(
            words
                .text
                .contains("<b>eve</b> in talk\n> <script>alert(1)</script>\n> second\n")
        );
        assert!(
            words
                .text
                .contains("Open:\nhttps://chat.example.org/?a=1&b=\"2\"\n")
        );
    }
}

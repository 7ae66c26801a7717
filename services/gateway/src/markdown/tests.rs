use proptest::prelude::*;

use super::*;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn meant() -> Meant {
    let mut meant = Meant::default();
    meant.add('@', "ada", Target::Account(id(1)));
    meant.add('@', "ops", Target::Role(id(2)));
    meant.add('#', "talk", Target::Room(id(3)));
    meant.add('@', "room", Target::Everyone);
    meant
}

pub(super) fn shown(text: &str) -> String {
    html(text, &meant())
}

const REL: &str = "rel=\"nofollow noopener noreferrer\"";

#[test]
fn markdown_becomes_the_tags_that_it_means() {
    for (text, expected) in [
        ("hi", "<p>hi</p>\n"),
        (
            "**a** *b* ~~c~~ `d`",
            "<p><strong>a</strong> <em>b</em> <del>c</del> <code>d</code></p>\n",
        ),
        (
            "# one\n\n- a\n- b",
            "<h1>one</h1>\n<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n",
        ),
        ("3. x", "<ol start=\"3\">\n<li>x</li>\n</ol>\n"),
        ("> q", "<blockquote>\n<p>q</p>\n</blockquote>\n"),
        ("a\nb  \nc", "<p>a\nb<br>\nc</p>\n"),
        (
            "```rust x\na < b\n```",
            "<pre><code class=\"language-rust\">a &lt; b\n</code></pre>\n",
        ),
        ("```\"><script>\nx\n```", "<pre><code>x\n</code></pre>\n"),
        ("---", "<hr>\n"),
    ] {
        assert_eq!(shown(text), expected, "{text:?}");
    }
}

#[test]
fn links_lead_to_the_web_or_a_mailbox_and_pictures_are_links() {
    let link = |address: &str, text: &str| format!("<p><a href=\"{address}\" {REL}>{text}</a></p>\n");
    assert_eq!(
        shown("[x](https://a.example/?b=1&c)"),
        link("https://a.example/?b=1&amp;c", "x")
    );
    assert_eq!(shown("[x](MAILTO:a@b.example)"), link("MAILTO:a@b.example", "x"));
    assert_eq!(
        shown("![cat](http://a.example/c.png)"),
        link("http://a.example/c.png", "cat")
    );
    assert_eq!(
        shown("[![cat](http://a.example/c.png)](https://b.example)"),
        link("https://b.example", "cat")
    );
    for address in [
        "javascript:alert(1)",
        "data:text/html,x",
        "//a.example",
        "/x",
        "https://",
        "vbscript:x",
        "&#106;avascript:x",
    ] {
        assert_eq!(shown(&format!("[x]({address})")), "<p>x</p>\n", "{address}");
    }
}

#[test]
fn raw_html_is_text() {
    assert_eq!(
        shown("<script>alert(1)</script>"),
        "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"
    );
    assert_eq!(
        shown("a <b onclick=x>b</b>"),
        "<p>a &lt;b onclick=x&gt;b&lt;/b&gt;</p>\n"
    );
}

#[test]
fn names_that_mean_somebody_are_marked_outside_of_code_and_links() {
    let ada = format!("<span data-account=\"{}\">@Ada</span>", id(1));
    assert_eq!(shown("hi @Ada, @eve"), format!("<p>hi {ada}, @eve</p>\n"));
    assert_eq!(shown("x@ada.example"), "<p>x@ada.example</p>\n");
    let both = format!(
        "<p><span data-role=\"{}\">@ops</span> <span data-room=\"{}\">#talk</span> <span data-all=\"everyone\">@room</span></p>\n",
        id(2),
        id(3)
    );
    assert_eq!(shown("@ops #talk @room"), both);
    assert_eq!(shown("`@ada`"), "<p><code>@ada</code></p>\n");
    assert_eq!(
        shown("[@ada](https://a.example)"),
        format!("<p><a href=\"https://a.example\" {REL}>@ada</a></p>\n")
    );
}

#[test]
fn nesting_ends_somewhere_and_long_texts_take_no_time() {
    let deep = "> ".repeat(2_000) + "x";
    assert!(shown(&deep).matches("<blockquote>").count() <= MAX_DEPTH);
    for unit in [
        "[", "*", "`a", "<", "> ", "- ", "![", "_a*", "[a](", "@ada ", "~~",
    ] {
        let text = unit.repeat(16_384 / unit.len());
        let begun = std::time::Instant::now();
        let html = shown(&text);
        assert!(begun.elapsed().as_secs() < 5, "{unit:?}");
        allowed(&html).unwrap();
    }
}

/// The grammar of what may come out: text without `<`, `>`, `"`, `'` and lone `&`, and tags of a closed set that are
/// closed in their order.
pub(super) fn allowed(html: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find(['<', '>', '"', '\'', '&']) {
        let found = &rest[at..];
        if found.starts_with('&') {
            let entity = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"]
                .into_iter()
                .find(|entity| found.starts_with(entity));
            rest = &found[entity.ok_or_else(|| format!("a lone & in {found:.40}"))?.len()..];
            continue;
        }
        let end = found.find('>').filter(|_| found.starts_with('<'));
        let end = end.ok_or_else(|| format!("stray {found:.40}"))?;
        let tag = &found[1..end];
        rest = &found[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last != Some(name) {
                return Err(format!("</{name}> closes {last:?}"));
            }
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if !may_have(name, attributes) {
            return Err(format!("<{tag}>"));
        }
        if !matches!(name, "br" | "hr") {
            open.push(name);
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err(format!("{open:?} are open"))
    }
}

fn may_have(name: &str, attributes: &str) -> bool {
    let quoted = |key: &str| {
        attributes
            .strip_prefix(key)?
            .strip_prefix("=\"")?
            .strip_suffix('"')
    };
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "pre" | "ul" | "li" | "em"
        | "strong" | "del" | "br" | "hr" => attributes.is_empty(),
        "code" => {
            attributes.is_empty()
                || quoted("class")
                    .is_some_and(|class| class.starts_with("language-") && !class.contains(['"', ' ', '&']))
        }
        "ol" => quoted("start").is_some_and(|start| start.parse::<u64>().is_ok()),
        "a" => {
            let address = attributes
                .strip_suffix(&format!("\" {REL}"))
                .and_then(|rest| rest.strip_prefix("href=\""));
            address.is_some_and(|address| {
                let lower = address.to_ascii_lowercase();
                SCHEMES.iter().any(|scheme| lower.starts_with(scheme)) && !address.contains(['"', ' ', '\n'])
            })
        }
        "span" => {
            let of_id = ["data-account", "data-role", "data-room"]
                .into_iter()
                .any(|key| quoted(key).is_some_and(|id| Uuid::try_parse(id).is_ok()));
            of_id || matches!(quoted("data-all"), Some("everyone" | "here"))
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn whatever_is_written_comes_out_in_the_grammar(text in any::<String>()) {
        prop_assert_eq!(allowed(&shown(&text)), Ok(()));
    }

    #[test]
    fn what_is_written_to_break_out_stays_in_the_grammar(parts in prop::collection::vec(prop::sample::select(vec![
        "<", ">", "\"", "'", "&", "&lt;", "&#x3c;", "<script>", "</p>", "<a href=", "javascript:", "https://a.example/", "mailto:",
        "[", "]", "(", ")", "![", "](", "*", "**", "_", "`", "```", "~~", "~~~", "\n", "\n\n", "\n> ", "\n- ", "\n1. ", "\n# ", "    ",
        "\\", "@ada", "@room", "#talk", "<!--", "-->", "<![CDATA[", "]]>", "<?", "\u{0}", "\u{202e}", "\"onmouseover=\"x", "[a]: javascript:x\n", "|", "a", " ",
    ]), 0..60)) {
        let text = parts.concat();
        prop_assert_eq!(allowed(&shown(&text)), Ok(()));
    }
}

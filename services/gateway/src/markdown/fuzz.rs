//! Markdown as strangers may write it: good texts with a few bytes changed, and what must hold whatever they are.

use proptest::prelude::*;

use super::tests::{allowed, shown};
use crate::fuzz::{CASES, edited, edits};
use crate::mentions::names::Names;

const TEXTS: [&[u8]; 6] = [
    b"# one\n\n**a** *b* ~~c~~ `d` @ada, @room #talk\n\n- x\n  1. y\n> q\n",
    b"[x](https://a.example/?b=1&c \"t\") ![cat](http://a.example/c.png) <https://b.example> [a]: javascript:x\n[a]",
    b"```rust x\na < b & \"c\"\n```\n\n    code\n\n~~~\n</code></pre><script>\n~~~",
    b"<script>alert(1)</script> <a href='x' onclick=\"y\">&lt;&#x3c;&amp;</a> <!-- --> <![CDATA[ ]]>",
    "\u{202e}@ada\u{200b} \u{e9}t\u{e9} | a | b |\n|---|---|\n| `|` | \\| |".as_bytes(),
    b"***a **b* c** _d __e_ f__ [[a](b)](c) \\[x\\](javascript:1)",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn what_is_nearly_markdown_stays_in_the_grammar(first in edits(), second in edits()) {
        let bytes = [edited(&TEXTS, &first), edited(&TEXTS, &second)].concat();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert_eq!(allowed(&shown(&text)), Ok(()), "{:?}", text);
        Names::read(&text);
    }
}

//! A page for people who open an export.

use std::fmt::Write as _;

use super::format::{Manifest, Room};

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Veza export</title>\n\
    <style>body{font:16px/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}\
    td,th{padding:.2rem 1rem .2rem 0;text-align:left}</style>\n";

/// Says what is where.
pub(super) fn page(manifest: &Manifest, rooms: &[Room]) -> String {
    let mut page = HEAD.to_owned();
    let whose = if manifest.format.contains("account") {
        "What you have in Veza"
    } else {
        "What was said in a space"
    };
    let _ = writeln!(
        page,
        "<h1>{whose}</h1>\n<p>As of {}.</p>",
        escaped(&manifest.made_at.to_string())
    );
    let _ = writeln!(
        page,
        "<h2>Files of lines</h2>\n<table><tr><th>file<th>lines<th>room</tr>"
    );
    for (file, lines) in &manifest.lines {
        let room = rooms.iter().find(|room| file.contains(&room.room.to_string()));
        let room = room.and_then(|room| room.name.as_deref()).unwrap_or_default();
        let _ = writeln!(
            page,
            "<tr><td><a href=\"{0}\">{0}</a><td>{lines}<td>{1}</tr>",
            escaped(file),
            escaped(room)
        );
    }
    let _ = writeln!(
        page,
        "</table>\n<p>{} files are in <code>files/</code>, ",
        manifest.files
    );
    let _ = writeln!(page, "{} are gone. ", manifest.missing.len());
    page.push_str(
        "Each line is a JSON object; <code>manifest.json</code> says of which kind this export is.</p>\n",
    );
    page
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rooms_are_text() {
        assert_eq!(escaped("<b> & \"x\""), "&lt;b&gt; &amp; &quot;x&quot;");
    }
}

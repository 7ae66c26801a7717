//! The settings in force, for people.

use std::fmt::Write as _;

use super::Config;
use super::schema::{Field, Kind};

/// Widest line of documentation.
const WIDTH: usize = 100;

/// TOML with the documentation of each setting above it. Secrets redact themselves as they are serialised.
pub(super) fn render(config: &Config) -> String {
    let plain = toml::to_string(config).expect("settings are tables of plain values");
    let mut out = String::new();
    let mut table = Field::root();
    let mut shown: Vec<&str> = Vec::new();
    for line in plain.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            unset(&mut out, table, &shown);
            shown.clear();
            table = Field::root().get(name).unwrap_or(Field::root());
            comment(&mut out, &table.doc());
            out.push_str(line);
            out.push('\n');
        } else if let Some((key, _)) = line.split_once(" = ") {
            if let Some(field) = table.get(key) {
                comment(&mut out, &field.doc());
            }
            shown.push(key);
            out.push_str(line);
            out.push_str("\n\n");
        }
    }
    unset(&mut out, table, &shown);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Optional settings without a value, which TOML cannot express.
fn unset(out: &mut String, table: Field, shown: &[&str]) {
    for key in table.keys().filter(|key| !shown.contains(key)) {
        if let Some(field) = table.get(key).filter(|field| field.kind() != Kind::Table) {
            comment(out, &field.doc());
            let _ = writeln!(out, "# {key} is not set\n");
        }
    }
}

fn comment(out: &mut String, doc: &str) {
    let mut line = String::from("#");
    for word in doc.split(' ') {
        if line.len() + word.len() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

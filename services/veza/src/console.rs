//! What a person, or a machine, sees of a command: steps as they go, then a result.

use std::{fmt::Display, io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Where a command tells its progress (standard error) and its result (standard output).
#[derive(Clone, Debug)]
pub(crate) struct Console {
    json: bool,
    terminal: bool,
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Begins a step that takes a while; a moving line on a terminal, one plain line at its end elsewhere.
    pub(crate) fn step(&self, what: impl Into<String>) -> Step {
        let what = what.into();
        let bar = self.terminal.then(|| {
            let bar = ProgressBar::new_spinner().with_message(what.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Step {
            what,
            bar,
            started: std::time::Instant::now(),
        }
    }

    /// A bar over `length` things.
    pub(crate) fn bar(&self, what: &'static str, length: u64) -> ProgressBar {
        if !self.terminal {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("  {msg} {wide_bar} {human_pos}/{human_len} {eta}")
            .expect("the template is fixed");
        ProgressBar::new(length).with_style(style).with_message(what)
    }

    /// A line for people, beside the result.
    #[expect(clippy::print_stderr, reason = "this is where commands speak")]
    #[expect(clippy::unused_self, reason = "callers speak through their console")]
    pub(crate) fn say(&self, line: impl Display) {
        eprintln!("{line}");
    }

    /// The result: `value` as JSON, or the lines that `text` makes of it.
    #[expect(clippy::print_stdout, reason = "this is where commands speak")]
    pub(crate) fn result<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) {
        if self.json {
            println!(
                "{}",
                serde_json::to_string_pretty(value).expect("results are plain data")
            );
        } else {
            println!("{}", text(value).trim_end());
        }
    }
}

/// A step under way. Dropped without [`Step::done`], it disappears: an error says the rest.
pub(crate) struct Step {
    what: String,
    bar: Option<ProgressBar>,
    started: std::time::Instant,
}

impl Step {
    /// The step is over and went well.
    #[expect(clippy::print_stderr, reason = "this is where commands speak")]
    pub(crate) fn done(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!(
            "  ✓ {} ({:.1} s)",
            self.what,
            self.started.elapsed().as_secs_f64()
        );
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Rows of two columns, the first as wide as its widest cell.
pub(crate) fn table<K: AsRef<str>, V: Display>(rows: &[(K, V)]) -> String {
    let width = rows
        .iter()
        .map(|(key, _)| key.as_ref().chars().count())
        .max()
        .unwrap_or(0);
    rows.iter().fold(String::new(), |text, (key, value)| {
        let pad = width - key.as_ref().chars().count();
        text + &format!("  {}{}  {value}\n", key.as_ref(), " ".repeat(pad))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_aligned_by_characters() {
        assert_eq!(super::table(&[("é", 1), ("long", 2)]), "  é     1\n  long  2\n");
    }
}

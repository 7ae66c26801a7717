//! Keeps committed files equal to what they are generated from.

use std::path::Path;

/// The file at `path` from the root of the repository holds `expected`. `VEZA_BLESS=1` writes it anew.
pub(crate) fn check(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    #[expect(clippy::disallowed_methods, reason = "a switch of the one who runs the tests")]
    if std::env::var("VEZA_BLESS").is_ok() {
        std::fs::write(&file, expected).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == expected,
        "{path} is out of date: run the tests with VEZA_BLESS=1 and commit it"
    );
}

//! The log file of a server: what it prints, and what of it an error shows.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::ServerError;

/// A log longer than this many bytes is set aside as `.log.1` at the next start.
const LOG_KEPT: u64 = 8 << 20;
/// Lines of the log that an error shows.
const LAST_LINES: usize = 8;

/// Opens it to append, after putting a long one aside.
pub(crate) fn open(path: &Path) -> Result<File, ServerError> {
    let open = || {
        if std::fs::metadata(path).is_ok_and(|file| file.len() > LOG_KEPT) {
            std::fs::rename(path, path.with_extension("log.1"))?;
        }
        OpenOptions::new().append(true).create(true).open(path)
    };
    open().map_err(ServerError::folder(path))
}

/// The end of a log, for an error message: empty if there is none.
pub(crate) fn last_words(log: &Path) -> String {
    const TAIL: u64 = 4096;
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map(|_| bytes)
    };
    read()
        .map(|bytes: Vec<u8>| indented_tail(&String::from_utf8_lossy(&bytes)))
        .unwrap_or_default()
}

/// The last lines of a text, indented to stand below a message.
pub(crate) fn indented_tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..]
        .iter()
        .fold(String::new(), |text, line| text + "\n    " + line)
}

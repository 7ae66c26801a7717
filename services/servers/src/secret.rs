//! Passwords of an installation: made once, kept in a file that only its owner reads.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::ServerError;

/// `bytes` random bytes in hex, after a letter, so that no server takes it for a number.
pub(crate) fn random(bytes: usize) -> std::io::Result<String> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let mut text = String::from("v");
    for byte in random {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    Ok(text)
}

/// The secret in `path`; on the first call a new one is stored there (mode 0600).
pub(crate) fn load_or_create(path: &Path) -> Result<String, ServerError> {
    match std::fs::read_to_string(path) {
        Ok(secret) if !secret.trim().is_empty() => return Ok(secret.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(ServerError::folder(path)(error)),
    }
    let secret = random(20).map_err(ServerError::folder("/dev/urandom"))?;
    write_private(path, &secret)?;
    Ok(secret)
}

/// Writes `text` to `path`, readable by the owner only.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), ServerError> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(ServerError::folder(path))
}

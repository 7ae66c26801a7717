//! Folders of servers: private to their user.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::ServerError;

/// Makes a folder (mode 0700), and those above it, where they are absent. Returns its absolute path:
/// the servers run in other folders than we do.
pub(crate) fn create(path: &Path) -> Result<PathBuf, ServerError> {
    let path = std::path::absolute(path).map_err(ServerError::folder(path))?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)
        .map_err(ServerError::folder(&path))?;
    Ok(path)
}

//! Where the data of PostgreSQL lies, and as whom it runs.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::ServerError;
use crate::process::RunAs;
use crate::{folder, secret};

/// Where the data goes when it is started by root, and its user may not enter the folder that was asked for.
const SHARED_HOME: &str = "/var/lib/veza";

/// PostgreSQL refuses to run as root: then it runs as the user `postgres` of its package.
pub(super) fn unprivileged_user() -> Result<Option<RunAs>, ServerError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(ServerError::folder("/etc/passwd"))?;
    let fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == "postgres");
    let user = fields.and_then(|fields| {
        Some(RunAs {
            uid: fields.get(2)?.parse().ok()?,
            gid: fields.get(3)?.parse().ok()?,
        })
    });
    user.map(Some).ok_or_else(|| ServerError::Missing {
        program: "the user `postgres`, as which PostgreSQL runs when root starts it,",
        fix: "run `useradd --system postgres`, or start Veza as another user than root".to_owned(),
    })
}

/// The folder that really holds the data: `dir`, or a folder under `/var/lib/veza` that `dir` links to
/// when the server's user may not enter `dir` (say, below `/root`).
pub(super) fn home(dir: &Path, run_as: Option<RunAs>) -> Result<PathBuf, ServerError> {
    let dir = std::path::absolute(dir).map_err(ServerError::folder(dir))?;
    let above = dir.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(above).map_err(ServerError::folder(above))?;
    if let Ok(linked) = std::fs::read_link(&dir) {
        return create_for(&linked, run_as);
    }
    let enters = run_as.is_none_or(|user| above.canonicalize().is_ok_and(|above| may_enter(&above, user)));
    if enters {
        return create_for(&dir, run_as);
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(SHARED_HOME)
        .map_err(ServerError::folder(SHARED_HOME))?;
    let id = secret::random(6).map_err(ServerError::folder("/dev/urandom"))?;
    let home = create_for(&Path::new(SHARED_HOME).join(format!("postgres-{id}")), run_as)?;
    std::os::unix::fs::symlink(&home, &dir).map_err(ServerError::folder(dir))?;
    Ok(home)
}

/// Makes a folder that belongs to the server's user.
pub(super) fn create_for(path: &Path, run_as: Option<RunAs>) -> Result<PathBuf, ServerError> {
    let path = folder::create(path)?;
    give(&path, run_as)?;
    Ok(path)
}

pub(super) fn give(path: &Path, run_as: Option<RunAs>) -> Result<(), ServerError> {
    let Some(RunAs { uid, gid }) = run_as else {
        return Ok(());
    };
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(ServerError::folder(path))
}

/// Whether the user may pass through every folder of the path.
fn may_enter(path: &Path, user: RunAs) -> bool {
    path.ancestors().all(|folder| {
        std::fs::metadata(folder).is_ok_and(|folder| {
            let shift = if folder.uid() == user.uid {
                6
            } else if folder.gid() == user.gid {
                3
            } else {
                0
            };
            folder.permissions().mode() >> shift & 1 == 1
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_folder_of_someone_else_is_not_entered() {
        let path = std::env::temp_dir().join(format!("veza-private-{}", secret::random(6).unwrap()));
        folder::create(&path).unwrap();
        let owner = std::fs::metadata(&path).unwrap();
        let stranger = RunAs {
            uid: owner.uid() + 1,
            gid: owner.gid() + 1,
        };
        assert!(may_enter(
            &path,
            RunAs {
                uid: owner.uid(),
                gid: owner.gid()
            }
        ));
        assert!(!may_enter(&path, stranger));
        std::fs::remove_dir(&path).unwrap();
    }
}

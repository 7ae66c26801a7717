//! The real servers: they keep their data over a stop and a kill, and say what is in their way.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod kept;
mod trouble;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A folder that is removed at the end of its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let port = veza_servers::free_port().unwrap();
        let folder = std::env::temp_dir().join(format!("veza-servers-test-{}-{port}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        // Root's servers run as other users.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o711)).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Where a freshly made PostgreSQL data folder is kept for the tests of this user.
fn kept() -> PathBuf {
    let user = std::fs::metadata("/proc/self").unwrap().uid();
    std::env::temp_dir().join(format!("veza-kept-{user}"))
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

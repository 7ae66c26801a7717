//! The real servers: they keep their data over a stop and a kill, and say what is in their way.

mod cluster;
mod kept;
mod trouble;

use std::path::{Path, PathBuf};

/// A folder that is removed at the end of its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let port = veza_servers::free_port().unwrap();
        let folder = std::env::temp_dir().join(format!("veza-servers-test-{}-{port}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        // Root's servers run as other users.
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
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

/// A freshly made PostgreSQL data folder, shared by the tests of this user.
fn kept() -> PathBuf {
    std::env::temp_dir().join(format!(
        "veza-kept-{}",
        std::fs::metadata("/proc/self").unwrap_uid()
    ))
}

trait Uid {
    fn unwrap_uid(self) -> u32;
}

impl Uid for std::io::Result<std::fs::Metadata> {
    fn unwrap_uid(self) -> u32 {
        std::os::unix::fs::MetadataExt::uid(&self.unwrap())
    }
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

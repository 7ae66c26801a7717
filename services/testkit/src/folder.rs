//! Folders of tests, gone when the test is, however it ends.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// An empty folder, removed when dropped, and in any case when the process has ended.
#[derive(Debug)]
pub struct TestFolder(PathBuf);

impl TestFolder {
    /// Makes one. Its path is short, since sockets may lie in it.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = process_folder().join(COUNT.fetch_add(1, Ordering::Relaxed).to_string());
        create(&path);
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for TestFolder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        // What is left goes with the folder of the process.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is costly to make is kept here for the next test of the same user: a fresh PostgreSQL data folder.
pub(crate) fn kept() -> PathBuf {
    let user = std::fs::metadata("/proc/self")
        .expect("every process has a folder in /proc")
        .uid();
    std::env::temp_dir().join(format!("veza-kept-{user}"))
}

/// The folder of all folders of this process. A small process of its own removes it once this one is gone:
/// a test that is killed removes nothing itself.
fn process_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("veza-test-{}", std::process::id()));
        // Left by another process of the same id, if the machine went down under it.
        let _ = std::fs::remove_dir_all(&folder);
        create(&folder);
        // Its input ends when this process does. Servers may still write for a moment: it tries for a while.
        let script = "trap '' INT TERM HUP; cat >/dev/null; \
                      for _ in 1 2 3 4 5 6 7 8 9; do rm -rf \"$1\" && exit; sleep 0.2; done 2>/dev/null";
        #[expect(clippy::zombie_processes, reason = "it ends after this process")]
        let mut sweeper = Command::new("/bin/sh")
            .args(["-c", script, "sh"])
            .arg(&folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("/bin/sh can be started");
        // Kept open until the process ends.
        std::mem::forget(sweeper.stdin.take());
        folder
    })
}

/// Others may pass through it, but not look: servers started by root run as users of their own.
fn create(path: &Path) {
    std::fs::DirBuilder::new()
        .mode(0o711)
        .create(path)
        .unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
}

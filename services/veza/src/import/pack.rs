//! Archives of strangers: nothing in them is believed, and nothing of them is ever unpacked to disk.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, ensure};
use zip::ZipArchive;

/// Most files of one archive.
const MAX_ENTRIES: usize = 2_000_000;
/// A file larger than this may not be packed more tightly than [`MAX_RATIO`].
const SMALL: u64 = 16 * 1_024 * 1_024;
/// Texts pack ten to thirty times; what packs a thousand times was made to fill memories.
const MAX_RATIO: u64 = 200;

/// Where an export lies: a ZIP, or a folder.
pub(crate) enum Pack {
    Zip(Box<ZipArchive<BufReader<File>>>),
    Folder(PathBuf),
}

impl Pack {
    /// Opens a ZIP of which at most `most` bytes come out.
    pub(crate) fn zip(path: &Path, most: u64) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let mut zip = ZipArchive::new(BufReader::new(file)).context("this is not a whole ZIP")?;
        ensure!(
            zip.len() <= MAX_ENTRIES,
            "the archive has more than {MAX_ENTRIES} files"
        );
        let (mut whole, mut names) = (0_u64, BTreeSet::new());
        for index in 0..zip.len() {
            let entry = zip.by_index_raw(index)?;
            let name = entry.name()?.into_owned();
            ensure!(
                is_inside(&name),
                "the archive names a place outside of it: {name:?}"
            );
            ensure!(!entry.is_symlink(), "the archive has a link in it: {name:?}");
            ensure!(!entry.encrypted(), "the archive is encrypted");
            ensure!(names.insert(name.clone()), "the archive has {name:?} twice");
            whole = whole.saturating_add(entry.size());
            let tight = entry.size() / entry.compressed_size().max(1) > MAX_RATIO;
            ensure!(
                entry.size() <= SMALL || !tight,
                "{name:?} is packed as nothing real is"
            );
        }
        ensure!(
            whole <= most,
            "the archive unpacks to {whole} bytes, more than the {most} that are taken"
        );
        Ok(Self::Zip(Box::new(zip)))
    }

    /// Names of all files, in the archive's order.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Zip(zip) => zip
                .file_names()
                .filter_map(Result::ok)
                .map(Cow::into_owned)
                .collect(),
            Self::Folder(_) => Vec::new(),
        }
    }

    /// The file of this name, of which at most `most` bytes are read; `None` when it is not there.
    pub(crate) fn read(&mut self, name: &str, most: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let read = match self {
            Self::Zip(zip) => match zip.by_name(name) {
                Err(zip::result::ZipError::FileNotFound) => return Ok(None),
                entry => entry?.take(most + 1).read_to_end(&mut bytes)?,
            },
            Self::Folder(folder) => {
                ensure!(is_inside(name), "{name:?} is a place outside of the export");
                match File::open(folder.join(name)) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    file => file?.take(most + 1).read_to_end(&mut bytes)?,
                }
            }
        };
        // Whatever the archive says of its size.
        ensure!(read as u64 <= most, "{name:?} has more than {most} bytes");
        Ok(Some(bytes))
    }
}

/// Whether a name can only mean a place below where it is looked for.
fn is_inside(name: &str) -> bool {
    let plain = |part| matches!(part, Component::Normal(_));
    !name.is_empty() && !name.contains(['\\', '\0']) && Path::new(name).components().all(plain)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// A file of these parts, which goes with the folder.
    pub(crate) fn packed(folder: &Path, parts: &[(&str, &[u8])]) -> PathBuf {
        let path = folder.join("export.zip");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in parts {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    fn refused(parts: &[(&str, &[u8])], most: u64) -> String {
        let folder = veza_testkit::TestFolder::new();
        match Pack::zip(&packed(folder.path(), parts), most) {
            Ok(_) => panic!("it was taken"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn places_outside_of_the_archive_are_refused() {
        for name in ["../../etc/cron.d/x", "/etc/passwd", "a/../../b"] {
            let reason = refused(&[("users.json", b"[]"), (name, b"x")], 1_000);
            assert!(reason.contains("outside"), "{reason}");
        }
    }

    #[test]
    fn bombs_are_refused_before_they_go_off() {
        let zeros = vec![0; 32 * 1_024 * 1_024];
        assert!(refused(&[("a", &zeros)], u64::MAX).contains("nothing real"));
        assert!(refused(&[("a", b"abcdef")], 5).contains("more than the 5"));
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let folder = veza_testkit::TestFolder::new();
        let path = folder.path().join("x.zip");
        std::fs::write(&path, b"PK\x03\x04 and then nothing").unwrap();
        assert!(Pack::zip(&path, 1_000).is_err());
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_not_outside_of_its_folder() {
        let folder = veza_testkit::TestFolder::new();
        std::fs::write(folder.path().join("a"), b"12345").unwrap();
        let mut pack = Pack::Folder(folder.path().to_owned());
        assert_eq!(pack.read("a", 5).unwrap().unwrap(), b"12345");
        assert!(pack.read("a", 4).is_err());
        assert!(pack.read("b", 4).unwrap().is_none());
        for name in ["../a", "/etc/passwd", "./../a"] {
            assert!(pack.read(name, 5).is_err(), "{name}");
        }
    }
}

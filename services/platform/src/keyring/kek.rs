//! Key-encryption keys: they wrap all other keys, and lie in a file of their own.
//!
//! One key per line, base64 of 32 bytes; `#` starts a comment. The last line wraps, every line unwraps:
//! whoever rotates appends a line, and takes the old one away when nothing is wrapped by it any more.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::data_key::{self, Aad, KEY_LEN, aead_key, fresh_material, hex};
use crate::ambient;
use crate::config::KeysConfig;

/// Largest file that is read, bytes: some hundred keys.
const MAX_FILE_BYTES: u64 = 65_536;
/// Bytes of a fingerprint.
const FINGERPRINT_LEN: usize = 8;
/// Permissions that the file must not give: write to the group, anything to others. Reading by the group
/// is let pass, since orchestrators mount secrets as `root:<group> 0440`.
const FORBIDDEN_MODE: u32 = 0o027;

/// Why the key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// No file is configured.
    #[error("`keys.kek_file` is not set: name the file that holds the key-encryption key")]
    NotConfigured,
    /// The file cannot be opened, read or written.
    #[error("the key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others on this machine could read or change it.
    #[error("the key file {path} has mode {mode:04o}: make it private with `chmod 600 {path}`")]
    NotPrivate {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A line is not a key.
    #[error("line {line} of the key file {path} is not base64 of {KEY_LEN} bytes")]
    BadLine {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// There is no key in it.
    #[error("the key file {path} holds no key")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// What a key-encryption key made: which one, and nonce ‖ ciphertext ‖ tag.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Wrapped {
    /// Fingerprint of the key-encryption key.
    pub kek: String,
    /// The wrapped bytes.
    pub bytes: Vec<u8>,
}

/// The key-encryption keys of this installation. Cheap to clone; `Debug` shows fingerprints alone.
#[derive(Clone)]
pub struct Keks(Arc<Vec<Kek>>);

struct Kek {
    fingerprint: String,
    key: LessSafeKey,
}

impl Keks {
    /// Reads `kek_file`, and `previous_kek_file` as older ones.
    ///
    /// # Errors
    /// When a file is missing, open to others, or not of its form.
    pub fn load(config: &KeysConfig) -> Result<Self, KekError> {
        let newest = config.kek_file.as_deref().ok_or(KekError::NotConfigured)?;
        let mut keks = Vec::new();
        if let Some(previous) = &config.previous_kek_file {
            read_file(previous, &mut keks)?;
        }
        read_file(newest, &mut keks)?;
        Ok(Self(Arc::new(keks)))
    }

    /// Makes the file with one fresh key, for its owner alone, unless it is there. Says whether it did.
    /// Two that try at once end up with one file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create_file(path: &Path) -> Result<bool, KekError> {
        create_file(path).map_err(|source| KekError::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// Fingerprint of the one that wraps.
    pub fn newest(&self) -> &str {
        &self.wrapping().fingerprint
    }

    /// Wraps `clear` under the newest one.
    pub fn wrap(&self, aad: &Aad, clear: &[u8]) -> Wrapped {
        let kek = self.wrapping();
        Wrapped {
            kek: kek.fingerprint.clone(),
            bytes: data_key::seal(&kek.key, aad, clear),
        }
    }

    /// The clear bytes; `None` when the key is not among these, or `aad` or bytes are others.
    pub fn unwrap(&self, aad: &Aad, wrapped: &Wrapped) -> Option<Zeroizing<Vec<u8>>> {
        let kek = self.0.iter().find(|kek| kek.fingerprint == wrapped.kek)?;
        data_key::open(&kek.key, aad, &wrapped.bytes).map(Zeroizing::new)
    }

    /// Keys made of `seeds`, the newest last.
    #[cfg(test)]
    pub(crate) fn for_test(seeds: &[u8]) -> Self {
        let kek = |seed: &u8| Kek {
            fingerprint: fingerprint(&[*seed; KEY_LEN]),
            key: aead_key(&[*seed; KEY_LEN]),
        };
        Self(Arc::new(seeds.iter().map(kek).collect()))
    }

    fn wrapping(&self) -> &Kek {
        self.0.last().expect("a file without a key is refused")
    }
}

impl fmt::Debug for Keks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|kek| &kek.fingerprint))
            .finish()
    }
}

fn read_file(path: &Path, keks: &mut Vec<Kek>) -> Result<(), KekError> {
    let text = read_private(path)?;
    let before = keks.len();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let material = key_of(line).ok_or_else(|| KekError::BadLine {
            path: path.to_owned(),
            line: index + 1,
        })?;
        keks.push(Kek {
            fingerprint: fingerprint(&material),
            key: aead_key(&material),
        });
    }
    if keks.len() == before {
        return Err(KekError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(())
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, KekError> {
    let io_error = |source| KekError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io_error)?;
    let mode = file.metadata().map_err(io_error)?.mode() & 0o777;
    if mode & FORBIDDEN_MODE != 0 {
        return Err(KekError::NotPrivate {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(io_error)?;
    Ok(text)
}

fn key_of(line: &str) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let bytes = Zeroizing::new(BASE64.decode(line).ok()?);
    let material: [u8; KEY_LEN] = bytes.as_slice().try_into().ok()?;
    Some(Zeroizing::new(material))
}

/// Names a key without giving it away: 256 random bits cannot be searched.
fn fingerprint(material: &[u8; KEY_LEN]) -> String {
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, material),
        b"veza key-encryption key fingerprint",
    );
    hex(&tag.as_ref()[..FINGERPRINT_LEN])
}

/// Written aside and linked into place: the file is either absent or whole.
fn create_file(path: &Path) -> io::Result<bool> {
    if path.try_exists()? {
        return Ok(false);
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let aside = folder.join(format!(".kek-{}", ambient::new_uuid()));
    let written = write_key(&aside).and_then(|()| match std::fs::hard_link(&aside, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    });
    std::fs::remove_file(&aside)?;
    File::open(folder)?.sync_all()?;
    written
}

fn write_key(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let line = Zeroizing::new(format!("{}\n", BASE64.encode(fresh_material().as_slice())));
    file.write_all(
        b"# Wraps all keys of this Veza. Without it nothing sealed can be read again: keep a copy apart.\n",
    )?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder of its own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("veza-kek-{}", ambient::new_uuid()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn line(seed: u8) -> String {
        BASE64.encode([seed; KEY_LEN])
    }

    fn load(path: &Path) -> Result<Keks, KekError> {
        Keks::load(&KeysConfig {
            kek_file: Some(path.to_owned()),
            ..KeysConfig::default()
        })
    }

    fn aad() -> Aad {
        Aad::framed(&[b"test"])
    }

    #[test]
    fn a_missing_file_is_made_once_and_for_its_owner_alone() {
        let folder = Folder::new();
        let path = folder.0.join("deep/kek");
        assert!(Keks::create_file(&path).unwrap());
        let made = std::fs::read(&path).unwrap();
        assert!(!Keks::create_file(&path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), made);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        load(&path).unwrap();
    }

    #[test]
    fn a_file_that_others_can_read_or_the_group_can_write_is_refused() {
        let folder = Folder::new();
        let path = folder.file("kek", &line(1));
        for (mode, accepted) in [
            (0o600, true),
            (0o400, true),
            (0o440, true),
            (0o644, false),
            (0o604, false),
            (0o660, false),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(load(&path).is_ok(), accepted, "{mode:o}");
        }
    }

    #[test]
    fn the_last_key_wraps_and_all_unwrap() {
        let folder = Folder::new();
        let old = load(&folder.file("old", &line(1))).unwrap();
        let both = load(&folder.file("both", &format!("# old\n{}\n{}  # new\n", line(1), line(2)))).unwrap();
        let new = load(&folder.file("new", &line(2))).unwrap();
        let by_old = old.wrap(&aad(), b"x");
        let by_both = both.wrap(&aad(), b"x");
        assert_eq!(both.unwrap(&aad(), &by_old).unwrap().as_slice(), b"x");
        assert_eq!(new.unwrap(&aad(), &by_both).unwrap().as_slice(), b"x");
        assert!(old.unwrap(&aad(), &by_both).is_none());
        assert!(both.unwrap(&Aad::framed(&[b"other"]), &by_old).is_none());
        assert_eq!(both.newest(), new.newest());
    }

    #[test]
    fn a_previous_file_only_unwraps() {
        let folder = Folder::new();
        let previous = folder.file("old", &line(1));
        let by_old = load(&previous).unwrap().wrap(&aad(), b"x");
        let keks = Keks::load(&KeysConfig {
            kek_file: Some(folder.file("new", &line(2))),
            previous_kek_file: Some(previous),
            ..KeysConfig::default()
        })
        .unwrap();
        assert!(keks.unwrap(&aad(), &by_old).is_some());
        assert_ne!(keks.newest(), by_old.kek);
    }

    #[test]
    fn a_broken_file_is_named_with_its_line_and_without_its_content() {
        let folder = Folder::new();
        let broken = load(&folder.file("kek", &format!("{}\nc2hvcnQ=\n", line(1)))).unwrap_err();
        assert!(
            broken.to_string().starts_with("line 2 of the key file"),
            "{broken}"
        );
        assert!(!broken.to_string().contains("c2hvcnQ"));
        assert!(matches!(
            load(&folder.file("empty", "# none\n")),
            Err(KekError::Empty { .. })
        ));
        assert!(matches!(load(&folder.0.join("absent")), Err(KekError::Io { .. })));
        assert!(matches!(
            Keks::load(&KeysConfig::default()),
            Err(KekError::NotConfigured)
        ));
    }

    #[test]
    fn debug_output_shows_fingerprints_alone() {
        let folder = Folder::new();
        let keks = load(&folder.file("kek", &line(1))).unwrap();
        assert_eq!(format!("{keks:?}"), format!("[{:?}]", keks.newest()));
    }
}

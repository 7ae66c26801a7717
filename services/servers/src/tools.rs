//! Where the programs are.

use std::path::{Path, PathBuf};

use crate::error::ServerError;

/// The oldest PostgreSQL whose SQL the read models use.
const OLDEST_POSTGRES: u32 = 15;

/// One installed PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresInstall {
    /// Major version, e.g. 15.
    pub major: u32,
    /// Folder with `postgres`, `initdb` and `psql`.
    pub bin: PathBuf,
}

/// The programs found on this machine. A missing one is an error only when it is asked for.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    nats_server: Option<PathBuf>,
    redis_server: Option<PathBuf>,
    weed: Option<PathBuf>,
    setpriv: Option<PathBuf>,
    postgres: Vec<PostgresInstall>,
}

impl Tools {
    /// Looks into `.veza/tools/bin` of the current folder and of those above it, then into `PATH`, then
    /// into the folders where Debian keeps PostgreSQL.
    pub fn find() -> Self {
        let mut folders: Vec<PathBuf> = std::env::current_dir()
            .iter()
            .flat_map(|folder| folder.ancestors())
            .map(|folder| folder.join(".veza/tools/bin"))
            .collect();
        // PATH says where programs are; it is not a setting of ours.
        folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
        Self::find_in(&folders, Path::new("/usr/lib/postgresql"))
    }

    fn find_in(folders: &[PathBuf], debian_postgres: &Path) -> Self {
        let program = |names: &[&str]| {
            let mut paths = names
                .iter()
                .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
            paths.find(|path| path.is_file())
        };
        Self {
            nats_server: program(&["nats-server"]),
            redis_server: program(&["redis-server", "valkey-server"]),
            weed: program(&["weed"]),
            setpriv: program(&["setpriv"]),
            postgres: postgres_installs(folders, debian_postgres),
        }
    }

    /// What is missing, as the errors that starting would give.
    pub fn missing(&self) -> Vec<ServerError> {
        let checks = [
            self.nats_server().err(),
            self.postgres().err(),
            self.redis_server().err(),
            self.weed().err(),
            self.setpriv().err(),
        ];
        checks.into_iter().flatten().collect()
    }

    /// `nats-server`.
    pub fn nats_server(&self) -> Result<&Path, ServerError> {
        found(self.nats_server.as_deref(), "nats-server")
    }

    /// `redis-server`, or `valkey-server` where there is no Redis.
    pub fn redis_server(&self) -> Result<&Path, ServerError> {
        found(self.redis_server.as_deref(), "redis-server")
    }

    /// `weed`, the program of SeaweedFS.
    pub fn weed(&self) -> Result<&Path, ServerError> {
        found(self.weed.as_deref(), "weed (SeaweedFS)")
    }

    /// `setpriv` of util-linux, with which servers are started so that they end when their parent does.
    pub fn setpriv(&self) -> Result<&Path, ServerError> {
        found(self.setpriv.as_deref(), "setpriv (util-linux)")
    }

    /// The newest PostgreSQL.
    pub fn postgres(&self) -> Result<&PostgresInstall, ServerError> {
        let newest = self.postgres.iter().max_by_key(|install| install.major);
        newest
            .filter(|install| install.major >= OLDEST_POSTGRES)
            .ok_or_else(|| ServerError::Missing {
                program: "PostgreSQL",
                fix: format!("run `./veza setup`, or install PostgreSQL {OLDEST_POSTGRES} or newer"),
            })
    }

    /// The PostgreSQL that can read data made by `major`.
    pub fn postgres_of(&self, major: u32) -> Option<&PostgresInstall> {
        self.postgres.iter().find(|install| install.major == major)
    }
}

fn found<'a>(path: Option<&'a Path>, program: &'static str) -> Result<&'a Path, ServerError> {
    path.ok_or_else(|| ServerError::Missing {
        program,
        fix: "run `./veza setup`".to_owned(),
    })
}

/// Debian's `<debian>/<major>/bin` folders, and whatever `initdb` the other folders lead to.
fn postgres_installs(folders: &[PathBuf], debian: &Path) -> Vec<PostgresInstall> {
    let debian = std::fs::read_dir(debian)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    // `initdb` on the PATH is often a link: its siblings lie where it leads to.
    let linked = folders
        .iter()
        .filter_map(|folder| Some(folder.join("initdb").canonicalize().ok()?.parent()?.to_owned()));
    let mut installs = Vec::new();
    for bin in debian.chain(linked) {
        let complete = ["postgres", "initdb", "psql"]
            .iter()
            .all(|program| bin.join(program).is_file());
        let Some(major) = complete.then(|| postgres_major(&bin)).flatten() else {
            continue;
        };
        let install = PostgresInstall { major, bin };
        if !installs.contains(&install) {
            installs.push(install);
        }
    }
    installs
}

/// The major version: from Debian's folder name, else by asking (`postgres (PostgreSQL) 18.1`).
fn postgres_major(bin: &Path) -> Option<u32> {
    let folder = bin.parent()?.file_name()?.to_str()?;
    if let Ok(major) = folder.parse() {
        return Some(major);
    }
    let output = std::process::Command::new(bin.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_whitespace().nth(2)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_names_its_fix() {
        let nothing = Tools::find_in(&[], Path::new("/nonexistent"));
        let texts: Vec<String> = nothing.missing().iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 5);
        assert!(
            texts.iter().all(|text| text.contains("./veza setup")),
            "{texts:?}"
        );
    }
}

//! PostgreSQL: made by `initdb` on the first start, listening on loopback only, with a password of its own.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::error::ServerError;
use crate::process::{Launch, Process, RunAs};
use crate::tools::{PostgresInstall, Tools};
use crate::{delegate_to_process, folder, port, process, secret};

const POSTGRES: &str = "PostgreSQL";
const USER: &str = "veza";
/// Where the data goes when it is started by root, and its user may not enter the folder that was asked for.
const SHARED_HOME: &str = "/var/lib/veza";
/// How long the children of a killed server may hold its shared memory.
const RELEASED_WITHIN: Duration = Duration::from_secs(10);

/// How it is started.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Folder for data, password and log; made if absent.
    pub dir: PathBuf,
    /// `None` takes a free port, and keeps it over restarts.
    pub port: Option<u16>,
    /// For tests: no flush to disk, less memory, and the folder in which a freshly made data folder is
    /// kept for the next test to copy, which is ten times as fast as making one.
    pub throwaway: Option<PathBuf>,
}

/// A PostgreSQL server with the database `veza`.
#[derive(Debug)]
pub struct Postgres {
    tools: Tools,
    cluster: Cluster,
    process: Process,
}

/// All that stays the same over restarts.
#[derive(Debug, Clone)]
struct Cluster {
    install: PostgresInstall,
    /// Holds `data`, `password`, `postgres.log`.
    home: PathBuf,
    port: u16,
    password: String,
    throwaway: bool,
    run_as: Option<RunAs>,
}

impl Postgres {
    /// Makes the data folder if there is none, starts the server and waits until it accepts connections.
    pub async fn start(tools: &Tools, options: PostgresOptions) -> Result<Self, ServerError> {
        let port = port::claim(POSTGRES, options.port)?;
        let run_as = unprivileged_user()?;
        let home = home(&options.dir, run_as)?;
        let install = install_for(tools, &home)?;
        if !home.join("data/PG_VERSION").exists() {
            match &options.throwaway {
                Some(kept) => copy_kept(tools, &install, kept, &home, run_as).await?,
                None => initdb(tools, &install, &home, run_as, true).await?,
            }
        }
        let password = secret::load_or_create(&home.join("password"))?;
        let throwaway = options.throwaway.is_some();
        let cluster = Cluster {
            install,
            home,
            port,
            password,
            throwaway,
            run_as,
        };
        let process = cluster.launch(tools).await?;
        let postgres = Self {
            tools: tools.clone(),
            cluster,
            process,
        };
        let known = postgres
            .sql(
                "postgres",
                &format!("SELECT 1 FROM pg_database WHERE datname = '{USER}'"),
            )
            .await?;
        if known.trim().is_empty() {
            postgres.create_database(USER).await?;
        }
        Ok(postgres)
    }

    /// `postgres://user:password@127.0.0.1:port/veza`.
    pub fn url(&self) -> String {
        self.url_of(USER)
    }

    /// The same for another database of this server.
    pub fn url_of(&self, database: &str) -> String {
        format!(
            "postgres://{USER}:{}@127.0.0.1:{}/{database}",
            self.cluster.password, self.cluster.port
        )
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.cluster.port
    }

    /// Creates an empty database. The name must be letters, digits and `_`.
    pub async fn create_database(&self, name: &str) -> Result<(), ServerError> {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\""))
            .await
            .map(drop)
    }

    /// Runs one statement through `psql`; the rows come back as lines, columns parted by `|`.
    pub async fn sql(&self, database: &str, statement: &str) -> Result<String, ServerError> {
        let args = [
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            USER,
            "-d",
            database,
        ];
        let mut launch = self.cluster.run("psql", &args);
        launch.args.extend([
            "-p".into(),
            self.cluster.port.to_string().into(),
            "-c".into(),
            statement.into(),
        ]);
        launch.env.push(("PGPASSWORD", self.cluster.password.clone()));
        process::run(&self.tools, launch).await
    }

    /// Starts it again on the same port and data, stopping it first if it runs.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        if self.is_running() {
            self.stop().await;
        }
        port::claim(POSTGRES, Some(self.port()))?;
        self.process = self.cluster.launch(&self.tools).await?;
        Ok(())
    }
}

delegate_to_process!(Postgres);

impl Cluster {
    /// Children of a server that was killed hold its shared memory for a moment, and a new one then
    /// refuses to start: tried again for a while.
    async fn launch(&self, tools: &Tools) -> Result<Process, ServerError> {
        let tries = async {
            loop {
                match self.try_launch(tools).await {
                    Err(ServerError::Exited(exit)) if exit.last_words.contains("is still in use") => {}
                    result => return result,
                }
            }
        };
        match tokio::time::timeout(RELEASED_WITHIN, tries).await {
            Ok(result) => result,
            Err(_) => self.try_launch(tools).await,
        }
    }

    async fn try_launch(&self, tools: &Tools) -> Result<Process, ServerError> {
        let port = self.port.to_string();
        let mut settings = vec![
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("port", &port),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            // Compiling a query takes longer than the short queries here do.
            ("jit", "off"),
        ];
        if self.throwaway {
            settings.extend([("fsync", "off"), ("full_page_writes", "off")]);
            settings.extend([
                ("shared_buffers", "16MB"),
                ("max_wal_size", "64MB"),
                ("autovacuum_max_workers", "1"),
            ]);
        } else {
            settings.push(("shared_buffers", "128MB"));
        }
        let mut launch = self.run("postgres", &["-D", "data"]);
        launch.args.extend(
            settings
                .iter()
                .flat_map(|(name, value)| ["-c".into(), format!("{name}={value}").into()]),
        );
        launch.args[1] = self.home.join("data").into();
        launch.server = POSTGRES;
        let process = Process::start(tools, launch).await?;
        process
            .ready(|| std::future::ready(Ok(self.accepts(process.pid()))))
            .await?;
        Ok(process)
    }

    fn run(&self, program: &'static str, args: &[&str]) -> Launch {
        launch_in(&self.install, &self.home, self.run_as, program, args)
    }

    /// The server writes into this file who it is and how far it has come.
    fn accepts(&self, pid: u32) -> bool {
        let file = std::fs::read_to_string(self.home.join("data/postmaster.pid")).unwrap_or_default();
        let lines: Vec<&str> = file.lines().map(str::trim).collect();
        lines.first() == Some(&pid.to_string().as_str()) && lines.last() == Some(&"ready")
    }
}

fn launch_in(
    install: &PostgresInstall,
    home: &Path,
    run_as: Option<RunAs>,
    program: &'static str,
    args: &[&str],
) -> Launch {
    Launch {
        server: program,
        program: install.bin.join(program),
        args: args.iter().map(Into::into).collect(),
        env: Vec::new(),
        folder: home.to_owned(),
        log: home.join("postgres.log"),
        run_as,
        stop_signal: Signal::INT,
        stop_within: Duration::from_secs(20),
    }
}

/// The installed version that made the data, or the newest for data that is yet to be made.
fn install_for(tools: &Tools, home: &Path) -> Result<PostgresInstall, ServerError> {
    let Ok(version) = std::fs::read_to_string(home.join("data/PG_VERSION")) else {
        return tools.postgres().cloned();
    };
    let install = version
        .trim()
        .parse()
        .ok()
        .and_then(|major| tools.postgres_of(major));
    let other = || ServerError::OtherVersion {
        path: home.to_owned(),
        made_by: version.trim().to_owned(),
    };
    install.cloned().ok_or_else(other)
}

async fn initdb(
    tools: &Tools,
    install: &PostgresInstall,
    home: &Path,
    run_as: Option<RunAs>,
    durable: bool,
) -> Result<(), ServerError> {
    let password_file = home.join("password");
    secret::load_or_create(&password_file)?;
    give(&password_file, run_as)?;
    // Half a data folder of an attempt that was cut short is in the way of the next.
    let data = home.join("data");
    match std::fs::remove_dir_all(&data) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(ServerError::folder(data)(error));
        }
        _ => {}
    }
    let mut launch = launch_in(
        install,
        home,
        run_as,
        "initdb",
        &["-D", "data.new", "-U", USER, "--pwfile", "password", "--no-sync"],
    );
    // The C locale sorts the same on every machine, so that a rebuilt read model is identical everywhere.
    launch
        .args
        .extend(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"].map(Into::into));
    if !durable {
        launch.args.push("--wal-segsize=1".into());
    }
    let fresh = home.join("data.new");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).map_err(ServerError::folder(&fresh))?;
    }
    process::run(tools, launch).await?;
    if durable {
        // One flush of the file system, where initdb's own makes a thousand of single files.
        let flush = Launch {
            program: "/bin/sync".into(),
            ..launch_in(install, home, None, "sync", &["-f", "data.new"])
        };
        process::run(tools, flush).await?;
    }
    std::fs::rename(&fresh, &data).map_err(ServerError::folder(data))
}

/// Copies the kept data folder to `home`, making it first if there is none of this version yet.
async fn copy_kept(
    tools: &Tools,
    install: &PostgresInstall,
    kept: &Path,
    home: &Path,
    run_as: Option<RunAs>,
) -> Result<(), ServerError> {
    let kept = create_for(kept, run_as)?;
    let master = kept.join(format!("postgres-{}", install.major));
    let lock_path = kept.join("lock");
    let lock = std::fs::File::create(&lock_path).map_err(ServerError::folder(&lock_path))?;
    // Blocks while another test makes it: two seconds, once.
    lock.lock().map_err(ServerError::folder(&lock_path))?;
    if !master.join("data/PG_VERSION").exists() {
        create_for(&master, run_as)?;
        initdb(tools, install, &master, run_as, false).await?;
    }
    drop(lock);
    let copy = Launch {
        program: "/bin/cp".into(),
        args: vec![
            "-a".into(),
            master.join("data").into(),
            master.join("password").into(),
            home.into(),
        ],
        ..launch_in(install, home, None, "cp", &[])
    };
    process::run(tools, copy).await.map(drop)
}

/// PostgreSQL refuses to run as root: then it runs as the user `postgres` of its package.
fn unprivileged_user() -> Result<Option<RunAs>, ServerError> {
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
fn home(dir: &Path, run_as: Option<RunAs>) -> Result<PathBuf, ServerError> {
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
fn create_for(path: &Path, run_as: Option<RunAs>) -> Result<PathBuf, ServerError> {
    let path = folder::create(path)?;
    give(&path, run_as)?;
    Ok(path)
}

fn give(path: &Path, run_as: Option<RunAs>) -> Result<(), ServerError> {
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

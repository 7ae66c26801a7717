//! PostgreSQL: made by `initdb` on the first start, listening on loopback only, with a password of its own.

mod make;
mod place;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use self::make::{copy_kept, initdb};
use self::place::{home, unprivileged_user};
use crate::error::ServerError;
use crate::process::{Launch, Process, RunAs};
use crate::tools::{PostgresInstall, Tools};
use crate::{delegate_to_process, port, process, secret};

const POSTGRES: &str = "PostgreSQL";
const USER: &str = "veza";
/// A file beside the data that says: the database is there.
const MADE: &str = "database-made";
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
        if !cluster.home.join(MADE).exists() {
            cluster.make_database(tools).await?;
        }
        Ok(Self {
            tools: tools.clone(),
            cluster,
            process,
        })
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
        self.cluster.sql(&self.tools, database, statement).await
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
    /// Creates the database of our own on a running server, if it is not there.
    async fn make_database(&self, tools: &Tools) -> Result<(), ServerError> {
        let known = format!("SELECT 1 FROM pg_database WHERE datname = '{USER}'");
        if self.sql(tools, "postgres", &known).await?.trim().is_empty() {
            self.sql(tools, "postgres", &format!("CREATE DATABASE {USER}"))
                .await?;
        }
        let made = self.home.join(MADE);
        std::fs::write(&made, "").map_err(ServerError::folder(made))
    }

    async fn sql(&self, tools: &Tools, database: &str, statement: &str) -> Result<String, ServerError> {
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
        let mut launch = self.run("psql", &args);
        launch.args.extend([
            "-p".into(),
            self.port.to_string().into(),
            "-c".into(),
            statement.into(),
        ]);
        launch.env.push(("PGPASSWORD", self.password.clone()));
        process::run(tools, launch).await
    }

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

//! What can go wrong with a server, each with what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use crate::process::Exit;

/// Why a server could not be started, or a command on it failed.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A program is not installed.
    #[error("{program} is not installed; {fix}")]
    Missing {
        /// The program looked for.
        program: &'static str,
        /// What the user can do.
        fix: String,
    },
    /// Another process listens on the port.
    #[error(
        "port {port} for {server} is taken{}; stop that program or choose another port",
        owner.as_ref().map(|owner| format!(" by {owner}")).unwrap_or_default()
    )]
    PortBusy {
        /// The server that wanted the port.
        server: &'static str,
        /// The port.
        port: u16,
        /// Who has it, as far as this user may see.
        owner: Option<String>,
    },
    /// No port of the range that is searched is free.
    #[error("no free port was found on 127.0.0.1")]
    NoFreePort,
    /// The process ended before it was ready.
    #[error("{0}")]
    Exited(Exit),
    /// The process runs but does not answer.
    #[error("{server} was not ready after {} s; its log is {}{last_words}", after.as_secs(), log.display())]
    NotReady {
        /// The server.
        server: &'static str,
        /// How long it was waited for.
        after: Duration,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log, indented, or nothing.
        last_words: String,
    },
    /// Something else answers on the server's port.
    #[error("port {port} answers, but not as the {server} that was started")]
    NotOurs {
        /// The server.
        server: &'static str,
        /// The port.
        port: u16,
    },
    /// A file or folder of the server cannot be used.
    #[error("{}: {source}", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data was written by a version that is not installed.
    #[error(
        "{} was made by PostgreSQL {made_by}, which is not installed; install postgresql-{made_by} or use another data folder",
        path.display()
    )]
    OtherVersion {
        /// The data folder.
        path: PathBuf,
        /// The major version that made it.
        made_by: String,
    },
    /// A program that prepares or asks the server failed.
    #[error("{program} failed ({status}){output}")]
    Command {
        /// The program.
        program: String,
        /// Its exit status.
        status: String,
        /// The end of what it printed, indented, or nothing.
        output: String,
    },
}

impl ServerError {
    /// For `map_err` on calls that concern one path.
    pub(crate) fn folder(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Folder { path, source }
    }
}

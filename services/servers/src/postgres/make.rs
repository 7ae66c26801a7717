//! Fresh data folders: made by `initdb`, or copied from one that was made before.

use std::path::Path;

use super::place::{create_for, give};
use super::{Cluster, MADE, USER, launch_in};
use crate::error::ServerError;
use crate::process::{self, Launch, RunAs};
use crate::tools::{PostgresInstall, Tools};
use crate::{port, secret};

/// Makes `home/data` with the password of `home/password`. What is not `durable` is not flushed to disk.
pub(super) async fn initdb(
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
pub(super) async fn copy_kept(
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
    if !master.join(MADE).exists() {
        let cluster = Cluster {
            install: install.clone(),
            home: master.clone(),
            port: port::free_port()?,
            password: secret::load_or_create(&master.join("password"))?,
            throwaway: true,
            run_as,
        };
        let process = cluster.launch(tools).await?;
        cluster.make_database(tools).await?;
        process.stop().await;
    }
    drop(lock);
    let copy = Launch {
        program: "/bin/cp".into(),
        args: vec![
            "-a".into(),
            master.join("data").into(),
            master.join("password").into(),
            master.join(MADE).into(),
            home.into(),
        ],
        ..launch_in(install, home, None, "cp", &[])
    };
    process::run(tools, copy).await.map(drop)
}

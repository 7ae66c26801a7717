//! The data folder of a local platform: who runs there, and with which settings others reach it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use veza_platform::config::Config;

use super::report::Report;

/// Settings by which other commands reach the running platform.
pub(crate) fn settings_file(data: &Path) -> PathBuf {
    data.join("veza.toml")
}

fn report_file(data: &Path) -> PathBuf {
    data.join("up.json")
}

/// The right to run on a data folder: two platforms on one folder would destroy it.
pub(crate) struct Lock {
    pub(crate) dir: PathBuf,
    _file: File,
}

impl Lock {
    pub(crate) fn take(data: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(data).with_context(|| format!("creating {}", data.display()))?;
        let dir = data.canonicalize()?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { dir, _file: file }),
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "Veza already runs on {}; `veza status` shows it, `veza down` stops it, --data-dir takes another folder",
                dir.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).context("locking the data folder"),
        }
    }

    /// Tells other commands where the platform is.
    pub(crate) fn publish(&self, report: &Report) -> anyhow::Result<()> {
        let mut value = serde_json::to_value(report)?;
        value
            .as_object_mut()
            .expect("a report is an object")
            .remove("sign_in");
        write_private(&report_file(&self.dir), &value.to_string())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Absent already when the start did not get that far.
        let _ = fs::remove_file(report_file(&self.dir));
    }
}

/// The platform that runs on `data`, if one does.
pub(crate) fn running(data: &Path) -> Option<Report> {
    let lock = OpenOptions::new().write(true).open(data.join("lock")).ok()?;
    // Whoever can lock it is alone: an `up.json` there was left by a crash.
    matches!(lock.try_lock(), Err(TryLockError::WouldBlock)).then_some(())?;
    serde_json::from_slice(&fs::read(report_file(data)).ok()?).ok()
}

/// Writes the settings that differ from one run to the next, readable by their owner alone.
pub(crate) fn write_settings(data: &Path, config: &Config) -> anyhow::Result<()> {
    let kek_file = config
        .keys
        .kek_file
        .as_deref()
        .context("keys.kek_file is not set")?;
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let settings = format!(
        "# Written by `veza up` for the other commands; made anew at each start.\n\
         profile = \"development\"\n\
         [nats]\nurl = {}\nuser = {}\npassword = {}\nshards = {}\nreplicas = {}\n\
         [postgres]\nurl = {}\n[redis]\nurl = {}\n\
         [s3]\nendpoint = {}\naccess_key = {}\nsecret_key = {}\n\
         [keys]\nkek_file = {}\n\
         [mail]\nsmtp_url = {}\npassword = {}\nfrom = {}\n\
         [gateway]\nlisten = {}\npublic_url = {}\n",
        text(config.nats.url.expose()),
        text(&config.nats.user),
        text(config.nats.password.expose()),
        config.nats.shards,
        config.nats.replicas,
        text(config.postgres.url.expose()),
        text(config.redis.url.expose()),
        text(&config.s3.endpoint),
        text(config.s3.access_key.expose()),
        text(config.s3.secret_key.expose()),
        text(&kek_file.display().to_string()),
        text(config.mail.smtp_url.expose()),
        text(config.mail.password.expose()),
        text(&config.mail.from),
        text(&config.gateway.listen),
        text(&config.gateway.public_url),
    );
    write_private(&settings_file(data), &settings)
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("writing {}", path.display()))
}

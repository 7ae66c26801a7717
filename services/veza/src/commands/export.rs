//! `veza export`: what belongs to a person, or what was said in a space, for whoever runs the servers.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;
use tokio::fs::OpenOptions;
use veza_platform::runtime::Runtime;
use veza_projector::exports::{Exporter, What};

use crate::{
    cli::{Cli, ExportTo, ExportWhat},
    console::Console,
    roles,
};

pub(crate) async fn run(cli: &Cli, what: &ExportWhat, console: &Console) -> anyhow::Result<()> {
    let runtime = Runtime::new(roles::checked(roles::settings(cli)?)?);
    runtime.lifecycle.listen_for_signals()?;
    let exporter = Exporter::open(&runtime).await?;
    let (what, to) = match what {
        ExportWhat::Account { account, to } => (What::Account(exporter.account_named(account).await?), to),
        ExportWhat::Space { space, to } => (What::Space((*space).into()), to),
    };
    tokio::select! {
        () = runtime.lifecycle.soft.cancelled() => anyhow::bail!("stopped before the end; what was written is no export"),
        done = write(&exporter, what, to, console) => done,
    }
}

async fn write(exporter: &Exporter, what: What, to: &ExportTo, console: &Console) -> anyhow::Result<()> {
    anyhow::ensure!(!to.out.exists(), "{} is there already", to.out.display());
    let part = part_of(&to.out);
    let mut options = OpenOptions::new();
    // What people said is for whoever asked, not for all users of this machine.
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .await;
    let file = file.with_context(|| format!("making {}", part.display()))?;
    let bar = console.bar("messages", 0);
    let outcome = exporter
        .export(what, tokio::io::BufWriter::new(file), to.max_bytes, |progress| {
            bar.set_length(progress.of);
            bar.set_position(progress.done);
        })
        .await;
    bar.finish_and_clear();
    let done = match outcome {
        Ok(done) => done,
        Err(error) => {
            // Only half of it would be there.
            let _ = tokio::fs::remove_file(&part).await;
            return Err(error.into());
        }
    };
    tokio::fs::rename(&part, &to.out).await?;
    let result = json!({
        "file": to.out, "bytes": done.size, "lines": done.manifest.lines,
        "files": done.manifest.files, "missing": done.manifest.missing,
    });
    console.result(&result, |_| {
        let lines: u64 = done.manifest.lines.values().sum();
        let missing = done.manifest.missing.len();
        format!(
            "{}: {lines} lines, {} files, {missing} of which the bytes are gone",
            to.out.display(),
            done.manifest.files
        )
    });
    Ok(())
}

fn part_of(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

//! `veza status`: does it run, and is every part ready?

use std::{collections::BTreeMap, process::ExitCode};

use serde::{Deserialize, Serialize};

use crate::{
    cli::Cli,
    console::{self, Console},
    up::state,
};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Readiness {
    ready: bool,
    checks: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Serialize)]
struct Status {
    running: bool,
    url: Option<String>,
    #[serde(flatten)]
    readiness: Readiness,
}

/// Exit code 0 when everything is ready, 3 when nothing runs, 1 in between.
pub(crate) async fn run(cli: &Cli, console: &Console) -> anyhow::Result<ExitCode> {
    let Some(report) = state::running(&cli.data_dir) else {
        let status = Status {
            running: false,
            url: None,
            readiness: Readiness::default(),
        };
        console.result(&status, |_| {
            format!("nothing runs on {}; `veza up` starts it", cli.data_dir.display())
        });
        return Ok(ExitCode::from(3));
    };
    let readiness: Readiness = reqwest::get(format!("{}/readyz", report.ops))
        .await?
        .json()
        .await?;
    let ready = readiness.ready;
    let status = Status {
        running: true,
        url: Some(report.url),
        readiness,
    };
    console.result(&status, text);
    Ok(if ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn text(status: &Status) -> String {
    let rows: Vec<(&String, &str)> = status
        .readiness
        .checks
        .iter()
        .map(|(name, why)| (name, why.as_deref().unwrap_or("ready")))
        .collect();
    format!(
        "{}\n{}",
        status.url.as_deref().unwrap_or_default(),
        console::table(&rows)
    )
}

//! `veza doctor`: what would keep Veza from running here, each with its fix.

use std::{fs, path::Path, process::ExitCode};

use serde::Serialize;
use veza_platform::config::{Config, Severity};
use veza_servers::{Tools, port_owner};

use crate::{
    cli::Cli,
    console::{self, Console},
    roles,
    up::state,
};

/// `veza up` wants at least this much free memory, bytes: Postgres, NATS, S3 and all roles take about 600 MB.
const MEMORY: u64 = 1 << 30;

#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    good: bool,
    detail: String,
}

impl Finding {
    fn new(what: &str, outcome: Result<String, String>) -> Self {
        let (good, detail) = match outcome {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        Self {
            what: what.to_owned(),
            good,
            detail,
        }
    }
}

/// Exit code 0 when nothing is wrong.
pub(crate) fn run(cli: &Cli, console: &Console) -> ExitCode {
    let mut findings = tools();
    findings.push(Finding::new("data folder", data_folder(&cli.data_dir)));
    findings.push(Finding::new("memory", memory()));
    match roles::settings(cli) {
        Ok(config) => {
            findings.extend(settings(&config));
            if state::running(&cli.data_dir).is_none() {
                findings.push(Finding::new("gateway port", port(&config.gateway.listen)));
                findings.push(Finding::new("health port", port(&config.telemetry.ops_listen)));
            }
        }
        Err(error) => findings.push(Finding::new("settings", Err(format!("{error:#}")))),
    }
    let good = findings.iter().all(|finding| finding.good);
    console.result(&findings, |findings| {
        let rows: Vec<(String, &str)> = findings
            .iter()
            .map(|finding| {
                let mark = if finding.good { "✓" } else { "✗" };
                (format!("{mark} {}", finding.what), finding.detail.as_str())
            })
            .collect();
        console::table(&rows)
    });
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn tools() -> Vec<Finding> {
    let tools = Tools::find();
    let path = |found: Result<&Path, _>| {
        found
            .map(|path| path.display().to_string())
            .map_err(|error: veza_servers::ServerError| error.to_string())
    };
    vec![
        Finding::new("NATS", path(tools.nats_server())),
        Finding::new(
            "Postgres",
            path(tools.postgres().map(|install| install.bin.as_path())),
        ),
        Finding::new("Redis", path(tools.redis_server())),
        Finding::new("S3", path(tools.weed())),
        Finding::new("setpriv", path(tools.setpriv())),
    ]
}

fn data_folder(data: &Path) -> Result<String, String> {
    fs::create_dir_all(data).map_err(|error| format!("{} cannot be created: {error}", data.display()))?;
    let probe = data.join(".doctor");
    fs::write(&probe, b"").map_err(|error| format!("{} cannot be written: {error}", data.display()))?;
    fs::remove_file(&probe).map_err(|error| error.to_string())?;
    Ok(data.display().to_string())
}

fn memory() -> Result<String, String> {
    let info = fs::read_to_string("/proc/meminfo").map_err(|error| error.to_string())?;
    let kibibytes = info
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemAvailable:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        })
        .ok_or("/proc/meminfo does not say")?;
    let text = format!("{} MiB available", kibibytes / 1024);
    if kibibytes * 1024 < MEMORY {
        Err(format!("{text}; close something, 1 GiB is needed"))
    } else {
        Ok(text)
    }
}

fn port(address: &str) -> Result<String, String> {
    let Some(number) = address.rsplit(':').next().and_then(|port| port.parse().ok()) else {
        return Err(format!("{address} names no port"));
    };
    match port_owner(number) {
        None => Ok(format!("{address} is free")),
        Some(owner) => Err(format!(
            "{address} is taken by {owner}; stop it, or choose another port"
        )),
    }
}

fn settings(config: &Config) -> Vec<Finding> {
    let findings = config.check();
    if findings.is_empty() {
        return vec![Finding::new("settings", Ok("all good".to_owned()))];
    }
    let one = |finding: &veza_platform::config::Finding| {
        let outcome = match finding.severity {
            Severity::Error => Err(finding.message.clone()),
            Severity::Warning => Ok(finding.message.clone()),
        };
        Finding::new(finding.key, outcome)
    };
    findings.iter().map(one).collect()
}

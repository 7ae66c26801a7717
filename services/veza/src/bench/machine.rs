//! What a figure was measured on.

use std::{fmt, fs, process::Command};

use serde::Serialize;
use veza_servers::Tools;

/// The machine and the versions of what ran on it.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    processor: String,
    cores: usize,
    memory_gib: u64,
    veza: &'static str,
    optimised: bool,
    servers: Vec<String>,
}

impl Machine {
    pub(super) fn here() -> Self {
        let line = |file: &str, start: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(start))?;
            Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
        };
        let kibibytes =
            line("/proc/meminfo", "MemTotal:").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        Self {
            processor: line("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kibibytes.unwrap_or(0).div_ceil(1 << 20),
            veza: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            servers: versions(),
        }
    }
}

fn versions() -> Vec<String> {
    let tools = Tools::find();
    let programs = [
        tools.nats_server().ok().map(ToOwned::to_owned),
        tools.postgres().ok().map(|install| install.bin.join("postgres")),
        tools.redis_server().ok().map(ToOwned::to_owned),
    ];
    let version = |program: std::path::PathBuf| {
        let output = Command::new(program).arg("--version").output().ok()?;
        Some(
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .next()?
                .chars()
                .take(40)
                .collect(),
        )
    };
    programs.into_iter().flatten().filter_map(version).collect()
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let build = if self.optimised { "" } else { ", NOT OPTIMISED" };
        write!(
            f,
            "{} × {}, {} GiB; veza {}{build}; {}",
            self.cores,
            self.processor,
            self.memory_gib,
            self.veza,
            self.servers.join(", ")
        )
    }
}

/// CPU time that a process has used so far, seconds; user and system. `None` when it is gone.
pub(super) fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields are counted behind the name, which may hold anything but ends with the last `)`.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u32 = fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
    // Linux reports in USER_HZ, which is 100 everywhere Veza runs.
    Some(f64::from(ticks) / 100.0)
}

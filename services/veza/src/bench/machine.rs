//! What a figure was measured on.

use std::{collections::BTreeSet, fmt, fs, process::Command};

use anyhow::Context;
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

/// Memory that a process has in use.
pub(super) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: u64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .context("Linux says how much a process has in use")?;
    Ok(kibibytes * 1_024)
}

/// CPU time that processes and all their children have used so far, seconds; user and system. What is gone counts
/// nothing.
pub(super) fn cpu_seconds(pids: &[u32]) -> f64 {
    let all: Vec<Usage> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| usage(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .collect();
    let mut wanted: BTreeSet<u32> = pids.iter().copied().collect();
    loop {
        let before = wanted.len();
        wanted.extend(
            all.iter()
                .filter(|one| wanted.contains(&one.parent))
                .map(|one| one.pid)
                .collect::<Vec<_>>(),
        );
        if wanted.len() == before {
            break;
        }
    }
    let ticks: u64 = all
        .iter()
        .filter(|one| wanted.contains(&one.pid))
        .map(|one| one.ticks)
        .sum();
    // Linux reports in USER_HZ, which is 100 everywhere Veza runs.
    ticks as f64 / 100.0
}

struct Usage {
    pid: u32,
    parent: u32,
    ticks: u64,
}

fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields are counted behind the name, which may hold anything but ends with the last `)`.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Usage {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        ticks: number(11)? + number(12)?,
    })
}

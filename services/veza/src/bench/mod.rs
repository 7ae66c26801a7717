//! `veza bench`: measures this build on this machine, each figure beside a reference from the same run.
//!
//! The platform runs as in production, one process per role; the load comes from processes of its own,
//! over loopback, bounded in count and time, and checks that everything arrived once and in order.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and rates of a bench are far below 2^52"
)]

mod chat;
mod connections;
mod fill;
mod idle;
mod load;
mod load_process;
mod machine;
mod peers;
mod platform;
mod projection;
mod read;
mod start;
mod statistics;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    cli::Cli,
    console::{self, Console},
};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Time from send to ack, acked messages per second, deliveries per second of the gateway's CPU.
    Chat(chat::ChatArgs),
    /// Memory of the gateway for each idle socket, and how soon all are back after it has restarted.
    Connections(connections::ConnectionsArgs),
    /// Events per second of a rebuild, and how far reading lags behind writing.
    Projection(projection::ProjectionArgs),
    /// How soon a room is open, and messages are found by their words.
    Read(read::ReadArgs),
    /// Time until `veza up`, and each role, is ready.
    Start(start::StartArgs),
    /// One process of load; started by the others, its plan comes on standard input.
    #[command(hide = true)]
    Load,
    /// One process of sockets that only sit there.
    #[command(hide = true)]
    IdleLoad,
    /// The same on another server.
    #[command(hide = true)]
    PeerLoad,
}

/// One line of a bench: what was measured, beside what it is measured against.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Reference>,
    /// What it should be, for people.
    aim: &'static str,
}

#[derive(Debug, Serialize)]
struct Reference {
    name: &'static str,
    value: f64,
    /// Measured value over reference.
    ratio: f64,
}

impl Row {
    fn new(name: impl Into<String>, value: f64, unit: &'static str, aim: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            reference: None,
            aim,
        }
    }

    fn against(mut self, name: &'static str, value: f64) -> Self {
        self.reference = Some(Reference {
            name,
            value,
            ratio: self.value / value,
        });
        self
    }
}

/// All of a run.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    machine: machine::Machine,
    rows: Vec<Row>,
    /// What was found wrong on the way; a run with faults has no figures worth having.
    faults: Vec<String>,
}

impl Report {
    fn text(&self) -> String {
        let rows: Vec<(String, String)> = self
            .rows
            .iter()
            .map(|row| {
                let reference = row.reference.as_ref().map_or_else(String::new, |reference| {
                    format!(
                        "  {:.2}× {} ({})",
                        reference.ratio,
                        reference.name,
                        number(reference.value)
                    )
                });
                let aim = if row.aim.is_empty() {
                    String::new()
                } else {
                    format!("  aim {}", row.aim)
                };
                (
                    row.name.clone(),
                    format!("{:>9} {}{reference}{aim}", number(row.value), row.unit),
                )
            })
            .collect();
        let faults = self
            .faults
            .iter()
            .fold(String::new(), |text, fault| text + &format!("FAULT: {fault}\n"));
        format!(
            "{} on {}\n{}{faults}",
            self.bench,
            self.machine,
            console::table(&rows)
        )
    }
}

fn number(value: f64) -> String {
    match value {
        value if value >= 1_000.0 => {
            let digits = format!("{value:.0}");
            let mut text = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index).is_multiple_of(3) {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

pub(crate) async fn run(_cli: &Cli, args: &BenchArgs, console: &Console) -> anyhow::Result<()> {
    let (bench, outcome) = match &args.what {
        What::Chat(args) => ("chat", chat::run(args, console).await?),
        What::Connections(args) => ("connections", connections::run(args, console).await?),
        What::Projection(args) => ("projection", projection::run(args, console).await?),
        What::Read(args) => ("read", read::run(args, console).await?),
        What::Start(args) => ("start", start::run(args, console).await?),
        What::Load => return load::run().await,
        What::IdleLoad => return idle::run().await,
        What::PeerLoad => return peers::load().await,
    };
    let report = Report {
        bench,
        machine: machine::Machine::here(),
        rows: outcome.rows,
        faults: outcome.faults,
    };
    console.result(&report, Report::text);
    anyhow::ensure!(
        report.faults.is_empty(),
        "the run was not correct, so its figures mean nothing"
    );
    Ok(())
}

/// What a bench hands back.
#[derive(Debug, Default)]
struct Outcome {
    rows: Vec<Row>,
    faults: Vec<String>,
}

#[cfg(test)]
mod tests {
    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(super::number(1_234_567.0), "1,234,567");
        assert_eq!(super::number(12.34), "12.3");
        assert_eq!(super::number(0.5), "0.50");
    }
}

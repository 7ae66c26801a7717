//! The one binary of Veza: every role, and `up`, which runs them all on one machine.
//!
//! Here is only wiring: what a role does stands in its own crate.

mod bench;
mod cli;
mod commands;
mod console;
mod import;
mod roles;
mod seed;
mod up;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{Cli, Command},
    console::Console,
};

fn main() -> ExitCode {
    // Two providers are in the tree, so rustls must be told which one before its first use.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("nothing has used TLS before main");
    let cli = Cli::parse();
    let console = Console::new(cli.json);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the system gives a process a few threads");
    let outcome = runtime.block_on(run(cli, &console));
    // What still runs was told to stop; nothing waits for a blocking thread that does not.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            console.say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli, console: &Console) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Up(args) => Box::pin(up::run(&cli, args, console)).await?,
        Command::Down => commands::down::run(&cli, console).await?,
        Command::Status => return commands::status::run(&cli, console).await,
        Command::Doctor => return Ok(commands::doctor::run(&cli, console)),
        Command::Setup => Box::pin(commands::setup::run(&cli, console)).await?,
        Command::Config { action } => return commands::config::run(&cli, action, console),
        Command::Mail { action } => commands::mail::run(&cli, action, console).await?,
        Command::Push { action } => commands::push::run(&cli, action, console).await?,
        Command::Import(args) => import::run(&cli, args, console).await?,
        Command::Export { what } => commands::export::run(&cli, what, console).await?,
        Command::Projection { action } => commands::projection::run(&cli, action, console).await?,
        Command::Bench(args) => bench::run(&cli, args, console).await?,
        Command::Gateway => roles::run(&cli, "gateway", veza_gateway::run).await?,
        Command::Accounts => roles::run(&cli, "accounts", veza_accounts::run).await?,
        Command::Chat => roles::run(&cli, "chat", veza_chat::run).await?,
        Command::Projector => roles::run(&cli, "projector", veza_projector::run).await?,
        Command::Media => roles::run(&cli, "media", veza_media::run).await?,
        Command::Notifier => roles::run(&cli, "notifier", veza_notifier::run).await?,
    }
    Ok(ExitCode::SUCCESS)
}

//! `veza projection`: look at read models, build them anew, try again what was put aside.

use std::{collections::BTreeMap, sync::Mutex};

use indicatif::ProgressBar;
use serde_json::json;
use veza_platform::{config::Config, runtime::Runtime};
use veza_projector::projection::{self, Progress, RebuildOptions, Workbench};

use crate::{
    cli::{Cli, ProjectionAction},
    console::{self, Console},
    roles,
};

pub(crate) async fn run(cli: &Cli, action: &ProjectionAction, console: &Console) -> anyhow::Result<()> {
    let config = roles::checked(roles::settings(cli)?)?;
    let runtime = Runtime::new(config);
    runtime.lifecycle.listen_for_signals()?;
    let bench = Workbench::open(&runtime).await?;
    match action {
        ProjectionAction::Ls => list(&bench, console).await,
        ProjectionAction::Lag => lag(&bench, console).await,
        ProjectionAction::Rebuild { verify, park } => {
            let options = RebuildOptions {
                park: *park,
                verify: *verify,
            };
            rebuild(&bench, options, &runtime.config, console).await
        }
        ProjectionAction::SwitchBack => Ok(projection::switch_back(&bench).await?),
        ProjectionAction::Retry => {
            let retried = projection::retry(&bench).await?;
            console.result(
                &json!({ "applied": retried.applied, "parked": retried.parked }),
                |_| format!("{} applied, {} still parked", retried.applied, retried.parked),
            );
            Ok(())
        }
    }
}

async fn list(bench: &Workbench, console: &Console) -> anyhow::Result<()> {
    let all = projection::list(bench).await?;
    console.result(&all, |all| {
        let rows: Vec<(&str, String)> = all
            .iter()
            .map(|status| {
                let owner = if status.running {
                    "running"
                } else {
                    "nobody builds it"
                };
                (
                    status.stream.as_str(),
                    format!("at {}, {} parked, {owner}", status.seq, status.parked),
                )
            })
            .collect();
        console::table(&rows)
    });
    Ok(())
}

async fn lag(bench: &Workbench, console: &Console) -> anyhow::Result<()> {
    let all = projection::lag(bench).await?;
    console.result(&all, |all| {
        let rows: Vec<(&str, String)> = all
            .iter()
            .map(|lag| {
                let text = format!(
                    "{} events, {} ms behind ({} of {})",
                    lag.events, lag.age_ms, lag.seq, lag.head
                );
                (lag.stream.as_str(), text)
            })
            .collect();
        console::table(&rows)
    });
    Ok(())
}

async fn rebuild(
    bench: &Workbench,
    options: RebuildOptions,
    config: &Config,
    console: &Console,
) -> anyhow::Result<()> {
    let bar = console.bar("events", 0);
    // Positions of all streams, of which the bar shows the sum.
    let seen: Mutex<BTreeMap<String, (u64, u64)>> = Mutex::default();
    let make_tables =
        async |schema| veza_migrations::migrate_read(config.postgres.url.expose(), schema).await;
    let rebuilt = projection::rebuild(bench, options, make_tables, |progress| {
        show(&bar, &seen, progress);
    })
    .await?;
    bar.finish_and_clear();
    let seconds = rebuilt.applying.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = rebuilt.events as f64 / seconds.max(f64::EPSILON);
    let value = json!({
        "positions": rebuilt.positions, "events": rebuilt.events, "parked": rebuilt.parked,
        "seconds": seconds, "events_per_second": rate, "held_ms": rebuilt.held.as_millis()
    });
    console.result(&value, |_| {
        format!(
            "{} events in {seconds:.1} s ({rate:.0}/s), {} parked; the projector was held for {} ms",
            rebuilt.events,
            rebuilt.parked,
            rebuilt.held.as_millis()
        )
    });
    Ok(())
}

fn show(bar: &ProgressBar, seen: &Mutex<BTreeMap<String, (u64, u64)>>, progress: Progress) {
    match progress {
        Progress::Preparing | Progress::Switched => {}
        Progress::Switching => bar.set_message("changing places"),
        Progress::Applying(stream) => {
            let mut seen = seen.lock().expect("nobody panics while showing progress");
            seen.insert(stream.stream, (stream.seq, stream.target));
            bar.set_length(seen.values().map(|(_, target)| target).sum());
            bar.set_position(seen.values().map(|(seq, _)| seq).sum());
        }
    }
}

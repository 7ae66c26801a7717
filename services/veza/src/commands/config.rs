//! `veza config`: the settings in force, and what is wrong with them.

use std::process::ExitCode;

use serde_json::json;
use veza_platform::config::Severity;

use crate::{
    cli::{Cli, ConfigAction},
    console::Console,
    roles,
};

/// `check` ends with 1 when a role would not start on the settings.
pub(crate) fn run(cli: &Cli, action: &ConfigAction, console: &Console) -> anyhow::Result<ExitCode> {
    let config = roles::settings(cli)?;
    match action {
        ConfigAction::Show => {
            let rendered = config.render();
            console.result(&json!({ "toml": rendered }), |_| rendered.clone());
            Ok(ExitCode::SUCCESS)
        }
        ConfigAction::Check => {
            let findings = config.check();
            let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
            console.result(&json!({ "findings": lines }), |_| {
                if lines.is_empty() {
                    "the settings are good".to_owned()
                } else {
                    lines.join("\n")
                }
            });
            let bad = findings.iter().any(|finding| finding.severity == Severity::Error);
            Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
    }
}

//! What `up` prints once everything answers.

use std::{path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use veza_platform::config::Config;

use crate::console;

/// Where everything is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) pid: u32,
    pub(crate) ready_after_ms: u64,
    pub(crate) url: String,
    pub(crate) realtime: String,
    pub(crate) docs: String,
    pub(crate) ops: String,
    pub(crate) data: String,
    /// Where mails lie, if they are caught here.
    #[serde(default)]
    pub(crate) mail: Option<String>,
    /// Works once; never written to disk.
    #[serde(skip_deserializing)]
    pub(crate) sign_in: Option<String>,
}

impl Report {
    pub(crate) fn new(config: &Config, data: &Path, took: Duration, token: Option<String>) -> Self {
        let folder = super::stack::mail_folder(data);
        let url = config.gateway.public_url.trim_end_matches('/').to_owned();
        Self {
            pid: std::process::id(),
            ready_after_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            realtime: format!("{}/v1/realtime", url.replacen("http", "ws", 1)),
            docs: format!("{url}/docs"),
            ops: format!("http://{}", config.telemetry.ops_listen),
            data: data.display().to_string(),
            mail: folder.is_dir().then(|| folder.display().to_string()),
            sign_in: token.map(|token| format!("{url}/sign-in#{token}")),
            url,
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut rows = vec![
            ("API", self.url.clone()),
            ("Documentation", self.docs.clone()),
            ("WebSocket", self.realtime.clone()),
            (
                "Health, metrics",
                format!("{}/readyz  {}/metrics", self.ops, self.ops),
            ),
            ("Data", self.data.clone()),
        ];
        if let Some(mail) = &self.mail {
            rows.push((
                "Mail",
                format!("{mail}  (`veza mail ls` shows it; nothing is delivered)"),
            ));
        }
        if let Some(link) = &self.sign_in {
            rows.push(("Administrator", format!("{link}  (works once)")));
        }
        let seconds = Duration::from_millis(self.ready_after_ms).as_secs_f64();
        format!(
            "\nVeza is ready after {seconds:.1} s\n\n{}\nCtrl-C stops it.",
            console::table(&rows)
        )
    }
}

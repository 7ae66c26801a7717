//! What single values cannot show: settings that contradict each other or the profile.

use super::Config;

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works, but probably not as meant.
    Warning,
    /// Must be changed before a role starts.
    Error,
}

/// One thing that [`Config::check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The setting, such as `gateway.public_url`.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

pub(super) fn check(_config: &Config) -> Vec<Finding> {
    Vec::new()
}

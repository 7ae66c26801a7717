//! Settings of what is asked of servers that people name.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Requests to servers that people name. Only public addresses are reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutgoingConfig {
    /// Addresses or networks (CIDR) of one's own that may be reached although they are not public, on any port.
    pub allow: Vec<String>,
    /// Ports that may be reached elsewhere.
    pub ports: Vec<String>,
    /// Certificates (PEM) of authorities of one's own, believed beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Longest time until a connection stands, in milliseconds, for each address of a name.
    pub connect_timeout_ms: u64,
    /// Longest time for a whole request with all its redirects, in milliseconds.
    pub timeout_ms: u64,
    /// Most redirects that are followed; each is checked like the first address.
    pub max_redirects: usize,
    /// Most requests under way at once in one role; more wait, as long as `timeout_ms` allows.
    #[schemars(range(min = 1))]
    pub max_in_flight: usize,
}

impl Default for OutgoingConfig {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            ports: vec!["80".into(), "443".into()],
            ca_file: None,
            connect_timeout_ms: 3_000,
            timeout_ms: 10_000,
            max_redirects: 3,
            max_in_flight: 32,
        }
    }
}

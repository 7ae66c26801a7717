//! Settings: one struct per section, built from defaults, a TOML file and `VEZA__SECTION__KEY` variables,
//! each over the one before. What a setting means to its role stands in that role.

mod check;
mod edge;
mod files;
mod mail;
mod media;
mod notifier;
mod outgoing;
mod previews;
mod process;
mod render;
mod schema;
mod secret;
mod source;
mod stores;
#[cfg(test)]
mod tests;
mod work;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::{Finding, Severity};
pub use edge::{GatewayConfig, LimitsConfig, RealtimeConfig};
pub use files::FilesConfig;
pub use mail::MailConfig;
pub use media::MediaConfig;
pub use notifier::{NotifierConfig, PushConfig};
pub use outgoing::OutgoingConfig;
pub use previews::PreviewsConfig;
pub use process::{LifecycleConfig, LogFormat, TelemetryConfig};
pub use secret::{REDACTED, Secret, ServiceUrl};
pub use stores::{KeysConfig, NatsConfig, PostgresConfig, RedisConfig, S3Config};
pub use work::{AccountsConfig, ChatConfig, ProjectorConfig};

/// All settings of Veza. Every role gets the whole and reads its part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where this installation lives: `production` (the default) refuses what only a developer's machine may do.
    pub profile: Profile,
    /// The event log and the command bus.
    pub nats: NatsConfig,
    /// Read models and the keyring.
    pub postgres: PostgresConfig,
    /// Caches and rate limits.
    pub redis: RedisConfig,
    /// Files and recordings.
    pub s3: S3Config,
    /// Files that people send.
    pub files: FilesConfig,
    /// Keys that seal personal data.
    pub keys: KeysConfig,
    /// The HTTP server.
    pub gateway: GatewayConfig,
    /// The WebSocket.
    pub realtime: RealtimeConfig,
    /// Sign-in, sessions and tokens.
    pub accounts: AccountsConfig,
    /// Spaces, rooms and messages.
    pub chat: ChatConfig,
    /// Calls: live sound and pictures.
    pub media: MediaConfig,
    /// Building read models.
    pub projector: ProjectorConfig,
    /// Logs, traces and metrics.
    pub telemetry: TelemetryConfig,
    /// Telling people of messages while they are away.
    pub notifier: NotifierConfig,
    /// Web Push.
    pub push: PushConfig,
    /// Mail.
    pub mail: MailConfig,
    /// Asking servers of others for what people name: pages that they link to, addresses that they are reached at.
    pub outgoing: OutgoingConfig,
    /// What is shown of pages that messages link to.
    pub previews: PreviewsConfig,
    /// How much one caller may ask for.
    pub limits: LimitsConfig,
    /// How the process ends.
    pub lifecycle: LifecycleConfig,
}

/// Where an installation lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Open to people: placeholders and plain HTTP to the world are refused.
    #[default]
    Production,
    /// One machine of a developer or a test.
    Development,
}

/// Why settings could not be read. Says where, and what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing or may not be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: not valid TOML: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong, without the line itself: it may hold a secret.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{origin}: there is no setting `{key}`{}", hint.as_ref().map(|hint| format!("; did you mean `{hint}`?")).unwrap_or_default())]
    UnknownKey {
        /// The file or variable it stands in.
        origin: String,
        /// The dotted key.
        key: String,
        /// The dotted key most like it.
        hint: Option<String>,
    },
    /// A value of the wrong type or out of range.
    #[error("{origin}: `{key}` {reason}")]
    BadValue {
        /// The file or variable it stands in.
        origin: String,
        /// The dotted key.
        key: String,
        /// What is wrong, without the value: it may be a secret.
        reason: String,
    },
    /// A secret's file is missing or may not be read.
    #[error("{origin}: `{key}` names {}, which cannot be read: {cause}", path.display())]
    SecretFile {
        /// The file or variable that names it.
        origin: String,
        /// The dotted key of the secret.
        key: String,
        /// The secret's file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl Config {
    /// Reads the settings: defaults, then the TOML file at `path`, then those of `env` that begin with `VEZA__`.
    ///
    /// # Errors
    /// When a source cannot be read, has an unknown key, or a value that does not fit.
    pub fn load(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        source::load(path, env)
    }

    /// [`Config::load`] with the variables of this process.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_env(path: Option<&Path>) -> Result<Self, ConfigError> {
        let env = std::env::vars_os();
        Self::load(
            path,
            env.filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// What is wrong or doubtful about values that are each valid. A role must not start on a [`Severity::Error`].
    pub fn check(&self) -> Vec<Finding> {
        check::check(self)
    }

    /// The JSON Schema of the settings file, for editors and documentation.
    pub fn schema() -> serde_json::Value {
        schema::published()
    }

    /// The settings in force as TOML, each with its documentation, secrets redacted.
    pub fn render(&self) -> String {
        render::render(self)
    }

    /// `iss` of the tokens that are issued and accepted.
    pub fn issuer(&self) -> &str {
        if self.accounts.issuer.is_empty() {
            &self.gateway.public_url
        } else {
            &self.accounts.issuer
        }
    }
}

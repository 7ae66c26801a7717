//! The settings in force, for people.

use super::Config;

pub(super) fn render(config: &Config) -> String {
    toml::to_string(config).expect("settings are plain tables")
}

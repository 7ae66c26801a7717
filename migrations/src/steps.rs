//! The history of each schema. A shipped step never changes; a new one is added behind it.

use sea_orm_migration::prelude::{
    ConnectionTrait, DbErr, MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait,
};

/// One step: statements that are run once.
struct Step {
    name: &'static str,
    up: &'static str,
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .get_connection()
            .execute_unprepared(self.up)
            .await
            .map(drop)
    }
}

/// A history of steps, each read from the file of its name.
macro_rules! history {
    ($(#[$doc:meta])+ $migrator:ident: $($step:literal),+ $(,)?) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug)]
        pub struct $migrator;

        impl MigratorTrait for $migrator {
            fn migrations() -> Vec<Box<dyn MigrationTrait>> {
                vec![$(Box::new(Step { name: $step, up: include_str!(concat!("../sql/", $step, ".sql")) }),)+]
            }
        }
    };
}

history! {
    /// What the log cannot give back.
    VezaMigrator: "veza_0001_keyring", "veza_0002_search", "veza_0003_swept"
}

history! {
    /// The read models.
    ReadMigrator: "read_0001_tables", "read_0002_search", "read_0003_overrides",
        "read_0004_moderation", "read_0005_attachments", "read_0006_unread", "read_0007_messages",
        "read_0008_directs", "read_0009_history", "read_0010_mentions", "read_0011_bots",
        "read_0012_authors", "read_0013_reports", "read_0014_imported", "read_0015_integrations",
        "read_0020_scheduled", "read_0021_mention_since", "read_0022_previews",
        "read_0023_email", "read_0024_held"
}

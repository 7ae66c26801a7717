//! The Postgres schemas and their history.
//!
//! Two of them, each with a history of its own: `veza` holds what the log cannot give back, `read` the read
//! models, which a rebuild makes anew under another name. Names inside a migration are therefore never
//! qualified: the search path says which schema is meant.

mod steps;

use sea_orm_migration::prelude::MigratorTrait;
use sea_orm_migration::sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbErr, Statement,
    TransactionTrait,
};

pub use steps::{ReadMigrator, VezaMigrator};

/// Schema of what is not derived from the log.
pub const VEZA: &str = "veza";
/// Schema of the read models in use.
pub const READ: &str = "read";

/// Holds back a second migration of the same database until the first is done.
const LOCK: i64 = 0x7665_7a61_6d69_6701;

/// Why a database could not be brought to the present shape.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The name is not one that a schema of ours can have.
    #[error("`{0}` cannot be the name of a schema: only a-z and _")]
    Name(String),
    /// The server could not be reached, or refused a statement.
    #[error("cannot bring schema `{schema}` to its present shape: {cause}")]
    Database {
        /// Which schema.
        schema: String,
        /// What the server said.
        cause: DbErr,
    },
}

/// Brings `veza` and `read` to their present shape, and makes them when they are missing. Safe when several
/// processes start at once; does nothing when nothing is to be done.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn migrate(database_url: &str) -> Result<(), MigrateError> {
    apply::<VezaMigrator>(database_url, VEZA).await?;
    apply::<ReadMigrator>(database_url, READ).await
}

/// Makes the tables of the read models in a schema of any name, for a rebuild.
///
/// # Errors
/// When the name is not of a-z and _, or the server cannot be reached or refuses.
pub async fn migrate_read(database_url: &str, schema: &str) -> Result<(), MigrateError> {
    apply::<ReadMigrator>(database_url, schema).await
}

async fn apply<M: MigratorTrait>(database_url: &str, schema: &str) -> Result<(), MigrateError> {
    if schema.is_empty() || !schema.bytes().all(|c| c.is_ascii_lowercase() || c == b'_') {
        return Err(MigrateError::Name(schema.to_owned()));
    }
    let failed = |cause| MigrateError::Database {
        schema: schema.to_owned(),
        cause,
    };
    let db = connect(database_url, schema).await.map_err(failed)?;
    let outcome = apply_locked::<M>(&db, schema).await;
    let closed = db.close().await;
    outcome.and(closed).map_err(failed)
}

/// Everything in one transaction that holds the lock: a killed migration leaves nothing half done.
async fn apply_locked<M: MigratorTrait>(db: &DatabaseConnection, schema: &str) -> Result<(), DbErr> {
    let transaction = db.begin().await?;
    lock(&transaction).await?;
    transaction
        .execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"))
        .await?;
    M::up(&transaction, None).await?;
    transaction.commit().await?;
    tracing::debug!(db.schema = schema, "the schema has its present shape");
    Ok(())
}

async fn lock(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    let sql = Statement::from_sql_and_values(backend, "SELECT pg_advisory_xact_lock($1)", [LOCK.into()]);
    transaction.query_one_raw(sql).await.map(drop)
}

async fn connect(database_url: &str, schema: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(database_url);
    options
        .max_connections(1)
        .set_schema_search_path(schema)
        .sqlx_logging(false);
    Database::connect(options).await
}

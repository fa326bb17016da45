//! One statement on a connection of its own.

use aqueduct_model::Result;

use crate::sqlite::connection::{Access, failed, open};

use super::config::Settings;

/// Runs one statement.
///
/// # Errors
/// As for opening; `Unavailable` when the database stays locked.
pub(crate) fn execute(settings: &Settings, statement: &str) -> Result<()> {
    let connection = open(&settings.path, Access::ReadWrite, settings.busy_timeout)?;
    connection.execute_batch(statement).map_err(|error| failed("cannot run the statement", error))
}

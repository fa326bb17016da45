//! One statement on a connection of its own.

use aqueduct_model::Result;

use super::address::Address;
use super::connection::{Purpose, connect};
use super::error::failed;

/// Runs one statement.
///
/// # Errors
/// Those of the connection and of the statement.
pub(crate) async fn execute(address: &Address, statement: &str) -> Result<()> {
    let session = connect(address, Purpose::Write).await?;
    let done = session.batch_execute(statement).await.map_err(|error| failed("cannot run the statement", error));
    session.close().await;
    done
}

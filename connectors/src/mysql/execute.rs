//! One statement on a connection of its own.

use aqueduct_model::Result;
use mysql_async::prelude::Queryable;

use super::address::Address;
use super::connection::{Explain, Purpose, connect, disconnect};

/// Runs one statement.
///
/// # Errors
/// Those of the connection and of the statement.
pub(crate) async fn execute(address: &Address, statement: &str) -> Result<()> {
    let mut connection = connect(address, Purpose::Write).await?;
    let done = connection.query_drop(statement).await.doing(|| "cannot run the statement".to_owned());
    disconnect(connection).await;
    done
}

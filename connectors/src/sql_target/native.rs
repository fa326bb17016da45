//! The source's own column types in a target of the same family.

use aqueduct_model::Result;
use arrow::datatypes::Field;

use super::{Database, Dialect, Value, mysql_type, postgres_type};

/// The source's own type of a column, where the target has it too; `None`: the type map decides.
pub(super) fn column_type(database: &mut dyn Database, field: &Field, in_key: bool) -> Result<Option<String>> {
    match database.dialect() {
        Dialect::Sqlite | Dialect::DuckDb => Ok(None),
        Dialect::MySql | Dialect::MariaDb => {
            let Some(native) = mysql_type::native(field, in_key) else { return Ok(None) };
            let known = match native.needs() {
                Some((sql, values)) => !database.query(sql, &values)?.is_empty(),
                None => true,
            };
            Ok(known.then(|| native.sql()))
        }
        Dialect::Postgres => {
            let Some(sql) = postgres_type::native(field) else { return Ok(None) };
            // Takes a whole type and nothing but: what follows it is an error, so the text may go into DDL.
            let known = database.query("SELECT to_regtype(?1)::text", &[Value::Text(sql.clone())])?;
            Ok(known.first().is_some_and(|row| row[0] != Value::Null).then_some(sql))
        }
    }
}

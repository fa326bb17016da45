//! Tables whose columns are told by the settings, because no row may come that tells them.

use std::sync::Arc;

use aqueduct_model::{Error, Relation, RelationName, Result};
use datafusion::arrow::datatypes::{Field, Schema};

use super::expression::Expression;
use crate::mapping::Ordered;

/// The table of that name with those columns.
///
/// # Errors
/// `Config` for a type that is none.
pub(crate) fn declared(table: &str, columns: &Ordered<String>) -> Result<Arc<Relation>> {
    let none = Relation::new(RelationName::table(table), Arc::new(Schema::empty()), &[] as &[&str], 1)?;
    let fields = columns.0.iter().map(|(column, sql_type)| {
        let null = Expression::constant(&serde_json::Value::Null)?.cast_to(sql_type);
        let bound = null.and_then(|null| null.bind(&none));
        let bound = bound.map_err(|error: Error| error.with_setting(format!("columns.{table}.{column}")))?;
        Ok(Field::new(column, bound.data_type().clone(), true))
    });
    let columns = Schema::new(fields.collect::<Result<Vec<_>>>()?);
    Relation::new(RelationName::table(table), Arc::new(columns), &[] as &[&str], 1).map(Arc::new)
}

//! Rows for this crate's own tests.

use std::sync::Arc;

use aqueduct_model::{Batch, Relation, RelationName};
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

/// `rows` inserts of one 8-byte column.
pub(crate) fn batch(rows: usize) -> Batch {
    let columns = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let relation = Arc::new(Relation::new(RelationName::table("t"), columns.clone(), &["n"], 1).unwrap());
    let values = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    Batch::inserts(relation, RecordBatch::try_new(columns, vec![values]).unwrap()).unwrap()
}

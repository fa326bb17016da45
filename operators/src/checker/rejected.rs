//! What comes out on the port `rejected`: the row and its reasons.

use std::sync::Arc;

use aqueduct_model::{Batch, Error, Relation, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};

/// The relation of rejected rows: the input's, with a column for the reasons.
///
/// # Errors
/// `Config` when there is a column of that name.
pub(super) fn relation(input: &Relation, column: &str) -> Result<Arc<Relation>> {
    if input.columns().index_of(column).is_ok() {
        return Err(Error::config(format!("{} already has a column {column}", input.name()))
            .with_setting("reasons_column")
            .with_hint("choose another name: `reasons_column: why`"));
    }
    let field: FieldRef = Arc::new(Field::new(column, DataType::Utf8, true));
    let fields: Vec<FieldRef> = input.columns().fields().iter().cloned().chain([field]).collect();
    let origins: Vec<Option<usize>> = (0..input.columns().fields().len()).map(Some).chain([None]).collect();
    Ok(Arc::new(input.derive(Arc::new(Schema::new(fields)), &origins)))
}

/// The batch with a reason per row, absent where there is none.
pub(super) fn batch(input: &Batch, relation: &Arc<Relation>, reasons: StringArray) -> Result<Batch> {
    let given = (0..reasons.len()).map(|row| reasons.is_valid(row)).collect::<Vec<_>>();
    let mut columns = input.rows().columns().to_vec();
    columns.push(Arc::new(reasons) as ArrayRef);
    let rows = RecordBatch::try_new(relation.columns().clone(), columns)
        .map_err(|error| Error::bug("rows with reasons do not fit their columns").with_source(error))?;
    let last = input.rows().num_columns();
    let origins: Vec<Option<usize>> = (0..last).map(Some).chain([None]).collect();
    input.with_columns(relation.clone(), rows, &origins)?.with_present(last, BooleanArray::from(given))
}

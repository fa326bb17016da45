//! Updates that move a row from one part of a table that is being read to another, and lack values that only the old place
//! has. At the new place the row has to be read.

use aqueduct_model::{Batch, Op, RelationName, Result};

use super::System;
use super::chunks::Stage;
use super::position::{Phase, TableState};
use super::work::Work;

/// The rows of `batch` that are new halves of such updates; `regions` says where each row lies.
pub(super) fn parted(batch: &Batch, regions: &[usize]) -> Vec<usize> {
    if !batch.has_absent() {
        return Vec::new();
    }
    let columns = 0..batch.rows().num_columns();
    let lacks = |row: usize| columns.clone().any(|column| batch.present(column).is_some_and(|mask| !mask.value(row)));
    let is_parted =
        |row: &usize| batch.op(row - 1) == Op::UpdateBefore && regions[*row] != regions[row - 1] && lacks(*row);
    (1..batch.num_rows()).filter(is_parted).collect()
}

impl<S: System> Work<S> {
    /// A row has come to a place without all its values: where the chunk of that place is not handed out yet, it is read
    /// (again) and shows the row; where it is (`None`), all rows are read once more when the table is through.
    pub(super) async fn read_whole(&mut self, name: &RelationName, chunk: Option<usize>) -> Result<()> {
        let Some(index) = chunk else {
            if let Some(TableState { phase: Phase::Snapshot { then_again, .. }, .. }) = self.state.tables.get_mut(name)
            {
                *then_again = true;
            }
            return Ok(());
        };
        match self.chunks.nth_of(name, index) {
            Some(chunk) if !matches!(chunk.stage, Stage::Waiting { .. }) => {
                let number = chunk.number;
                self.read_again(number).await
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aqueduct_model::Relation;
    use arrow::array::{BooleanArray, Int64Array, RecordBatch, StringArray, UInt8Array};
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    #[test]
    fn case_047_only_moved_rows_without_all_values_are_read_again() {
        let columns = vec![Field::new("id", DataType::Int64, false), Field::new("v", DataType::Utf8, true)];
        let columns = Arc::new(Schema::new(columns));
        let table = Relation::new(RelationName::table("t"), columns.clone(), &["id"], 1).unwrap();
        let rows = RecordBatch::try_new(
            columns,
            vec![Arc::new(Int64Array::from(vec![1, 9, 2, 8, 3, 4, 5])), Arc::new(StringArray::from(vec!["x"; 7]))],
        );
        let batch =
            Batch::changes(Arc::new(table), rows.unwrap(), UInt8Array::from(vec![1, 2, 1, 2, 1, 2, 2])).unwrap();
        let regions = [0, 1, 0, 1, 0, 0, 1];
        assert!(parted(&batch, &regions).is_empty(), "all values are there");
        let present = BooleanArray::from(vec![false, false, false, true, false, false, false]);
        assert_eq!(parted(&batch.with_present(1, present).unwrap(), &regions), [1]);
    }
}
